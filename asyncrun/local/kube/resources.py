"""The kinds of objects that the embedded API server knows, and its discovery documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Resource:
    """
    One kind of objects.

    :param store: its name in the store; both versions of events share one.
    :param subresources: each with its kind and verbs.
    """

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL
    store: str = ""
    subresources: tuple[tuple[str, str, tuple[str, ...]], ...] = ()

    @property
    def api_version(self) -> str:
        """``v1``, ``batch/v1``."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> str:
        """Name of the kind in the store."""
        return self.store or self.plural


RESOURCES = (
    Resource("configmaps", "ConfigMap", short=("cm",)),
    Resource("endpoints", "Endpoints", short=("ep",)),
    Resource("events", "Event", short=("ev",)),
    Resource("limitranges", "LimitRange", short=("limits",)),
    Resource("namespaces", "Namespace", namespaced=False, short=("ns",)),
    Resource("nodes", "Node", namespaced=False, short=("no",)),
    Resource("persistentvolumeclaims", "PersistentVolumeClaim", short=("pvc",)),
    Resource(
        "pods",
        "Pod",
        short=("po",),
        categories=("all",),
        subresources=(
            ("eviction", "Eviction", ("create",)),
            ("exec", "PodExecOptions", ("create", "get")),
            ("log", "Pod", ("get",)),
            ("status", "Pod", ("get", "patch", "update")),
        ),
    ),
    Resource("resourcequotas", "ResourceQuota", short=("quota",)),
    Resource("secrets", "Secret"),
    Resource("serviceaccounts", "ServiceAccount", short=("sa",)),
    Resource("services", "Service", short=("svc",), categories=("all",)),
    Resource("events", "Event", group="events.k8s.io", short=("ev",)),
    Resource("leases", "Lease", group="coordination.k8s.io"),
    Resource("roles", "Role", group="rbac.authorization.k8s.io"),
    Resource("rolebindings", "RoleBinding", group="rbac.authorization.k8s.io"),
    Resource(
        "selfsubjectaccessreviews",
        "SelfSubjectAccessReview",
        group="authorization.k8s.io",
        namespaced=False,
        verbs=("create",),
    ),
    Resource(
        "selfsubjectrulesreviews",
        "SelfSubjectRulesReview",
        group="authorization.k8s.io",
        namespaced=False,
        verbs=("create",),
    ),
    Resource(
        "selfsubjectreviews",
        "SelfSubjectReview",
        group="authentication.k8s.io",
        namespaced=False,
        verbs=("create",),
    ),
)

_BY_NAME = {(one.group, one.plural): one for one in RESOURCES}
_BY_KIND = {one.kind: one for one in RESOURCES if not one.group}
GROUPS = tuple(dict.fromkeys(one.group for one in RESOURCES if one.group))

VERSION = {
    "major": "1",
    "minor": "36",
    "emulationMajor": "1",
    "emulationMinor": "36",
    "minCompatibilityMajor": "1",
    "minCompatibilityMinor": "35",
    "gitVersion": "v1.36.2+asyncrun",
    "gitCommit": "0000000000000000000000000000000000000000",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "go1.26.4",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def find(group: str, version: str, plural: str) -> Resource | None:
    """The resource of that path, None if there is none."""
    found = _BY_NAME.get((group, plural))
    return found if found is not None and found.version == version else None


def of_kind(kind: str) -> Resource:
    """
    The resource of the core group with that kind.

    :raises KeyError: there is none.
    """
    return _BY_KIND[kind]


def api_versions(address: str) -> dict[str, Any]:
    """``/api``."""
    where = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": where}


def group_list() -> dict[str, Any]:
    """``/apis``."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group_document(name) for name in GROUPS]}


def group_document(group: str) -> dict[str, Any]:
    """One group of ``/apis``; also ``/apis/GROUP``."""
    version = {"groupVersion": f"{group}/v1", "version": "v1"}
    return {"name": group, "versions": [version], "preferredVersion": version}


def resource_list(group: str) -> dict[str, Any]:
    """``/api/v1`` and ``/apis/GROUP/v1``."""
    rows: list[dict[str, Any]] = []
    for one in RESOURCES:
        if one.group == group:
            rows += _rows(one)
    return {
        "kind": "APIResourceList",
        **({"apiVersion": "v1"} if group else {}),
        "groupVersion": f"{group}/v1" if group else "v1",
        "resources": rows,
    }


def _rows(one: Resource) -> list[dict[str, Any]]:
    row = {
        "name": one.plural,
        "singularName": one.kind.lower(),
        "namespaced": one.namespaced,
        "kind": one.kind,
        "verbs": list(one.verbs),
        **({"shortNames": list(one.short)} if one.short else {}),
        **({"categories": list(one.categories)} if one.categories else {}),
    }
    rows = [row]
    for name, kind, verbs in one.subresources:
        policy = {"group": "policy", "version": "v1"} if kind == "Eviction" else {}
        rows.append(
            {
                "name": f"{one.plural}/{name}",
                "singularName": "",
                "namespaced": one.namespaced,
                **policy,
                "kind": kind,
                "verbs": list(verbs),
            }
        )
    return rows
