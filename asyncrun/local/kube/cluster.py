"""What is in a cluster from the start, and in a namespace once it is there."""

from __future__ import annotations

from asyncrun.local.kube.options import EmbeddedKubeOptions
from asyncrun.local.kube.store import Json, Store, now

NODE = "embedded-node"
_NO_CERTIFICATE = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"


def populate(store: Store, options: EmbeddedKubeOptions) -> None:
    """Namespaces, quotas and a node; what is there already is left alone."""
    for name in options.namespaces:
        if store.get("namespaces", "", name) is None:
            store.create("namespaces", namespace_object(name))
            furnish(store, name)
    for name, pods in options.quotas.items():
        set_quota(store, name, pods)
    if store.get("nodes", "", NODE) is None:
        store.create("nodes", _node())


def namespace_object(name: str) -> Json:
    """A namespace, for `Store.create`."""
    labels = {"kubernetes.io/metadata.name": name}
    return {
        "kind": "Namespace",
        "apiVersion": "v1",
        "metadata": {"name": name, "labels": labels},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def furnish(store: Store, namespace: str) -> None:
    """What controllers put into a new namespace."""
    account = {"name": "default", "namespace": namespace}
    store.create("serviceaccounts", {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": account})
    certificates: Json = {
        "kind": "ConfigMap",
        "apiVersion": "v1",
        "metadata": {"name": "kube-root-ca.crt", "namespace": namespace},
        "data": {"ca.crt": _NO_CERTIFICATE},
    }
    store.create("configmaps", certificates)


def set_quota(store: Store, namespace: str, pods: int | None) -> None:
    """Let at most that many pods exist in a namespace; None: no limit any more."""
    old = store.get("resourcequotas", namespace, "pods")
    if pods is None:
        if old is not None:
            store.remove("resourcequotas", namespace, "pods")
        return
    spec = {"hard": {"pods": str(pods)}}
    if old is not None:
        store.update("resourcequotas", {**old, "spec": spec})
        return
    metadata = {"name": "pods", "namespace": namespace}
    quota = {"kind": "ResourceQuota", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {}}
    store.create("resourcequotas", quota)


def _node() -> Json:
    capacity = {"cpu": "4", "memory": "16Gi", "pods": "10000", "ephemeral-storage": "100Gi"}
    ready = {
        "type": "Ready",
        "status": "True",
        "lastHeartbeatTime": now(),
        "lastTransitionTime": now(),
        "reason": "KubeletReady",
        "message": "kubelet is posting ready status",
    }
    return {
        "kind": "Node",
        "apiVersion": "v1",
        "metadata": {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}},
        "spec": {},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NODE}],
            "nodeInfo": {
                "kubeletVersion": "v1.36.2+asyncrun",
                "containerRuntimeVersion": "containerd://1.7.24",
                "osImage": "embedded",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "kernelVersion": "",
                "bootID": "",
                "machineID": "",
                "systemUUID": "",
                "kubeProxyVersion": "",
            },
        },
    }
