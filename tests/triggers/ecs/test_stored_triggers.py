"""
What Airflow stores of every trigger class: constructors that never raise, arguments that survive the database, class
paths that stay, and no secrets.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from airflow.triggers.base import BaseTrigger
from hypothesis import given
from hypothesis import strategies as st

import asyncrun.triggers.ecs as public
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch, EcsTaskWatch
from asyncrun.model.errors import MalformedAnswer
from asyncrun.triggers.base import StoredTrigger
from tests.support.gateway import Gateway
from tests.support.lab import Lab, container, logging_to
from tests.support.triggers import ONE, event_of, trigger
from tests.triggers.conftest import TaskLogReader
from tests.triggers.ecs.conftest import SECRET

# As this release writes them; they lie in users' databases. Add rows, never change one. (What an ECS task's row was
# before there were pods, without "kind", is in tests/model/test_values.py.)
ROWS: dict[str, str] = {
    "asyncrun.triggers.ecs.EcsTaskTrigger": """{"watch": {
        "target": {"conn_id": "aws_default", "region_name": "eu-west-1", "verify": null,
                   "botocore_config": {"tcp_keepalive": true}},
        "deferred_at": 1767225600.5, "deadline": 1767229200.0, "version": 1,
        "ref": {"kind": "ecs", "cluster": "jobs",
                "task_arn": "arn:aws:ecs:eu-west-1:123456789012:task/jobs/0123456789abcdef"},
        "deadline_reason": "execution_timeout=1:00:00", "container_name": "main", "log_group": "/ecs/jobs",
        "log_region": "eu-west-1", "log_stream_prefix": "ecs/main", "end_in_triggerer": true,
        "end_reason": "nothing needs a worker", "push_result": true, "number_logs_exception": 10,
        "launched_at": 1767225598.25, "slot_ms": 50, "wants_result": true}}""",
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
