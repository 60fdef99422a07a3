"""What is wrong with an object, in the API server's words (trace ``k_bad_requests``)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from asyncrun.local.kube import pod_validation
from asyncrun.local.kube.quantities import parse
from asyncrun.local.kube.query import Call
from asyncrun.local.kube.resources import Resource
from asyncrun.local.kube.status import Cause, bad_request, invalid
from asyncrun.local.kube.store import Json

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_PART = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_PART_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    " '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is"
    " '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_ANNOTATIONS_LIMIT = 262_144
_UPDATE_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def check_new(resource: Resource, obj: Json) -> None:
    """
    Name, labels and annotations of a new object that is no pod, and what quotas name.

    :raises ApiError: 422.
    """
    causes = [*metadata_causes(obj), *_quota_causes(resource, obj)]
    if causes:
        raise invalid(resource.kind, obj["metadata"].get("name", ""), causes, resource.group)


def check_place(call: Call, obj: Json) -> None:
    """
    Whether what is sent to a path belongs there.

    :raises ApiError: 400: it has another name, or is in another namespace.
    """
    metadata = obj.get("metadata")
    given = metadata if isinstance(metadata, dict) else {}
    name, namespace = given.get("name"), given.get("namespace")
    if not name:
        why = f"the name of the object ({call.name} based on URL) was undeterminable: name must be provided"
        raise bad_request(why)
    if name != call.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.name})")
    if call.namespace and namespace and namespace != call.namespace:
        where = f"the namespace of the object ({namespace})"
        raise bad_request(f"{where} does not match the namespace on the request ({call.namespace})")


def check_update(resource: Resource, old: Json, new: Json) -> None:
    """
    A change of an object that is no pod.

    :raises ApiError: 422.
    """
    causes = [*metadata_causes(new), *_name_causes(old, new), *_quota_causes(resource, new)]
    if causes:
        raise invalid(resource.kind, old["metadata"]["name"], causes, resource.group)


def _quota_causes(resource: Resource, obj: Json) -> Iterator[Cause]:
    if resource.key != "resourcequotas":
        return
    spec = obj.get("spec") or {}
    hard = (spec.get("hard") or {}) if isinstance(spec, dict) else None
    if not isinstance(hard, dict):
        yield Cause.invalid("spec", "", "must be a map with a map of quantities, hard")
        return
    for name, value in hard.items():
        try:
            parse(value)
        except ValueError as error:
            yield Cause.invalid(f"spec.hard[{name}]", value, str(error))


def _name_causes(old: Json, new: Json) -> Iterator[Cause]:
    name = new["metadata"].get("name", "")
    if name != old["metadata"]["name"]:
        yield Cause.invalid("metadata.name", name, "field is immutable")


def metadata_causes(obj: Json) -> Iterator[Cause]:
    """What is wrong with the metadata."""
    metadata = obj["metadata"]
    name = metadata.get("name")
    if not name:
        yield Cause.required("metadata.name", "name or generateName is required")
    elif len(name) > 253:
        yield Cause.invalid("metadata.name", name, "must be no more than 253 bytes")
    elif not _SUBDOMAIN.fullmatch(name):
        yield Cause.invalid("metadata.name", name, _SUBDOMAIN_TEXT)
    for key, value in (metadata.get("labels") or {}).items():
        yield from _key_causes("metadata.labels", key)
        if len(value) > 63:
            yield Cause.invalid("metadata.labels", value, "must be no more than 63 bytes")
        elif not _VALUE.fullmatch(value):
            yield Cause.invalid("metadata.labels", value, _VALUE_TEXT)
    annotations = metadata.get("annotations") or {}
    for key in annotations:
        yield from _key_causes("metadata.annotations", key.lower())
    if sum(len(key.encode()) + len((value or "").encode()) for key, value in annotations.items()) > _ANNOTATIONS_LIMIT:
        yield Cause.too_long("metadata.annotations", _ANNOTATIONS_LIMIT)


def _key_causes(field: str, key: str) -> Iterator[Cause]:
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        yield Cause.invalid(field, key, "prefix part must be non-empty")
    elif slash and not _SUBDOMAIN.fullmatch(prefix):
        yield Cause.invalid(field, key, f"prefix part {_SUBDOMAIN_TEXT}")
    if not name:
        yield Cause.invalid(field, key, "name part must be non-empty")
    elif len(name) > 63:
        yield Cause.invalid(field, key, "name part must be no more than 63 bytes")
    elif not _PART.fullmatch(name):
        yield Cause.invalid(field, key, _PART_TEXT)


def check_pod(pod: Json) -> None:
    """
    A new pod, with defaults.

    :raises ApiError: 422, with all that is wrong.
    """
    causes = [*metadata_causes(pod), *pod_validation.spec_causes(pod["spec"])]
    if causes:
        raise invalid("Pod", pod["metadata"].get("name", ""), causes)


def check_pod_update(old: Json, new: Json) -> None:
    """
    A change of a pod. The real refusal shows the difference, too.

    :raises ApiError: 422.
    """
    causes = [*metadata_causes(new), *_name_causes(old, new)]
    spec = new.get("spec") or {}
    causes += _deadline_causes(old["spec"].get("activeDeadlineSeconds"), spec.get("activeDeadlineSeconds"))
    if _fixed(spec) != _fixed(old["spec"]):
        causes.append(Cause.forbidden("spec", _UPDATE_TEXT))
    if causes:
        raise invalid("Pod", old["metadata"]["name"], causes)


def _deadline_causes(old: int | None, new: int | None) -> Iterator[Cause]:
    """A running pod's deadline can be set and brought forward, no more."""
    field = "spec.activeDeadlineSeconds"
    if new is None and old is not None:
        yield Cause.invalid(field, "null", "must not update from a positive integer to nil value")
    elif new is not None and not 0 <= new <= 2147483647:
        yield Cause.invalid(field, new, "must be between 0 and 2147483647, inclusive")
    elif new is not None and old is not None and new > old:
        yield Cause.invalid(field, new, "must be less than or equal to previous value")


def _fixed(spec: Json) -> Json:
    """Those parts of a spec that cannot change."""
    fixed = {
        key: value for key, value in spec.items() if key not in {"activeDeadlineSeconds", "tolerations"} and value != []
    }
    for name in ("containers", "initContainers"):
        if name in fixed:
            fixed[name] = [{key: value for key, value in one.items() if key != "image"} for one in fixed[name]]
    return fixed
