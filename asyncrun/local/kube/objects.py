"""Creating, reading, changing and deleting objects of the store, as requests ask for it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asyncrun.local.kube import deletion, quantities, validation
from asyncrun.local.kube.cluster import furnish
from asyncrun.local.kube.decoding import check_delete_options, read_delete_options, read_object, read_patch
from asyncrun.local.kube.defaults import default_pod, suffix, with_defaults, without_string_data
from asyncrun.local.kube.patching import json_patch, merge_patch, strategic_merge_patch
from asyncrun.local.kube.query import Call
from asyncrun.local.kube.schema import check_fields, clean
from asyncrun.local.kube.selectors import field_selector, label_selector
from asyncrun.local.kube.status import (
    MODIFIED,
    Cause,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
)
from asyncrun.local.kube.store import AlreadyExists, Json, Store, now

_PERMANENT = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "namespace", "generation")
"""Fields of metadata that a client cannot change."""

_LISTS = ("labels", "annotations", "finalizers", "ownerReferences")

_GENERATED = 58
"""Characters of ``generateName`` that are used."""

_FINAL = ("Succeeded", "Failed")


@dataclass(slots=True)
class Objects:
    """
    The objects, and what guards them.

    :param later: calls something after some seconds.
    :param foreground_delay: seconds until the garbage collector takes its finalizer away.
    """

    store: Store
    later: Callable[[float, Callable[[], None]], object]
    foreground_delay: float

    def get(self, call: Call) -> Json:
        """
        One object.

        :raises ApiError: 404.
        """
        obj = self.store.get(call.resource.key, call.namespace, call.name)
        if obj is None:
            raise not_found(call.resource.plural, call.name, call.resource.group)
        return obj

    def create(self, call: Call) -> Json:
        """
        A new object.

        :raises ApiError: 400, 403, 404, 409, 415, 422.
        """
        obj = read_object(call)
        check_fields(call, obj)
        obj = clean(call, obj)
        obj = {**obj, "metadata": self._new_metadata(call, obj)}
        if call.resource.namespaced and self.store.get("namespaces", "", call.namespace) is None:
            raise not_found("namespaces", call.namespace)
        if call.resource.key == "pods":
            obj = self._new_pod(call, obj)
        else:
            validation.check_new(call.resource, obj)
            obj = with_defaults(call.resource.key, obj)
        if call.query.get("dryRun") == "All":
            return {**obj, "metadata": {**obj["metadata"], "uid": str(uuid.uuid4()), "creationTimestamp": now()}}
        try:
            created = self.store.create(call.resource.key, obj)
        except AlreadyExists:
            raise already_exists(call.resource.plural, obj["metadata"]["name"], call.resource.group) from None
        if call.resource.key == "namespaces":
            furnish(self.store, obj["metadata"]["name"])
        return created

    def _new_metadata(self, call: Call, obj: Json) -> Json:
        given = obj.get("metadata") or {}
        metadata: Json = {key: value for key, value in given.items() if value is not None}
        for key in (*_PERMANENT[:4], "resourceVersion", "managedFields", "selfLink", "generation"):
            metadata.pop(key, None)
        asked = metadata.pop("namespace", None)
        if call.resource.namespaced and asked not in {None, "", call.namespace}:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        name = metadata.pop("name", None)
        if not name and metadata.get("generateName"):
            name = metadata["generateName"][:_GENERATED] + suffix()
        return {
            **({"name": name} if name else {}),
            **({"namespace": call.namespace} if call.resource.namespaced else {}),
            **({"generation": 1} if call.resource.key == "pods" else {}),
            **metadata,
        }

    def _new_pod(self, call: Call, pod: Json) -> Json:
        namespace, name = call.namespace, pod["metadata"].get("name", "")
        spec = pod.get("spec") or {}
        account = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
        if self.store.get("serviceaccounts", namespace, account) is None:
            why = f'error looking up service account {namespace}/{account}: serviceaccount "{account}" not found'
            raise forbidden("pods", name, why)
        pod = default_pod(pod)
        validation.check_pod(pod)
        if call.query.get("dryRun") != "All":
            self._check_quota(namespace, name)
        return pod

    def _check_quota(self, namespace: str, name: str) -> None:
        for quota in self.store.list("resourcequotas", namespace):
            hard = (quota.get("spec") or {}).get("hard") or {}
            most = hard.get("pods", hard.get("count/pods"))
            if most is None:
                continue
            counted = [one for one in self.store.list("pods", namespace) if one["status"].get("phase") not in _FINAL]
            if len(counted) + 1 > quantities.parse(most):
                used = f"requested: pods=1, used: pods={len(counted)}, limited: pods={most}"
                raise forbidden("pods", name, f"exceeded quota: {quota['metadata']['name']}, {used}")

    def replace(self, call: Call) -> Json:
        """
        PUT.

        :raises ApiError: 400, 404, 409, 422.
        """
        old, new = self.get(call), read_object(call)
        validation.check_place(call, new)
        return self._change(call, old, new)

    def patch(self, call: Call) -> Json:
        """
        PATCH, in one of the three ways; server-side apply is done as a merge patch that may create.

        :raises ApiError: 400, 404, 409, 415, 422.
        """
        media, patch = read_patch(call)
        old = self.store.get(call.resource.key, call.namespace, call.name)
        if old is None and media == "application/apply-patch+yaml":
            return self.create(call.applied(patch))
        if old is None:
            raise not_found(call.resource.plural, call.name, call.resource.group)
        if media == "application/json-patch+json":
            new = json_patch(old, patch)
        elif media == "application/merge-patch+json":
            new = merge_patch(old, patch)
        else:
            new = strategic_merge_patch(old, patch)
        return self._change(call, old, new)

    def _change(self, call: Call, old: Json, new: Any) -> Json:
        resource = call.resource
        if not isinstance(new, dict):
            raise invalid(resource.kind, call.name, [Cause.invalid("patch", "", "the patch makes it no object")])
        check_fields(call, new)
        new = clean(call, new)
        metadata = _changed_metadata(call, old["metadata"], new.get("metadata") or {})
        changed: Json = {**new, "metadata": metadata, "kind": old["kind"], "apiVersion": old["apiVersion"]}
        if call.subresource == "status":
            changed = {**old, "status": new.get("status") or {}}
        elif resource.key == "pods":
            changed = {**changed, "status": old.get("status", {})}
            validation.check_pod_update(old, changed)
            if changed["spec"] != old["spec"]:
                metadata["generation"] = old["metadata"].get("generation", 1) + 1
        else:
            validation.check_update(resource, old, changed)
            changed = without_string_data(changed) if resource.key == "secrets" else changed
        if call.query.get("dryRun") == "All":
            return changed
        return self.store.update(resource.key, changed)

    def delete(self, call: Call) -> Json:
        """
        DELETE of one object: it, or for most kinds but pods a Status.

        :raises ApiError: 400, 404, 409.
        """
        options = read_delete_options(call)
        obj = self._delete_one(call, call.namespace, call.name, options)
        if call.resource.key in {"pods", "resourcequotas", "serviceaccounts"}:
            return obj
        details = {"name": call.name, "kind": call.resource.plural, "uid": obj["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _delete_one(self, call: Call, namespace: str, name: str, options: Json) -> Json:
        if _is_dry_run(call, options):
            obj = self.store.get(call.resource.key, namespace, name)
            if obj is None:
                raise not_found(call.resource.plural, name, call.resource.group)
            return obj
        obj = deletion.delete(self.store, call.resource, namespace, name, options)
        if call.resource.key == "namespaces":
            self._empty(name)
        if deletion.FOREGROUND in (obj["metadata"].get("finalizers") or ()):
            uid = obj["metadata"]["uid"]
            self.later(self.foreground_delay, lambda: deletion.collect_garbage(self.store, namespace, name, uid))
        return obj

    def _empty(self, namespace: str) -> None:
        for kind in self.store:
            for obj in self.store.list(kind, namespace):
                self.store.remove(kind, namespace, obj["metadata"]["name"])

    def delete_collection(self, call: Call) -> list[Json]:
        """
        DELETE of all objects that are selected.

        :raises ApiError: 400.
        """
        options = read_delete_options(call)
        labels = label_selector(call.query.get("labelSelector", ""))
        fields = field_selector(call.resource, call.query.get("fieldSelector", ""))
        found = [
            one
            for one in self.store.list(call.resource.key, call.namespace or None)
            if (labels is None or labels(one)) and (fields is None or fields(one))
        ]
        return [
            self._delete_one(call, one["metadata"].get("namespace", ""), one["metadata"]["name"], options)
            for one in found
        ]

    def evict(self, call: Call) -> Json:
        """
        POST to ``/eviction``.

        :raises ApiError: 400, 404, 409.
        """
        options = check_delete_options(call, read_object(call).get("deleteOptions") or {})
        if _is_dry_run(call, options):
            self.get(call)
        else:
            deletion.evict(self.store, call.resource, call.namespace, call.name, options)
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def _changed_metadata(call: Call, old: Json, given: Json) -> Json:
    """
    What a change makes of the metadata.

    :raises ApiError: 409: it was made to an older version, or to another object.
    """
    resource = call.resource
    metadata: Json = {key: value for key, value in given.items() if value is not None}
    if metadata.get("resourceVersion") not in {None, "", old["resourceVersion"]}:
        raise conflict(resource.plural, call.name, MODIFIED, resource.group)
    uid = metadata.get("uid")
    if uid not in {None, "", old["uid"]}:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['uid']}"
        raise conflict(resource.plural, call.name, why, resource.group)
    for key in (*_PERMANENT, "managedFields"):
        metadata.pop(key, None)
    kept = {key: old[key] for key in _PERMANENT if key in old}
    empty = {key for key in _LISTS if not metadata.get(key)}
    return {**{key: value for key, value in metadata.items() if key not in empty}, **kept}


def _is_dry_run(call: Call, options: Json) -> bool:
    return call.query.get("dryRun") == "All" or "All" in (options.get("dryRun") or ())
