"""Triggers that wait for the state of a cluster, a task definition or a task, and what they say in the end."""

from __future__ import annotations

import time
from typing import Any

from airflow.triggers.base import TriggerEvent

from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch
from asyncrun.triggers.ecs import EcsClusterTrigger, EcsTaskDefinitionTrigger, EcsTaskStateTrigger
from tests.support.lab import Lab, container
from tests.support.triggers import TARGET, call, event_of
from tests.triggers.conftest import TRIGGER_ID

Payload = dict[str, Any]

NO_ARN = "arn:aws:ecs:us-east-1:123456789012:task/default/" + "0" * 32


def cluster(name: str, *desired: str, failing: tuple[str, ...] = (), **fields: Any) -> EcsClusterTrigger:
    watch = EcsClusterWatch(
        target=TARGET, deferred_at=time.time(), cluster=name, desired=desired, failing=failing, **fields
    )
    return EcsClusterTrigger(watch.to_dict())


def definition(name: str, *desired: str, failing: tuple[str, ...] = (), **fields: Any) -> EcsTaskDefinitionTrigger:
    watch = EcsTaskDefinitionWatch(
        target=TARGET, deferred_at=time.time(), name=name, desired=desired, failing=failing, **fields
    )
    return EcsTaskDefinitionTrigger(watch.to_dict())


def task(name: str, *desired: str, failing: tuple[str, ...] = (), **fields: Any) -> EcsTaskStateTrigger:
    watch = EcsTaskStateWatch(
        target=TARGET, deferred_at=time.time(), cluster="default", task=name, desired=desired, failing=failing, **fields
    )
    return EcsTaskStateTrigger(watch.to_dict())


async def payload(trigger: Any) -> Payload:
    """What its event tells the worker."""
    trigger.trigger_id = TRIGGER_ID
    event = await event_of(trigger)
    assert type(event) is TriggerEvent
    return dict(event.payload)


def ended(status: str, state: str, message: str = "") -> Payload:
    """What a worker is told of a waiting that ended so."""
    return {"version": 1, "status": status, "state": state, "message": message}


async def running(lab: Lab, command: str = "sleep 60") -> str:
    """The ARN of a task that runs by now."""
    arn = str(await call(lab.run, container(command)))
    await call(lab.wait, arn, "RUNNING")
    return arn
