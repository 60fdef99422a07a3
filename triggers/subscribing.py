"""Which watcher serves whom: the keys of the registry for ECS."""

from __future__ import annotations

from asyncrun.clients.api import AwsAccess
from asyncrun.model.ecs import EcsTaskState
from asyncrun.model.settings import Settings
from asyncrun.triggers.registry import Subscription, registry
from asyncrun.triggers.watch.ecs_clusters import EcsClusterPoller, EcsClusterState
from asyncrun.triggers.watch.ecs_definitions import EcsTaskDefinitionPoller, EcsTaskDefinitionState
from asyncrun.triggers.watch.ecs_tasks import EcsTaskPoller


def subscribe_task(access: AwsAccess, cluster: str, task: str, settings: Settings) -> Subscription[EcsTaskState]:
    """
    One DescribeTasks for up to 100 tasks of a cluster, whoever watches them.

    :param cluster: name or ARN; both lead to the same watcher.
    :param task: ARN or id.
    """
    return registry().subscribe(
        ("ecs tasks", access.key, cluster.rsplit("/", 1)[-1]),
        task,
        lambda: EcsTaskPoller(access.ecs, cluster, settings, access.renew),
        linger=settings.watcher_linger,
    )


def subscribe_cluster(access: AwsAccess, cluster: str, settings: Settings) -> Subscription[EcsClusterState]:
    """One DescribeClusters for up to 100 clusters."""
    return registry().subscribe(
        ("ecs clusters", access.key),
        cluster,
        lambda: EcsClusterPoller(access.ecs, settings, access.renew),
        linger=settings.watcher_linger,
    )


def subscribe_definition(access: AwsAccess, name: str, settings: Settings) -> Subscription[EcsTaskDefinitionState]:
    """AWS has no batch for these: one call for each, more slowly."""
    return registry().subscribe(
        ("ecs task definitions", access.key),
        name,
        lambda: EcsTaskDefinitionPoller(access.ecs, settings, access.renew),
        linger=settings.watcher_linger,
    )
