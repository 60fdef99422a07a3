"""What tells that a pod's node does not answer, although the API server does."""

from __future__ import annotations

from asyncrun.model.errors import Expired, NotFound, RemoteError, Throttled, Unavailable
from asyncrun.model.pod import Pod
from asyncrun.model.pod_start import node_trouble

# A Status without a reason, or "an error of the kubelet's" (InternalError). Others have reasons that tell of the API
# server itself (ServiceUnavailable, Timeout, ...), but for what etcd says to it.
_REASONS = frozenset({"", "InternalError"})
_ETCD = "etcdserver"


def is_of_node(error: RemoteError) -> bool:
    """
    Whether the API server answered, and says that the node does not: ``Get "https://172.31.99.1:10250/containerLogs/
    ...": dial tcp ...: connection refused``, HTTP 500 (traces r_kubelet_killed_under_follow, t_node_lost).
    """
    if not isinstance(error, Unavailable) or isinstance(error, Throttled | Expired):
        return False
    return bool(error.said) and error.code in _REASONS and _ETCD not in error.said


def is_without_node(error: RemoteError) -> bool:
    """Whether the pod is there, and its node is not: a 404 of the node's."""
    return isinstance(error, NotFound) and error.said.startswith("nodes ")


def is_lost(pod: Pod) -> bool:
    """Whether the pod's status says that its node does not answer."""
    return node_trouble(pod) is not None
