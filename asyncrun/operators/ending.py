"""
Where a success ends: in the triggerer, or on a worker.

An end event of a trigger needs no worker and is about a second sooner, but Airflow then skips outlets, callbacks, hooks
and listeners (facts/airflow.md 7 and 19). So whatever would be skipped sends the end to a worker.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator

AUTO, ALWAYS, NEVER = "auto", "always", "never"


def _needs(text: str) -> Any:
    from dataclasses import field

    return field(default=False, metadata={"needs": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingFacts:
    """What a task has that an end event would skip; each with the words that the log shows."""

    outlets: bool = _needs("it has outlets")
    success_callback: bool = _needs("it has an on_success_callback")
    skipped_callback: bool = _needs("it has an on_skipped_callback")
    pre_execute: bool = _needs("it has a pre_execute hook")
    post_execute: bool = _needs("it has a post_execute hook")
    execute_complete: bool = _needs("its class overrides execute_complete")
    multiple_outputs: bool = _needs("it has multiple_outputs")
    map_index_template: bool = _needs("it has a map_index_template")
    mapped_over: bool = _needs("a downstream task is mapped over its result")
    listeners: bool = _needs("Airflow listeners are installed")
    xcom_backend: bool = _needs("a custom XCom backend is configured")

    def needs(self) -> list[str]:
        """Why a worker is needed, in words; empty if it is not."""
        return [one.metadata["needs"] for one in fields(self) if getattr(self, one.name)]


def decide(facts: EndingFacts, setting: str) -> tuple[bool, str]:
    """
    Whether a success may end in the triggerer, and why, as a sentence for the log.

    :param setting: ``[asyncrun] end_in_triggerer``: auto, always or never.
    """
    needs = facts.needs()
    if setting == NEVER:
        return False, "A success will end on a worker: [asyncrun] end_in_triggerer = never."
    if not needs:
        return True, "A success will end in the triggerer: nothing needs a worker."
    reasons = ", and ".join(needs)
    if setting == ALWAYS:
        return True, (
            f"A success will end in the triggerer: [asyncrun] end_in_triggerer = always. Airflow skips what a worker "
            f"would do: {reasons}."
        )
    return False, f"A success will end on a worker: {reasons}."


def collect(task: BaseOperator, base: type) -> EndingFacts:
    """
    Read the facts from a task in a worker.

    :param base: the class whose ``execute_complete`` is ours.
    """
    from airflow.sdk import BaseOperator

    kind = type(task)
    return EndingFacts(
        outlets=bool(task.outlets),
        success_callback=bool(task.on_success_callback),
        skipped_callback=bool(task.on_skipped_callback),
        pre_execute=task._pre_execute_hook is not None or _overrides(task, "pre_execute", BaseOperator),  # noqa: SLF001
        post_execute=task._post_execute_hook is not None or _overrides(task, "post_execute", BaseOperator),  # noqa: SLF001
        execute_complete=kind.execute_complete is not base.execute_complete,  # type: ignore[attr-defined]
        multiple_outputs=bool(task.multiple_outputs),
        map_index_template=task.map_index_template is not None,
        mapped_over=next(iter(task.iter_mapped_dependants()), None) is not None,
        listeners=_has_listeners(),
        xcom_backend=_has_xcom_backend(),
    )


def _overrides(task: BaseOperator, method: str, base: type) -> bool:
    """Airflow asks the same way before it runs them; an instance attribute counts too."""
    return getattr(getattr(task, method), "__func__", None) is not getattr(base, method)


def _has_listeners() -> bool:
    """Whether a listener waits for the end of a task, or of a worker's process."""
    from airflow.sdk.listener import get_listener_manager

    manager = get_listener_manager()
    hook = manager.hook
    watched = ("on_task_instance_success", "on_task_instance_skipped", "before_stopping")
    return manager.has_listeners and any(getattr(hook, name).get_hookimpls() for name in watched)


def _has_xcom_backend() -> bool:
    from airflow.sdk.bases.xcom import BaseXCom
    from airflow.sdk.execution_time.xcom import XCom

    return XCom is not BaseXCom
