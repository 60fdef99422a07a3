"""
``open_kube``: one shared way to a Kubernetes cluster per target and event loop.

Lifetime: see ``clients.shared``.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from functools import partial

from asyncrun.clients.kube_api import KubeAccess, PodsApi, SidecarDefaults
from asyncrun.clients.kube_calls import KubeCalls
from asyncrun.clients.kube_pods import Pods
from asyncrun.clients.kube_resolved import ResolvedKube
from asyncrun.clients.kube_resolving import kube_hash
from asyncrun.clients.kube_wire import KubeGeneration, open_kube_generation
from asyncrun.clients.per_loop import PerLoop
from asyncrun.clients.rotation import LOOKUP_LIMIT, Rotating
from asyncrun.clients.shared import Opening, SharedWay, close_every, entered
from asyncrun.model.refs import KubeTarget
from asyncrun.model.settings import Settings


def open_kube(target: KubeTarget, settings: Settings) -> AbstractAsyncContextManager[KubeAccess]:
    """
    Kubernetes as this target reaches it. Shared: all who open an equal target in one event loop get the same object.

    :param target: connection, kubeconfig and context.
    :param settings: rates and times; those of the first opener count.
    :raises RemoteError: the connection cannot be resolved; says who must act.
    """
    return Opening(partial(_opened, target, settings))


async def _opened(target: KubeTarget, settings: Settings) -> SharedKube:
    key = kube_hash(target)
    return await entered(_registry, key, lambda: SharedKube(target, settings, key))


async def close_all_kube() -> None:
    """
    Close everything that the running event loop has open, now, and wait for what is closing already.

    Calls in flight fail as ``Unavailable``.
    """
    await close_every(_registry, _closing)


_registry: PerLoop[dict[str, SharedKube]] = PerLoop(dict)
_closing: PerLoop[set[SharedKube]] = PerLoop(set)


class SharedKube(SharedWay):
    """
    ``KubeAccess`` of one target in one event loop.

    :param identity: its key in the registry.
    """

    def __init__(self, target: KubeTarget, settings: Settings, identity: str) -> None:
        rotation: Rotating[KubeGeneration] = Rotating(
            lambda known: open_kube_generation(target, settings.exec_plugin_limit, known),
            target.conn_id,
            "Kubernetes",
            settings.connection_ttl,
            f"kubernetes-{identity}",
            LOOKUP_LIMIT + settings.exec_plugin_limit,
        )
        super().__init__(identity, settings.watcher_linger, rotation, _registry, _closing)
        self._target, self._kube = target, rotation
        self._calls = KubeCalls(rotation, settings)

    def __repr__(self) -> str:
        return f"<KubeAccess {self._target.conn_id!r} users={self.users}>"

    @property
    def key(self) -> Hashable:
        """Equal for two objects of the same target."""
        return ("kubernetes", self._identity)

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._resolved.server

    @property
    def namespace(self) -> str | None:
        """The connection's namespace."""
        return self._resolved.namespace

    @property
    def own_namespace(self) -> str | None:
        """The namespace of the process's own pod."""
        return self._resolved.own_namespace

    @property
    def in_cluster(self) -> bool:
        """Whether the credentials are those of the process's own pod."""
        return self._resolved.in_cluster

    @property
    def sidecar(self) -> SidecarDefaults:
        """What the connection says about the XCom sidecar."""
        return self._resolved.sidecar

    def pods(self, namespace: str) -> PodsApi:
        """Pods of that namespace."""
        return Pods(self._calls, namespace)

    @property
    def _resolved(self) -> ResolvedKube:
        return self._kube.last.resolved
