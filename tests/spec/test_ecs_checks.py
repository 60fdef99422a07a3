"""Bad input is refused where the DAG is parsed, in words that name argument, value and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.ecs import RunTaskArguments
from asyncrun.spec.ecs_checks import check_container_definitions, check_quota_retry, check_run_task
from asyncrun.spec.values import as_bool, as_count, as_seconds, exit_code_test, has_unrendered

VPC = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


def check(**arguments: Any) -> None:
    full = {"task_definition": "f:1", "cluster": "c", "overrides": {}, **arguments}
    check_run_task(RunTaskArguments(**full))


def overrides(**container: Any) -> dict[str, Any]:
    return {"overrides": {"containerOverrides": [{"name": "main", **container}]}}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"task_definition": None}, "task_definition=None cannot work: expected a family, family:revision or ARN"),
    ({"cluster": ""}, "cluster='' cannot work: expected the name or ARN of a cluster"),
    ({"overrides": None}, "overrides=<NoneType> cannot work: expected a dict, as RunTask's overrides; {} for none"),
    (
        {"overrides": {"containerOverrides": {"name": "main"}}},
        "overrides['containerOverrides']=<dict> cannot work: expected a list of dicts, each with a 'name'",
    ),
    (
        {"overrides": {"containerOverrides": ["main"]}},
        "overrides['containerOverrides'][0]=<str> cannot work: expected a dict with a 'name'",
    ),
    (
        {"overrides": {"containerOverrides": [{"name": {"x": "S3CR3T"}}]}},
        "overrides['containerOverrides'][0]['name']=<dict> cannot work: expected the name of a container in the task "
        "definition",
    ),
    ({"cluster": ["S3CR3T"]}, "cluster=<list> cannot work: expected the name or ARN of a cluster"),
    (
        {"overrides": {"containerOverrides": [{"command": ["x"]}]}},
        "overrides['containerOverrides'][0]['name']=None cannot work: expected the name of a container in the task "
        "definition",
    ),
    (
        overrides(command="echo hello"),
        "overrides['containerOverrides'][0]['command']=<str> cannot work: expected a list of strings",
    ),
    (
        overrides(command=["sleep", 5]),
        "overrides['containerOverrides'][0]['command'][1]=<int> cannot work: expected a string",
    ),
    (
        overrides(environment={"A": "secret"}),
        "overrides['containerOverrides'][0]['environment']=<dict> cannot work: expected a list of "
        "{'name': ..., 'value': ...} with strings",
    ),
    (
        overrides(environment=[{"name": "A", "value": 5}]),
        "overrides['containerOverrides'][0]['environment'][0]['value']=<int> cannot work: expected a string",
    ),
    ({"launch_type": "SPOT"}, "launch_type='SPOT' cannot work: expected one of EC2, FARGATE, EXTERNAL"),
    (
        {"launch_type": "FARGATE"},
        "network_configuration=None cannot work: expected {'awsvpcConfiguration': {'subnets': [...], ...}}: "
        "launch_type='FARGATE' needs subnets",
    ),
    (
        {"launch_type": "FARGATE", "network_configuration": {"subnets": ["a"]}},
        "network_configuration=['subnets'] cannot work: expected a dict with 'awsvpcConfiguration'",
    ),
    (
        {"network_configuration": {"awsvpcConfiguration": {"subnets": []}}},
        "network_configuration['awsvpcConfiguration']['subnets']=[] cannot work: expected at least one subnet id",
    ),
    (
        {"network_configuration": {"awsvpcConfiguration": {"subnets": ["a"], "assignPublicIp": True}}},
        "network_configuration['awsvpcConfiguration']['assignPublicIp']=True cannot work: expected one of ENABLED, "
        "DISABLED",
    ),
    (
        {"platform_version": "LATEST"},
        "platform_version='LATEST' cannot work: expected None with launch_type='EC2' (the default): it is for FARGATE "
        "only",
    ),
    (
        {"capacity_provider_strategy": [{"weight": 1}]},
        "capacity_provider_strategy[0]['capacityProvider']=None cannot work: expected a name",
    ),
    (
        {"capacity_provider_strategy": [{"capacityProvider": "a", "weight": 1001}]},
        "capacity_provider_strategy[0]['weight']=1001 cannot work: expected a whole number from 0 to 1000",
    ),
    (
        {"capacity_provider_strategy": [{"capacityProvider": name, "base": 1} for name in "ab"]},
        "capacity_provider_strategy='2 entries with a base' cannot work: expected at most one entry with a base",
    ),
    (
        {"capacity_provider_strategy": [{"capacityProvider": str(n)} for n in range(21)]},
        "capacity_provider_strategy='21 entries' cannot work: expected at most 20 capacity providers",
    ),
    ({"tags": [("a", "b")]}, "tags=<list> cannot work: expected a dict of strings to strings"),
    ({"tags": {"a": 1}}, "tags['a']=<int> cannot work: expected a string"),
    (
        {"tags": {"aws:x": "1"}},
        "tags='aws:x' cannot work: expected keys that are strings of 1 to 128 characters, not beginning with aws:",
    ),
    ({"tags": {"a": "b" * 257}}, "tags['a']='257 characters' cannot work: expected at most 256 characters"),
    ({"tags": {str(n): "" for n in range(51)}}, "tags='51 tags' cannot work: expected at most 50 tags"),
    ({"propagate_tags": "SERVICE"}, "propagate_tags='SERVICE' cannot work: expected TASK_DEFINITION, NONE or nothing"),
    (
        {"placement_constraints": {"type": "x"}},
        "placement_constraints=<dict> cannot work: expected a list of dicts, as in RunTask",
    ),
    (
        {"enable_execute_command": "yes"},
        "enable_execute_command=<str> cannot work: expected True, False or None",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=lambda value: value if isinstance(value, str) else "")
def test_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(**arguments)
    assert str(caught.value) == message


GOOD: list[dict[str, Any]] = [
    {},
    {"launch_type": None},
    {"launch_type": "EXTERNAL"},
    {"launch_type": "FARGATE", "network_configuration": VPC, "platform_version": "LATEST"},
    # The strategy replaces the launch type, whose default is EC2.
    {"capacity_provider_strategy": [{"capacityProvider": "FARGATE", "base": 1}, {"capacityProvider": "FARGATE_SPOT"}]},
    {"capacity_provider_strategy": [{"capacityProvider": "FARGATE"}], "platform_version": "1.4.0"},
    {"overrides": {"cpu": "256", "containerOverrides": []}},
    overrides(environment=[{"name": "A", "value": ""}], command=[]),
    {"tags": {}},
    {"propagate_tags": "TASK_DEFINITION"},
    {"launch_type": "{{ x }}", "network_configuration": "{{ x }}", "tags": "{{ x }}", "propagate_tags": "{{ x }}"},
    {"launch_type": "FARGATE", "network_configuration": "{{ x }}"},
    {"launch_type": "FARGATE", "network_configuration": {"awsvpcConfiguration": {"subnets": "{{ x }}"}}},
    {"platform_version": "LATEST", "launch_type": "{{ x }}"},
    {"overrides": "{{ x }}"},
    overrides(command="{{ x }}", environment="{% if a %}[]{% endif %}"),
    overrides(environment=[{"name": "{{ x }}", "value": "{{ x }}"}]),
    {"capacity_provider_strategy": "{{ x }}"},
    {"capacity_provider_strategy": [{"capacityProvider": "{{ x }}", "weight": "{{ w }}", "base": "{{ b }}"}]},
]


@pytest.mark.parametrize("arguments", GOOD, ids=str)
def test_accepted(arguments: dict[str, Any]) -> None:
    check(**arguments)


def test_no_message_shows_a_value_of_the_environment() -> None:
    with pytest.raises(InvalidArgument) as caught:
        check(**overrides(environment=[{"name": "PASSWORD", "value": ["hunter2"]}]))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"tries": 3}, "quota_retry='tries' cannot work: expected a dict with keys out of multiplier, min, max, stop"),
        ({"max": "5"}, "quota_retry['max']='5' cannot work: expected a number of seconds, 0 or more"),
        (3, "quota_retry=<int> cannot work: expected a dict with keys out of"),
    ],
)
def test_quota_retry_refused(value: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        check_quota_retry(value)
    assert str(caught.value).startswith(message)


def test_quota_retry_accepted() -> None:
    check_quota_retry(None)
    check_quota_retry({"multiplier": 2, "min": 0, "max": 60.5, "stop_after_delay": 600})


@pytest.mark.parametrize(
    ("given", "skipping", "failing"),
    [
        (None, [], [0, 1, 99]),
        (99, [99], [9, 1]),
        ([1, 2], [1, 2], [3]),
        ({5}, [5], [6]),
        (range(10, 20), [10, 19], [20]),
        (0, [0], [1]),
    ],
)
def test_exit_codes_that_skip(given: Any, skipping: list[int], failing: list[int]) -> None:
    skips = exit_code_test(given)
    assert all(skips(code) for code in skipping)
    assert not any(skips(code) for code in failing)


@pytest.mark.parametrize("given", ["99", 1.5, True, ["99"], object()])
def test_exit_codes_that_cannot_be_asked(given: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"skip_on_exit_code=.* cannot work: expected .*numbers"):
        exit_code_test(given)


@pytest.mark.parametrize("given", [None, "x", [1]])
def test_container_definitions_refused(given: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"container_definitions.*cannot work: expected a list of container"):
        check_container_definitions(given)


@pytest.mark.parametrize(
    ("text", "value"), [("False", False), ("true", True), (" 0 ", False), (None, False), (1, True)]
)
def test_yes_and_no_from_templates(text: object, value: bool) -> None:
    assert as_bool("deferrable", text) is value


def test_neither_yes_nor_no() -> None:
    with pytest.raises(InvalidArgument, match="deferrable='maybe' cannot work: expected True or False"):
        as_bool("deferrable", "maybe")


@pytest.mark.parametrize("value", [-1, 1.5, "x", None, True])
def test_no_count(value: object) -> None:
    with pytest.raises(InvalidArgument, match=r"n=.* cannot work: expected a whole number, at least 0"):
        as_count("n", value, at_least=0)
    assert as_count("n", "12", at_least=0) == 12


@pytest.mark.parametrize("value", [0, -1, "5", None, True, float("inf"), float("nan")])
def test_no_seconds(value: object) -> None:
    with pytest.raises(InvalidArgument, match=r"=.* cannot work: expected a number of seconds, more than 0"):
        as_seconds("waiter_delay", value)


def test_templates_are_found_at_any_depth() -> None:
    assert has_unrendered({"a": [{"b": ("x", "{{ y }}")}]})
    assert not has_unrendered({"a": [{"b": ("x", "y")}], "json": '{"a": {"b": 1}}'})
