"""What is wrong with the arguments of a ``KubernetesPodOperator``, beside what becomes the pod (``spec.pod``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.checks import check_pod
from asyncrun.spec.pod.former import former_argument
from asyncrun.spec.pod.render import render
from asyncrun.spec.values import Kind, as_count, as_seconds, check_bool, check_type, exit_code_test, is_unrendered

ON_FINISH_ACTIONS = ("delete_pod", "delete_succeeded_pod", "keep_pod", "delete_active_pod")
ON_KILL_ACTIONS = ("delete_pod", "keep_pod")
_FLAGS = (
    "durable",
    "get_logs",
    "log_events_on_failure",
    "log_events_on_startup",
    "deferrable",
    "log_pod_spec_on_failure",
    "container_name_log_prefix_enabled",
)


def refuse_old_arguments(given: Mapping[str, Any]) -> None:
    """
    Refuse arguments that earlier releases of upstream had: some are words that Airflow itself takes, and ignores.

    :raises InvalidArgument: naming the argument that took its place.
    """
    found = former_argument(name for name, value in given.items() if value is not None)
    if found is not None:
        name, new, sentence = found
        raise InvalidArgument(name, Kind(given[name]), f"{new!r} in its place: {sentence}")


def check_arguments(operator: Any) -> None:
    """
    Refuse what cannot work, as far as it is known before templates are rendered.

    :raises InvalidArgument: naming the argument, its value and what is allowed.
    """
    check_pod(PodArguments.of(operator))
    for name in _FLAGS:
        check_bool(name, getattr(operator, name))
    for name in ("startup_timeout_seconds", "schedule_timeout_seconds"):
        as_seconds(name, getattr(operator, name))
    _check_choice("on_finish_action", operator.on_finish_action, ON_FINISH_ACTIONS)
    _check_choice("on_kill_action", operator.on_kill_action, ON_KILL_ACTIONS)
    exit_code_test(operator.skip_on_exit_code)
    if operator.termination_grace_period is not None:
        as_count("termination_grace_period", operator.termination_grace_period, at_least=0)
    for name in ("container_logs", "init_container_logs"):
        _check_logs(name, getattr(operator, name))
    for callback in operator.callbacks:
        check_type("callbacks", callback, type, "a class derived from KubernetesPodOperatorCallback, or a list of them")
    for name in ("log_formatter", "progress_callback"):
        if (code := getattr(operator, name)) is not None and not callable(code):
            raise InvalidArgument(name, Kind(code), "a function")


def _check_choice(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if not is_unrendered(value) and str(getattr(value, "value", value)) not in allowed:
        raise InvalidArgument(name, value, f"one of {', '.join(allowed)}")


def _check_logs(name: str, value: object) -> None:
    allowed = "True for all, a name, or a list of names"
    if value is None or isinstance(value, (str, bool)) or is_unrendered(value):
        return
    check_type(name, value, (list, tuple, set, frozenset), allowed)
    for one in cast("Iterable[object]", value):
        check_type(name, one, str, allowed)


def plain_fields(operator: Any, names: Iterable[str]) -> None:
    """
    Make the models in these attributes plain values, so that Airflow renders every text in them.

    :param names: of the template fields.
    """
    for name in names:
        value = getattr(operator, name)
        if name == "env_vars" and isinstance(value, Mapping):  # Airflow renders no keys
            value = [{"name": key, "value": text} for key, text in value.items()]
        setattr(operator, name, render(value, str))
