"""Arguments that say what is done with the pod; and names of arguments that there are no more."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.cncf.kubernetes.callbacks import KubernetesPodOperatorCallback  # noqa: TID253 - no DAG file
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator  # noqa: TID253
from airflow.providers.cncf.kubernetes.utils.pod_manager import OnFinishAction, OnKillAction  # noqa: TID253

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod import handling
from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.former import FORMER_ARGUMENTS, former_argument
from asyncrun.spec.pod.handling import HandlingArguments, check_handling, container_names
from tests.spec.pod.test_models import FromAnotherTask

POD = PodArguments(
    image="x",
    init_containers=[{"name": "setup", "image": "x"}],
    full_pod_spec={"spec": {"containers": [{"name": "ignored"}, {"name": "sidecar", "image": "x"}]}},
)


class Callback(KubernetesPodOperatorCallback):  # type: ignore[misc]
    """A user's."""


def check(pod: PodArguments = POD, **arguments: Any) -> None:
    check_handling(HandlingArguments(**arguments), pod)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        *({"on_finish_action": one} for one in (*OnFinishAction, *(one.value for one in OnFinishAction))),
        *({"on_kill_action": one} for one in (*OnKillAction, *(one.value for one in OnKillAction))),
        {"container_logs": True, "init_container_logs": True},
        {"container_logs": "base"},
        {"container_logs": ["base", "sidecar", "setup", "istio-proxy", "{{ x }}"]},
        {"container_logs": ("base",), "init_container_logs": {"setup"}},
        {"container_logs": False, "init_container_logs": []},
        {"container_logs": "{{ x }}", "init_container_logs": FromAnotherTask()},
        {"callbacks": Callback},
        {"callbacks": [Callback, Callback()]},
        {"callbacks": []},
        {"skip_on_exit_code": [1, 2]},
        {"skip_on_exit_code": range(3)},
        {"schedule_timeout_seconds": 0, "poll_interval": 0.5, "logging_interval": 5},
        {"log_formatter": lambda name, text: f"{name}: {text}", "progress_callback": print},
    ],
)
def test_passes(arguments: dict[str, Any]) -> None:
    check(**arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"on_finish_action": "delete"},
            "on_finish_action='delete' cannot work: expected one of delete_pod, delete_succeeded_pod, keep_pod, "
            "delete_active_pod",
        ),
        (
            {"on_finish_action": None},
            "on_finish_action=None cannot work: expected an action; leave it out for 'delete_pod'",
        ),
        (
            {"on_kill_action": "delete_succeeded_pod"},
            "on_kill_action='delete_succeeded_pod' cannot work: expected one of delete_pod, keep_pod",
        ),
        (
            {"container_logs": "bse"},
            "container_logs='bse' cannot work: expected names of the pod's containers; did you mean 'base'?",
        ),
        (
            {"init_container_logs": ["set-up"]},
            "init_container_logs='set-up' cannot work: expected names of the pod's containers; did you mean 'setup'?",
        ),
        (
            {"container_logs": 5},
            "container_logs=<int> cannot work: expected True, a container's name, or a list of names",
        ),
        (
            {"container_logs": [5]},
            "container_logs=<int> cannot work: expected True, a container's name, or a list of names",
        ),
        (
            {"callbacks": "my.Callback"},
            "callbacks=<str> cannot work: expected a subclass of upstream's KubernetesPodOperatorCallback, or a list",
        ),
        (
            {"callbacks": [Callback, print]},
            "callbacks[1]=<builtin_function_or_method> cannot work: expected a subclass of "
            "upstream's KubernetesPodOperatorCallback, or a list",
        ),
        (
            {"skip_on_exit_code": "1"},
            "skip_on_exit_code='1' cannot work: expected a number, or a list, set or range of numbers",
        ),
        (
            {"startup_timeout_seconds": -1},
            "startup_timeout_seconds=-1 cannot work: expected a number of seconds, more than 0",
        ),
        (
            {"startup_timeout_seconds": "60"},
            "startup_timeout_seconds='60' cannot work: expected a number of seconds, more than 0",
        ),
        ({"poll_interval": -1}, "poll_interval=-1 cannot work: expected a number of seconds, 0 or more"),
        ({"get_logs": "perhaps"}, "get_logs='perhaps' cannot work: expected True or False"),
        ({"log_formatter": "{name}"}, "log_formatter=<str> cannot work: expected a function"),
    ],
)
def test_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check(**arguments)
    assert str(refused.value) == sentence


def test_containers_are_those_of_the_merged_pod() -> None:
    assert container_names(POD) == ({"base", "sidecar"}, {"setup"})


def test_containers_that_a_template_may_bring_are_no_typo() -> None:
    check(PodArguments(image="x", pod_template_file="/pod.yaml"), container_logs=["base-1"])
    check(PodArguments(image="x", full_pod_spec={"spec": {"containers": "{{ x }}"}}), container_logs=["base-1"])
    with pytest.raises(InvalidArgument):
        check(PodArguments(image="x"), container_logs=["base-1"])


def test_names_of_callbacks_are_upstreams() -> None:
    methods = {name for name, _ in inspect.getmembers(KubernetesPodOperatorCallback, inspect.isfunction)}
    assert set(handling._CALLBACKS) == methods


def test_choices_are_upstreams() -> None:
    assert set(handling.ON_FINISH) == {one.value for one in OnFinishAction}
    assert set(handling.ON_KILL) == {one.value for one in OnKillAction}


def test_defaults_are_upstreams() -> None:
    theirs = inspect.signature(KubernetesPodOperator.__init__).parameters
    ours = {
        "deferrable": True,
        "durable": True,
    }  # waiting in the triggerer is what the operator is for; None means True
    for arguments in (HandlingArguments(), PodArguments()):
        expected = {name: theirs[name].default for name in vars(arguments)}
        assert vars(arguments) == {name: ours.get(name, value) for name, value in expected.items()}


def test_arguments_are_read_from_an_operator() -> None:
    read = HandlingArguments.of(SimpleNamespace(poll_interval=7, other=1))
    assert (read.poll_interval, read.get_logs) == (7, True)


def test_former_arguments_lead_to_ones_that_there_are() -> None:
    known = set(inspect.signature(KubernetesPodOperator.__init__).parameters)
    for new, _ in FORMER_ARGUMENTS.values():
        assert new in known


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["image", "cmds"], None),
        (
            ["image", "resources"],
            (
                "resources",
                "container_resources",
                "container_resources takes a V1ResourceRequirements or a dict of its fields.",
            ),
        ),
        (
            ["is_delete_operator_pod"],
            (
                "is_delete_operator_pod",
                "on_finish_action",
                "on_finish_action: 'delete_pod' stands for is_delete_operator_pod=True, and 'keep_pod' for False.",
            ),
        ),
    ],
)
def test_former_argument_is_explained(given: list[str], expected: tuple[str, str, str] | None) -> None:
    assert former_argument(given) == expected
