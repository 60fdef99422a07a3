"""
What Airflow relies on in every trigger class: constructors that never raise, arguments that survive the database, class
paths that stay, no secrets, and a cancellation that leaves as it came, at whatever point it arrives.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import json
import logging
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent
from hypothesis import given
from hypothesis import strategies as st

import asyncrun.triggers.ecs as public
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch, EcsTaskWatch
from asyncrun.model.errors import MalformedAnswer, Unavailable
from asyncrun.triggers.base import StoredTrigger
from tests.support.lab import Lab, container, logging_to
from tests.triggers.conftest import TaskLogReader
from tests.triggers.test_one_fate import (
    ONE,
    SECRET,
    TARGET,
    Gateway,
    MemoryAws,
    at,
    connect,
    event_of,
    gateway,
    memory,
    trigger,
)

__all__ = ["connect", "gateway", "memory"]  # fixtures

KILL = "__airflow_user_action__"

# As this release writes them; they lie in users' databases. Add rows, never change one.
ROWS: dict[str, str] = {
    "asyncrun.triggers.ecs.EcsTaskTrigger": """{"watch": {
        "target": {"conn_id": "aws_default", "region_name": "eu-west-1", "verify": null,
                   "botocore_config": {"tcp_keepalive": true}},
        "deferred_at": 1767225600.5, "deadline": 1767229200.0, "version": 1,
        "ref": {"cluster": "jobs", "task_arn": "arn:aws:ecs:eu-west-1:123456789012:task/jobs/0123456789abcdef"},
        "deadline_reason": "execution_timeout=1:00:00", "container_name": "main", "log_group": "/ecs/jobs",
        "log_region": "eu-west-1", "log_stream_prefix": "ecs/main", "end_in_triggerer": true,
        "end_reason": "nothing needs a worker", "push_result": true, "number_logs_exception": 10,
        "launched_at": 1767225598.25, "slot_ms": 50}}""",
    "asyncrun.triggers.ecs_states.EcsClusterTrigger": """{"watch": {
        "target": {"conn_id": null, "region_name": null, "verify": false, "botocore_config": null},
        "deferred_at": 1767225600.5, "deadline": null, "version": 1,
        "desired": ["ACTIVE"], "failing": ["FAILED", "INACTIVE"], "cluster": "jobs"}}""",
    "asyncrun.triggers.ecs_states.EcsTaskDefinitionTrigger": """{"watch": {
        "target": {"conn_id": "aws_default", "region_name": null, "verify": "ca.pem", "botocore_config": null},
        "deferred_at": 1767225600, "deadline": 1767229200, "version": 1,
        "desired": ["INACTIVE"], "failing": [], "name": "jobs:7"}}""",
    "asyncrun.triggers.ecs_states.EcsTaskStateTrigger": """{"watch": {
        "target": {"conn_id": "aws_default", "region_name": null, "verify": null, "botocore_config": null},
        "deferred_at": 1767225600.5, "deadline": null, "version": 1,
        "desired": ["RUNNING"], "failing": ["STOPPED"], "cluster": "jobs", "task": "0123456789abcdef"}}""",
}
WATCHES: dict[str, type[Any]] = {
    "EcsTaskTrigger": EcsTaskWatch,
    "EcsClusterTrigger": EcsClusterWatch,
    "EcsTaskDefinitionTrigger": EcsTaskDefinitionWatch,
    "EcsTaskStateTrigger": EcsTaskStateWatch,
}
KINDS = [getattr(public, name) for name in WATCHES]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
# A keyword named self cannot be given to any constructor.
stored = st.dictionaries(st.sampled_from(["watch", "target", "ref"]) | st.text(), json_values, max_size=4).filter(
    lambda kwargs: "self" not in kwargs
)


def load(path: str) -> type[Any]:
    module, _, name = path.rpartition(".")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def test_the_public_paths_are_exactly_these() -> None:
    """They stand in Airflow's database: one that disappears breaks every deferred task."""
    paths = {kind({}).serialize()[0] for kind in KINDS}
    assert paths == set(ROWS)
    every = [kind for kind in vars(public).values() if isinstance(kind, type) and issubclass(kind, StoredTrigger)]
    assert {kind for kind in every if not kind.__name__.startswith(("Stored", "Run", "State"))} == set(KINDS)
    assert all(load(path).__name__ == path.rpartition(".")[2] for path in paths)


