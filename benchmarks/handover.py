"""Container runs, launched one after the other, and the triggers that watch them, as operators would make them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from benchmarks import pods
from benchmarks.load import Load
from benchmarks.standin import Control

CLUSTER = "default"
_BETWEEN_TURNS = 20  # pods created between two turns of the supervisor, where there is no time to wait


class Run(NamedTuple):
    """
    A container run and its trigger.

    :param arn: of the ECS task, or the pod's uid.
    :param name: the pod's; an ECS task has none.
    """

    arn: str
    name: str
    classpath: str
    kwargs: dict[str, Any]


def handed_over(load: Load, address: str, wait: Callable[[], None]) -> Iterator[Run]:
    """
    Launch everything, evenly within ``load.stagger``.

    :param wait: called while it is too early for the next one.
    """
    launched = _tasks(load, address, wait) if load.platform == "ecs" else _pods(load, address, wait)
    trigger = _TRIGGERS[load.platform, load.trigger]
    for one in launched:
        yield Run(one["arn"], one.get("name", ""), *trigger(one, load))


def warming(load: Load, address: str, number: int) -> Run:
    """A run that is over in a moment."""
    spec = msgspec.structs.replace(load.groups[0][1], startup=0.5, lifetime=1.0, exit_codes=(0,))
    if load.platform == "ecs":
        one = Control(address).create(1, spec, cluster=CLUSTER)[0]
    else:
        with pods.Hands(address) as hands:
            one = hands.create(number, spec, spec.lifetime)
    return Run(one["arn"], one.get("name", ""), *_TRIGGERS[load.platform, load.trigger](one, load))


def _tasks(load: Load, address: str, wait: Callable[[], None]) -> Iterator[dict[str, Any]]:
    control, specs = Control(address), load.specs
    began, done = time.time(), 0
    while done < len(specs):
        elapsed = time.time() - began
        due = len(specs) if elapsed >= load.stagger else 1 + int(len(specs) * elapsed / load.stagger)
        longer = max(0.0, load.stagger - elapsed) if load.end_together else 0.0
        for spec, same in groupby(specs[done:due]):
            own = msgspec.structs.replace(spec, lifetime=spec.lifetime + longer)
            yield from control.create(len(list(same)), own, cluster=CLUSTER)
        done = due
        if done < len(specs):
            wait()


def _pods(load: Load, address: str, wait: Callable[[], None]) -> Iterator[dict[str, Any]]:
    specs, began = load.specs, time.time()
    with pods.Hands(address) as hands:
        for number, spec in enumerate(specs, start=1):
            due = load.stagger * (number - 1) / len(specs)
            while time.time() < began + due:
                wait()
            if number % _BETWEEN_TURNS == 0:
                wait()
            longer = max(0.0, load.stagger - (time.time() - began)) if load.end_together else 0.0
            yield hands.create(number, spec, spec.lifetime + longer)


def our_task(task: Mapping[str, Any], *, push_result: bool = False) -> tuple[str, dict[str, Any]]:
    """Our trigger of that ECS task, as the operator makes it: class path and arguments."""
    from asyncrun.model.ecs_watch import EcsTaskWatch
    from asyncrun.model.refs import AwsTarget, EcsTaskRef

    watch = EcsTaskWatch(
        target=AwsTarget(conn_id=None, region_name="us-east-1"),
        deferred_at=time.time(),
        launched_at=time.time(),
        ref=EcsTaskRef(cluster=task["cluster"], task_arn=task["arn"]),
        end_in_triggerer=True,
        push_result=push_result,
    )
    return "asyncrun.triggers.ecs.EcsTaskTrigger", {"watch": watch.to_dict()}


def _upstreams_task(task: Mapping[str, Any], load: Load) -> tuple[str, dict[str, Any]]:
    stream = next(iter(task["streams"].values()))
    return "airflow.providers.amazon.aws.triggers.ecs.TaskDoneTrigger", {
        "cluster": task["cluster"],
        "task_arn": task["arn"],
        "waiter_delay": load.delay,
        "waiter_max_attempts": 1_000_000,
        "aws_conn_id": None,
        "region": None,
        "region_name": "us-east-1",
        "log_group": task["log_group"] if load.logs else None,
        "log_stream": stream if load.logs else None,
    }


def _our_pod(pod: Mapping[str, Any], load: Load) -> tuple[str, dict[str, Any]]:
    return pods.ours(pod, load.fields, logs=load.logs)


def _upstreams_pod(pod: Mapping[str, Any], load: Load) -> tuple[str, dict[str, Any]]:
    return pods.upstream(pod, load.logging_interval, logs=load.logs)


_TRIGGERS: dict[tuple[str, str], Callable[[Mapping[str, Any], Load], tuple[str, dict[str, Any]]]] = {
    ("ecs", "ours"): lambda task, load: our_task(task, push_result=load.push_result),
    ("ecs", "upstream"): _upstreams_task,
    ("pods", "ours"): _our_pod,
    ("pods", "upstream"): _upstreams_pod,
}
