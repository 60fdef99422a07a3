"""Which watcher serves whom: the keys of the registry for ECS."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from asyncrun.clients.api import AwsAccess
from asyncrun.model.arns import name_of
from asyncrun.model.ecs import EcsTaskState
from asyncrun.model.settings import Settings
from asyncrun.triggers.registry import Subscription, Watcher, registry
from asyncrun.triggers.watch.ecs_clusters import EcsClusterPoller, EcsClusterState
from asyncrun.triggers.watch.ecs_definitions import EcsTaskDefinitionPoller, EcsTaskDefinitionState
from asyncrun.triggers.watch.ecs_tasks import EcsTaskPoller
from asyncrun.triggers.watch.news import S


def subscribe_task(access: AwsAccess, cluster: str, task: str, settings: Settings) -> Subscription[EcsTaskState]:
    """
    One DescribeTasks for up to 100 tasks of a cluster, whoever watches them.

    :param cluster: name or ARN; both lead to the same watcher.
    :param task: ARN or id.
    """
    key = ("ecs tasks", access.key, name_of(cluster))
    return _subscribe(key, task, settings, lambda: EcsTaskPoller(access.ecs, cluster, settings, access.renew))


def subscribe_cluster(access: AwsAccess, cluster: str, settings: Settings) -> Subscription[EcsClusterState]:
    """One DescribeClusters for up to 100 clusters."""
    key = ("ecs clusters", access.key)
    return _subscribe(key, cluster, settings, lambda: EcsClusterPoller(access.ecs, settings, access.renew))


def subscribe_definition(access: AwsAccess, name: str, settings: Settings) -> Subscription[EcsTaskDefinitionState]:
    """AWS has no batch for these: one call for each, more slowly."""
    key = ("ecs task definitions", access.key)
    return _subscribe(key, name, settings, lambda: EcsTaskDefinitionPoller(access.ecs, settings, access.renew))


def _subscribe(key: Hashable, ident: str, settings: Settings, factory: Callable[[], Watcher[S]]) -> Subscription[S]:
    return registry().subscribe(key, ident, factory, linger=settings.watcher_linger)
