"""Operator arguments -> RunTask request."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.spec.ecs import (
    RunTaskArguments,
    client_token,
    log_stream,
    owner_started_by,
    reattach_started_by,
    run_task_request,
)

STARTED_BY = re.compile(r"[A-Za-z0-9\-/_]{1,128}")


def request(**arguments: Any) -> dict[str, Any]:
    full = {"task_definition": "f:1", "cluster": "c", "overrides": {}, **arguments}
    return run_task_request(RunTaskArguments(**full), started_by="me", client_token="t")


def test_least_arguments_make_the_least_request() -> None:
    assert request() == {
        "cluster": "c",
        "taskDefinition": "f:1",
        "overrides": {},
        "startedBy": "me",
        "clientToken": "t",
        "launchType": "EC2",
    }


def test_every_argument_arrives_under_its_name() -> None:
    assert request(
        launch_type="FARGATE",
        volume_configurations=[{"name": "v"}],
        group="g",
        placement_constraints=[{"type": "distinctInstance"}],
        placement_strategy=[{"type": "random"}],
        platform_version="1.4.0",
        network_configuration={"awsvpcConfiguration": {"subnets": ["s"]}},
        tags={"k": "v"},
        propagate_tags="NONE",
        enable_execute_command=False,
    ) == {
        "cluster": "c",
        "taskDefinition": "f:1",
        "overrides": {},
        "startedBy": "me",
        "clientToken": "t",
        "launchType": "FARGATE",
        "volumeConfigurations": [{"name": "v"}],
        "group": "g",
        "placementConstraints": [{"type": "distinctInstance"}],
        "placementStrategy": [{"type": "random"}],
        "platformVersion": "1.4.0",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}},
        "tags": [{"key": "k", "value": "v"}],
        "propagateTags": "NONE",
        "enableExecuteCommand": False,
    }


def test_a_strategy_replaces_the_launch_type() -> None:
    made = request(capacity_provider_strategy=[{"capacityProvider": "FARGATE_SPOT"}])
    assert "launchType" not in made
    assert made["capacityProviderStrategy"] == [{"capacityProvider": "FARGATE_SPOT"}]


@pytest.mark.parametrize("nothing", ["", None])
def test_neither_leaves_it_to_the_clusters_default(nothing: Any) -> None:
    assert {"launchType", "capacityProviderStrategy"} & request(launch_type=nothing).keys() == set()


@given(st.text(), st.text(), st.text(), st.integers(-1, 10**6), st.text())
def test_started_by_is_always_what_ecs_accepts(dag: str, task: str, run: str, index: int, started: str) -> None:
    assert STARTED_BY.fullmatch(reattach_started_by(dag, task, run, index, started))


@given(st.one_of(st.none(), st.text()))
def test_the_owner_is_always_what_ecs_accepts(owner: str | None) -> None:
    assert STARTED_BY.fullmatch(owner_started_by(owner))


def test_started_by_is_stable_and_differs_in_each_part() -> None:
    base = ("dag", "task", "run", -1, "2026-01-01T00:00:00.000001+00:00")
    value = reattach_started_by(*base)
    assert value == "asyncrun/dag/task/" + value[-32:]
    assert value == reattach_started_by(*base)
    others = {
        reattach_started_by(*base[:place], other, *base[place + 1 :])  # type: ignore[arg-type]
        for place, other in enumerate(["dag2", "task2", "run2", 0, "2026-01-01T00:00:00.000002+00:00"])
    }
    assert len(others | {value}) == 6


def test_parts_do_not_run_into_each_other() -> None:
    assert reattach_started_by("a", "bc", "r", 1, "") != reattach_started_by("ab", "c", "r", 1, "")
    assert reattach_started_by("a", "b", "r1", 1, "") != reattach_started_by("a", "b", "r", 11, "")


def test_token_is_new_for_each_try_and_leaves_room_for_an_ordinal() -> None:
    assert client_token("0198-a") == client_token("0198-a") != client_token("0198-b")
    assert re.fullmatch(r"[0-9a-f]{56}", client_token("x"))


@pytest.mark.parametrize(
    ("prefix", "container", "stream"),
    [
        ("ecs", "main", "ecs/main/id"),
        ("ecs/main", "main", "ecs/main/id"),
        ("ecs/main", None, "ecs/main/id"),
        ("ecs", None, None),
        (None, "main", None),
    ],
)
def test_log_stream(prefix: str | None, container: str | None, stream: str | None) -> None:
    assert log_stream(prefix, container, "id") == stream
