"""Where a success ends, read from real operators in real DAGs."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, Asset, task

from asyncrun.operators.ecs import EcsRunTaskOperator
from asyncrun.operators.ending import EndingFacts, collect, decide
from tests.operators.support import run_task


def decided(operator: Any, setting: str = "auto") -> tuple[bool, str]:
    return decide(collect(operator, EcsRunTaskOperator), setting)


def nothing(*_: Any) -> None:
    """A callback."""


class OwnComplete(EcsRunTaskOperator):
    def execute_complete(self, context: Any, event: Any = None) -> str | None:
        return super().execute_complete(context, event)


class OwnPost(EcsRunTaskOperator):
    def post_execute(self, context: Any, result: Any = None) -> None:
        return None


class OwnPre(EcsRunTaskOperator):
    def pre_execute(self, context: Any) -> None:
        return None


class OwnInit(EcsRunTaskOperator):
    """Overrides nothing that matters."""


CASES = [
    ({"outlets": [Asset("a")]}, "it has outlets"),
    ({"on_success_callback": nothing}, "it has an on_success_callback"),
    ({"on_skipped_callback": nothing}, "it has an on_skipped_callback"),
    ({"pre_execute": nothing}, "it has a pre_execute hook"),
    ({"post_execute": nothing}, "it has a post_execute hook"),
    ({"kind": OwnPre}, "it has a pre_execute hook"),
    ({"kind": OwnPost}, "it has a post_execute hook"),
    ({"kind": OwnComplete}, "its class overrides execute_complete"),
    ({"multiple_outputs": True}, "it has multiple_outputs"),
    ({"map_index_template": "{{ x }}"}, "it has a map_index_template"),
]


@pytest.mark.parametrize(("arguments", "reason"), CASES, ids=lambda value: value if isinstance(value, str) else "")
def test_what_airflow_would_skip_needs_a_worker(arguments: dict[str, Any], reason: str) -> None:
    with DAG("d"):
        operator = run_task(**arguments)
    assert decided(operator) == (False, f"A success will end on a worker: {reason}.")


def test_a_plain_task_and_a_plain_subclass_end_in_the_triggerer() -> None:
    with DAG("d"):
        for operator in (run_task(), run_task(task_id="b", kind=OwnInit)):
            assert decided(operator) == (True, "A success will end in the triggerer: nothing needs a worker.")


def test_failure_and_retry_callbacks_need_no_worker() -> None:
    with DAG("d"):
        operator = run_task(on_failure_callback=nothing, on_retry_callback=nothing, on_execute_callback=nothing)
    assert decided(operator)[0]


def test_default_args_count() -> None:
    with DAG("d", default_args={"on_success_callback": nothing}):
        operator = run_task()
    assert decided(operator)[1] == "A success will end on a worker: it has an on_success_callback."


def test_a_downstream_task_mapped_over_the_result() -> None:
    @task
    def use(x: Any) -> None:
        """Use it."""

    with DAG("d"):
        mapped_over, only_used = run_task(task_id="a"), run_task(task_id="b")
        use.expand(x=mapped_over.output)
        use(only_used.output)
    assert decided(mapped_over) == (
        False,
        "A success will end on a worker: a downstream task is mapped over its result.",
    )
    assert decided(only_used)[0]


def test_a_listener_for_the_end_needs_a_worker() -> None:
    from airflow.sdk.listener import get_listener_manager

    class Listener:
        from airflow.listeners import hookimpl

        @hookimpl
        def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
            """Listen."""

    manager, listener = get_listener_manager(), Listener()
    with DAG("d"):
        operator = run_task()
    manager.pm.register(listener)
    try:
        assert decided(operator) == (False, "A success will end on a worker: Airflow listeners are installed.")
    finally:
        manager.pm.unregister(listener)


def test_the_setting_rules() -> None:
    needy = EndingFacts(outlets=True, listeners=True)
    assert decide(EndingFacts(), "never") == (
        False,
        "A success will end on a worker: [asyncrun] end_in_triggerer = never.",
    )
    assert decide(needy, "auto") == (
        False,
        "A success will end on a worker: it has outlets, and Airflow listeners are installed.",
    )
    assert decide(needy, "always") == (
        True,
        "A success will end in the triggerer: [asyncrun] end_in_triggerer = always. Airflow skips what a worker would "
        "do: it has outlets, and Airflow listeners are installed.",
    )
