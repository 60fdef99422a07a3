"""Which watcher serves whom: the keys of the registry for pods."""

from __future__ import annotations

from asyncrun.clients.kube_api import KubeAccess
from asyncrun.model.pod import Pod
from asyncrun.model.refs import PodRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.registry import Subscription, registry
from asyncrun.triggers.watch.pods.reflector import PodReflector


def subscribe_pod(access: KubeAccess, ref: PodRef, settings: Settings) -> Subscription[Pod]:
    """
    News of that pod: one list and one watch for all pods of a namespace that carry the same selector.

    ``Seen`` whenever it changes. ``Deleted`` with its last state when it was deleted before our eyes; ``Gone`` when a
    call finds that it is no more, and nobody saw how it ended; ``Broken`` when what Kubernetes says of it cannot be
    read. ``Remark`` when it is polled instead of watched. ``Trouble`` and ``Recovered`` as of any watcher.

    :param ref: one without a selector is polled.
    """
    key = ("pods", access.key, ref.namespace, ref.selector)
    return registry().subscribe(
        key,
        f"{ref.name}/{ref.uid}",
        lambda: PodReflector(access, ref.namespace, ref.selector, settings),
        linger=settings.watcher_linger,
    )
