"""A trigger's argument is given back as it was given, although it is kept small once it was read."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger

from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.errors import MalformedAnswer
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.refs import AwsTarget, EcsTaskRef, KubeTarget, PodRef
from asyncrun.triggers.ecs import EcsTaskTrigger
from asyncrun.triggers.pod import PodTrigger
from asyncrun.triggers.stored_watch import StoredWatch

ECS = EcsTaskWatch(
    target=AwsTarget(region_name="us-east-1", botocore_config={"user_agent": "me"}),
    deferred_at=1.5,
    ref=EcsTaskRef(cluster="c", task_arn="arn:aws:ecs:us-east-1:123456789012:task/c/1"),
).to_dict()
POD = PodWatch(
    ref=PodRef(namespace="n", name="p", uid="u"),
    target=KubeTarget(),
    deferred_at=1.5,
    launched_at=1.0,
    base="base",
).to_dict() | {"logs": ["base", "sidecar"]}


@pytest.mark.parametrize(("kind", "watch"), [(EcsTaskTrigger, ECS), (PodTrigger, POD)])
def test_it_is_the_same_before_and_after_it_was_read(kind: type[BaseTrigger], watch: dict[str, Any]) -> None:
    stored = watch | {"of a newer release": [1, None]}
    trigger = kind(watch=stored)
    before = trigger.serialize()
    assert trigger.run_identity() in ("u", "arn:aws:ecs:us-east-1:123456789012:task/c/1")  # type: ignore[attr-defined]
    assert trigger.serialize() == before == (f"{kind.__module__}.{kind.__qualname__}", {"watch": stored})
    assert trigger.watch == stored  # type: ignore[attr-defined]
    assert sys.getsizeof(vars(trigger)["_watch_stored"]) < 1000
    assert isinstance(vars(trigger)["_watch_stored"], bytes)


@pytest.mark.parametrize("watch", [None, 7, {"version": "x"}, "text"])
def test_what_cannot_be_read_is_kept_as_it_is(watch: Any) -> None:
    trigger = PodTrigger(watch=watch)
    with pytest.raises(MalformedAnswer):
        trigger.run_identity()
    assert trigger.watch is watch


def test_what_is_no_json_is_kept_as_it_is() -> None:
    stored = ECS | {"odd": object()}
    trigger = EcsTaskTrigger(watch=stored)
    assert trigger.run_identity()
    assert trigger.watch is stored


@pytest.mark.parametrize("odd", [float("inf"), {1: "a key that is no string"}, ("a", "tuple")])
def test_what_json_would_change_is_kept_as_it_is(odd: Any) -> None:
    trigger = EcsTaskTrigger(watch=ECS | {"odd": odd})
    assert trigger.run_identity()
    assert trigger.serialize()[1] == {"watch": ECS | {"odd": odd}}


def test_the_class_has_it_too() -> None:
    assert isinstance(EcsTaskTrigger.watch, StoredWatch)
