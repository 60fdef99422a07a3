"""The arguments of the pod operator that say what is done with the pod, and what cannot work in them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.checks import draft
from asyncrun.spec.pod.syntax import check_one_of
from asyncrun.spec.values import Kind, as_seconds, check_bool, check_type, exit_code_test, is_unrendered, text_of

ON_FINISH = ("delete_pod", "delete_succeeded_pod", "keep_pod", "delete_active_pod")
ON_KILL = ("delete_pod", "keep_pod")

_CALLBACKS = (
    "on_sync_client_creation",
    "on_pod_manifest_created",
    "on_pod_creation",
    "on_pod_starting",
    "on_pod_completion",
    "on_pod_teardown",
    "on_pod_cleanup",
    "on_operator_resuming",
    "progress_callback",
)
# Seconds; True: 0 is allowed.
_TIMES = {
    "startup_timeout_seconds": False,
    "startup_check_interval_seconds": True,
    "schedule_timeout_seconds": True,
    "poll_interval": True,
    "base_container_status_polling_interval": True,
    "logging_interval": True,
}
_FLAGS = (
    "durable",
    "deferrable",
    "get_logs",
    "log_events_on_failure",
    "log_events_on_startup",
    "log_pod_spec_on_failure",
    "container_name_log_prefix_enabled",
)


@dataclass(frozen=True, kw_only=True)
class HandlingArguments:
    """See upstream's ``KubernetesPodOperator``: the meaning of each argument is the same."""

    on_finish_action: Any = "delete_pod"
    on_kill_action: Any = "delete_pod"
    container_logs: Any = None
    init_container_logs: Any = None
    callbacks: Any = None
    skip_on_exit_code: Any = None
    durable: Any = True
    deferrable: Any = True
    get_logs: Any = True
    log_events_on_failure: Any = False
    log_events_on_startup: Any = True
    log_pod_spec_on_failure: Any = True
    container_name_log_prefix_enabled: Any = True
    log_formatter: Any = None
    progress_callback: Any = None
    startup_timeout_seconds: Any = 120
    startup_check_interval_seconds: Any = 5
    schedule_timeout_seconds: Any = None
    poll_interval: Any = 2
    base_container_status_polling_interval: Any = 1
    logging_interval: Any = None

    @classmethod
    def of(cls, operator: object) -> HandlingArguments:
        """Read them from an object; what it has no attribute for has its default."""
        return cls(**{one.name: getattr(operator, one.name, one.default) for one in fields(cls)})


def check_handling(arguments: HandlingArguments, pod: PodArguments) -> None:
    """
    Check everything that does not become part of the pod.

    :param pod: already checked: tells which containers there are.
    :raises InvalidArgument: naming the argument, its value and what is allowed.
    """
    for name, allowed in (("on_finish_action", ON_FINISH), ("on_kill_action", ON_KILL)):
        action = getattr(arguments, name)
        if action is None:
            raise InvalidArgument(name, None, "an action; leave it out for 'delete_pod'")
        if not is_unrendered(action):
            check_one_of(name, text_of(action), *allowed)
    for name, zero in _TIMES.items():
        value = getattr(arguments, name)
        if value is not None and not is_unrendered(value):
            as_seconds(name, value, zero=zero)
    for name in _FLAGS:
        check_bool(name, getattr(arguments, name))
    for name in ("log_formatter", "progress_callback"):
        if getattr(arguments, name) is not None and not callable(getattr(arguments, name)):
            raise InvalidArgument(name, Kind(getattr(arguments, name)), "a function")
    if not is_unrendered(arguments.skip_on_exit_code):
        exit_code_test(arguments.skip_on_exit_code)
    _check_callbacks(arguments.callbacks)
    mains, inits = container_names(pod)
    _check_containers("container_logs", arguments.container_logs, mains | inits)
    _check_containers("init_container_logs", arguments.init_container_logs, inits)


def container_names(pod: PodArguments) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the main containers and of the init containers; none where a template may bring others."""
    manifest, unknown = draft(pod)
    if pod.pod_template_file or unknown & {"full_pod_spec", "pod_template_dict", "init_containers"}:
        return frozenset(), frozenset()
    spec: Mapping[str, Any] = manifest["spec"]
    mains, inits = (
        frozenset(name for one in spec.get(field) or [] if isinstance(name := one.get("name"), str))
        for field in ("containers", "initContainers")
    )
    return mains, inits


def _check_callbacks(callbacks: object) -> None:
    if not callbacks or is_unrendered(callbacks):
        return
    ones = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    for index, one in enumerate(ones):
        if isinstance(one, str) or not any(callable(getattr(one, name, None)) for name in _CALLBACKS):
            where = f"callbacks[{index}]" if isinstance(callbacks, (list, tuple)) else "callbacks"
            raise InvalidArgument(where, Kind(one), "a subclass of upstream's KubernetesPodOperatorCallback, or a list")


def _check_containers(argument: str, value: object, known: Collection[str]) -> None:
    """
    Refuse what is no name, and a name that is nearly a known one: three quarters of their letters agree.

    Other unknown names pass: admission webhooks add containers (``istio-proxy``), and a template file may.
    """
    if value is None or isinstance(value, bool) or is_unrendered(value):
        return
    names: Iterable[object] = [value] if isinstance(value, str) else value  # type: ignore[assignment]
    if not isinstance(names, (list, tuple, set, frozenset)):
        check_type(argument, value, (str, list, tuple, set), "True, a container's name, or a list of names")
        return
    for name in names:
        check_type(argument, name, str, "True, a container's name, or a list of names")
        if not isinstance(name, str) or is_unrendered(name) or name in known:
            continue
        if near := get_close_matches(name, known, 1, 0.75):
            raise InvalidArgument(argument, name, f"names of the pod's containers; did you mean {near[0]!r}?")
