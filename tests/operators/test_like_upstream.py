"""Our classes against the installed amazon provider's: same names, arguments, defaults, template fields."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import airflow.providers.amazon.aws.operators.ecs as upstream_operators  # noqa: TID253 - no DAG file
import airflow.providers.amazon.aws.sensors.ecs as upstream_sensors  # noqa: TID253
import airflow.providers.cncf.kubernetes.operators.pod as upstream_pods  # noqa: TID253
import pytest

import asyncrun.operators.ecs as our_operators
import asyncrun.operators.pod as our_pods
import asyncrun.sensors.ecs as our_sensors

OPERATORS = [
    "EcsCreateClusterOperator",
    "EcsDeleteClusterOperator",
    "EcsDeregisterTaskDefinitionOperator",
    "EcsRegisterTaskDefinitionOperator",
    "EcsRunTaskOperator",
]
SENSORS = ["EcsClusterStateSensor", "EcsTaskDefinitionStateSensor", "EcsTaskStateSensor"]
PAIRS = [(getattr(our_operators, name), getattr(upstream_operators, name)) for name in OPERATORS] + [
    (getattr(our_sensors, name), getattr(upstream_sensors, name)) for name in SENSORS
]
PAIRS.append((our_pods.KubernetesPodOperator, upstream_pods.KubernetesPodOperator))

# Every difference that we want, and why.
OTHER_DEFAULTS = {
    # Waiting in the triggerer is what these classes are for (EcsRunTaskOperator's docstring, `deferrable`).
    "deferrable": (False, True),
}
ADDED = {
    "EcsRunTaskOperator": {"enable_execute_command"},  # RunTask has it, upstream does not pass it on
    # D20: upstream's sensors cannot be deferred.
    "EcsClusterStateSensor": {"deferrable"},
    "EcsTaskDefinitionStateSensor": {"deferrable"},
    "EcsTaskStateSensor": {"deferrable"},
}


def arguments(kind: type) -> dict[str, Any]:
    """Keyword arguments of a class and its bases, down to Airflow's own, with their defaults."""
    found: dict[str, Any] = {}
    for one in reversed(kind.__mro__):
        if "__init__" not in vars(one) or one.__module__.startswith(("airflow.sdk", "builtins", "abc")):
            continue
        for name, parameter in inspect.signature(one.__init__).parameters.items():  # type: ignore[misc]
            if parameter.kind is parameter.KEYWORD_ONLY:
                found[name] = parameter.default
    return found


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_arguments_and_defaults_are_upstreams(ours: type, theirs: type) -> None:
    mine, expected = arguments(ours), arguments(theirs)
    assert len(expected) > 5
    assert expected.keys() - mine.keys() == set()
    assert mine.keys() - expected.keys() == ADDED.get(ours.__name__, set())
    different = {name: (expected[name], mine[name]) for name in expected if expected[name] != mine[name]}
    assert different == {name: pair for name, pair in OTHER_DEFAULTS.items() if name in expected}


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kind: kind.__name__)
def test_template_fields_and_looks_are_upstreams(ours: Any, theirs: Any) -> None:
    assert tuple(ours.template_fields) == tuple(theirs.template_fields)
    assert ours.template_fields_renderers == theirs.template_fields_renderers
    assert ours.ui_color == theirs.ui_color


@pytest.mark.parametrize("name", ["EcsClusterStates", "EcsTaskDefinitionStates", "EcsTaskStates"])
def test_states_are_upstreams_in_both_directions(name: str) -> None:
    ours, theirs = getattr(our_sensors, name), getattr(upstream_sensors, name)
    assert {one.name: one.value for one in ours} == {one.name: one.value for one in theirs}
    for one in theirs:
        assert one == ours[one.name]
        assert ours[one.name] == one
        assert str(ours[one.name]) == one.value


BARE = (
    "import airflow.sdk; from airflow.sdk import DAG, BaseOperator, BaseOperatorLink;"
    "from airflow.sdk.bases.sensor import BaseSensorOperator"
)


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("our_import", "their_import"),
    [
        (
            "asyncrun.operators.ecs, asyncrun.sensors.ecs",
            "airflow.providers.amazon.aws.operators.ecs, airflow.providers.amazon.aws.sensors.ecs",
        ),
        (
            "asyncrun.operators.pod",
            "airflow.providers.cncf.kubernetes.operators.pod, airflow.providers.cncf.kubernetes.secret",
        ),
    ],
    ids=["ECS", "Kubernetes"],
)
def test_importing_our_operators_costs_a_tenth_of_upstreams(our_import: str, their_import: str) -> None:
    bare = modules_after(BARE)
    ours, theirs = (modules_after(f"import {names}") - bare for names in (our_import, their_import))
    assert len(ours) < len(theirs) / 10, sorted(ours)
    assert {name for name in ours if not name.startswith("asyncrun")} == set()


def test_the_users_own_client_is_upstreams_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    operator = our_operators.EcsDeregisterTaskDefinitionOperator(
        task_id="t", task_definition="a:1", aws_conn_id=None, region_name="eu-central-1", botocore_config={}
    )
    assert type(operator.hook).__name__ == "EcsHook"
    assert operator.client.meta.region_name == "eu-central-1"
    assert operator.client is operator.client