@pytest.mark.parametrize("kind", KINDS)
@given(kwargs=stored)
def test_a_constructor_takes_whatever_is_stored(kind: type[Any], kwargs: dict[str, Any]) -> None:
    """An exception in a constructor kills the whole triggerer, again after each restart."""
    made = kind(**kwargs)
    path, arguments = made.serialize()
    assert load(path) is kind
    assert arguments == {"watch": kwargs.get("watch")}
    again = kind(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert isinstance(repr(made), str)
    assert isinstance(made, BaseTrigger)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("watch", [None, 7, "text", [], {}, {"ref": 1}, {"target": None, "deferred_at": 0}], ids=str)
async def test_what_cannot_be_read_is_an_error_of_that_trigger_only(
    kind: type[Any], watch: Any, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    with pytest.raises(MalformedAnswer, match="the trigger's arguments cannot be read"):
        await event_of(kind(watch))


@pytest.mark.parametrize("path", ROWS)
def test_rows_of_this_release_load_and_round_trip(path: str) -> None:
    kwargs = json.loads(ROWS[path])
    made = load(path)(**kwargs)
    assert made.serialize() == (path, kwargs)
    watch = WATCHES[load(path).__name__].from_dict(made.watch)
    assert json.loads(json.dumps(watch.to_dict())) == kwargs["watch"]


@pytest.mark.parametrize("path", ROWS)
def test_rows_with_more_or_less_in_them_load(path: str) -> None:
    """A newer release adds fields; an older one had fewer, all of which have defaults now."""
    kwargs = json.loads(ROWS[path])
    newer = copy.deepcopy(kwargs)
    newer["watch"] |= {"version": 2, "not_known_yet": [1, 2]}
    newer["watch"]["target"]["not_known_yet"] = "x"
    kind = WATCHES[load(path).__name__]
    read = kind.from_dict(load(path)(**newer, not_known_yet=7).watch)
    assert read.target.verify == kwargs["watch"]["target"]["verify"]
    older = copy.deepcopy(kwargs["watch"])
    needed = {"target", "deferred_at", "ref", "desired", "cluster", "task", "name"}
    for name in older.keys() - needed:
        del older[name]
    assert kind.from_dict(older).deadline is None


# -- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settings", "loop_closed")
@pytest.mark.parametrize("denied", [False, True])
async def test_no_secret_of_the_connection_is_stored_said_or_reported(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None],
    settings: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, *, denied: bool,
) -> None:  # fmt: skip
    settings.setenv("AIRFLOW__ASYNCRUN__LOGS_DRAIN_LIMIT", "1")
    caplog.set_level(logging.INFO, logger="asyncrun")
    connect(ONE, "AKIDSECRET")
    arn = await asyncio.to_thread(lab.run, container("echo hello; exit 3", **logging_to()))
    if denied:
        gateway.expired.add("AKIDSECRET")
    made = trigger(0, arn, ONE)
    event = await event_of(made)
    shown = json.dumps([task_log.records(), made.serialize(), event.payload]) + repr(made) + repr(event) + caplog.text
    assert "fate_one" in shown
    for secret in (SECRET, "AKIDSECRET"):
        assert secret not in shown


# -- cancellation ------------------------------------------------------------------------------------------------------


class Stepped:
    """
    A coroutine whose task is cancelled at its ``k``-th suspension.

    :param late: not while it waits there, but after what it waits for has come, and before it can go on.
    """

    def __init__(self, work: Any, k: int, *, late: bool) -> None:
        self._work, self._k, self._late = work, k, late
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._work.__await__()
        task = asyncio.current_task()
        assert task is not None
        step: Callable[[], Any] = lambda: next(steps)  # noqa: E731
        while True:
            try:
                future = step()
            except StopIteration:
                return
            self.suspensions += 1
            if self.suspensions == self._k:
                if self._late and future is not None:
                    future.add_done_callback(lambda _: task.cancel(KILL))  # before the task's own wake-up
                else:
                    asyncio.get_running_loop().call_soon(task.cancel, KILL)
            try:
                yield future
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine

                def throw(error: BaseException = error) -> Any:
                    return steps.throw(error)

                step = throw
            else:
                step = lambda: next(steps)  # noqa: E731


def success(memory: MemoryAws) -> Any:
    arn = memory.put(1)
    at(2, lambda: memory.finish(1))
    return trigger(1, arn)


def failure(memory: MemoryAws) -> Any:
    made = success(memory)
    at(2, lambda: memory.finish(1, code=3))
    made.watch["end_in_triggerer"] = False
    return made


def with_log(memory: MemoryAws) -> Any:
    memory.lines = {f"p/main/{1:032x}": ["hello", "world"]}
    return failure(memory)


def past_its_deadline(memory: MemoryAws) -> Any:
    made = success(memory)
    made.watch |= {"deadline": time.time() + 1, "deadline_reason": "execution_timeout=0:00:01"}
    faults = iter([Unavailable("StopTask was not answered")] * 2)
    memory.fault = lambda operation: next(faults, None) if operation == "StopTask" else None
    return made


def in_trouble(memory: MemoryAws) -> Any:
    away = Unavailable("the connection to AWS was refused")
    at(0.5, lambda: setattr(memory, "fault", lambda operation: away))
    at(20, lambda: setattr(memory, "fault", lambda operation: None))
    return success(memory)


def not_open_yet(memory: MemoryAws) -> Any:
    faults = iter([Unavailable("Airflow gave no answer")] * 2)
    memory.fault = lambda operation: next(faults, None) if operation == "open" else None
    return success(memory)


def a_state(kind: type[Any], **fields: Any) -> Callable[[MemoryAws], Any]:
    def make(memory: MemoryAws) -> Any:
        memory.put(1)
        memory.status = "PROVISIONING"
        at(2, lambda: memory.finish(1))
        at(2, lambda: setattr(memory, "status", "STOPPED"))
        given = {"target": TARGET, "deferred_at": time.time(), "desired": ("STOPPED",), **fields}
        made = kind(WATCHES[kind.__name__](**given).to_dict())
        made.trigger_id = 1
        return made

    make.__name__ = kind.__name__
    return make


SCENARIOS = [
    success,
    failure,
    with_log,
    past_its_deadline,
    in_trouble,
    not_open_yet,
    a_state(public.EcsClusterTrigger, cluster="c"),
    a_state(public.EcsTaskDefinitionTrigger, name="d"),
    a_state(public.EcsTaskStateTrigger, cluster="default",
            task=f"arn:aws:ecs:us-east-1:123456789012:task/default/{1:032x}"),
]  # fmt: skip


async def cancelled_at(make: Callable[[MemoryAws], Any], k: int, *, late: bool) -> bool:
    """One life of a trigger, cancelled at its k-th suspension. Returns whether it had that many."""
    from asyncrun.triggers.shutdown import close_loop

    memory = MemoryAws(TARGET)
    made, events = make(memory), []

    async def drive() -> None:
        events.extend([event async for event in made.run()])

    stepped = Stepped(drive(), k, late=late)

    async def live() -> None:
        await stepped

    before = asyncio.all_tasks()
    task = asyncio.create_task(live(), name="trigger")
    await asyncio.wait([task])
    try:
        if stepped.suspensions < k:
            task.result()
            (event,) = events
            assert isinstance(event, TaskSuccessEvent | TriggerEvent)
            return False
        where = f"at suspension {k}{', late' if late else ''}"
        assert task.cancelled(), f"{where}: {task}"
        with pytest.raises(asyncio.CancelledError) as caught:
            task.result()
        assert caught.value.args == (KILL,), where
        assert events == [], where
        await asyncio.sleep(120)  # shared watchers and readings end by themselves
        assert asyncio.all_tasks() - before == set(), where
        assert memory.users == 0, where
        return True
    finally:
        await close_loop()


@pytest.mark.looptime
@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "when the answer is there"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda make: make.__name__)
async def test_a_cancellation_at_any_point_leaves_with_airflows_message_and_leaves_nothing_behind(
    scenario: Callable[[MemoryAws], Any], task_log: TaskLogReader, settings: pytest.MonkeyPatch,
    no_leaked_tasks: None, *, late: bool,
) -> None:  # fmt: skip
    settings.setenv("AIRFLOW__ASYNCRUN__RESUME_HOLD", "7")
    settings.setenv("AIRFLOW__ASYNCRUN__LOGS_QUIET_PERIOD", "0.05")
    k = 1
    while await cancelled_at(scenario, k, late=late):
        k += 1
        assert k < 400
    assert k > 4, "the trigger was never cancelled in mid-work"
