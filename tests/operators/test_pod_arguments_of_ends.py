"""What the arguments make of a pod's end: what is left of it, what skips, what is shown."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from msgspec.structs import replace

from asyncrun.operators import errors
from tests.operators.pod_support import deferred, ended, only, operator, pods, said
from tests.operators.support import Worker
from tests.support.kube_lab import KubeLab


@dataclasses.dataclass(frozen=True)
class Finish:
    """What is to be left of a pod."""

    action: str
    after_success: bool
    after_failure: bool
    after_timeout: bool


FINISHES = [
    Finish("delete_pod", after_success=False, after_failure=False, after_timeout=False),
    Finish("delete_succeeded_pod", after_success=False, after_failure=True, after_timeout=True),
    Finish("keep_pod", after_success=True, after_failure=True, after_timeout=True),
    Finish("delete_active_pod", after_success=True, after_failure=True, after_timeout=False),
]


@pytest.mark.parametrize("finish", FINISHES, ids=lambda one: one.action)
@pytest.mark.parametrize("end", ["success", "failure", "timeout"])
def test_every_finish_action_after_every_end(kube: KubeLab, worker: Worker, finish: Finish, end: str) -> None:
    from datetime import timedelta

    script = {"success": "true", "failure": "exit 3", "timeout": "sleep 10"}[end]
    arguments: dict[str, Any] = {"execution_timeout": timedelta(seconds=1)} if end == "timeout" else {}
    task = operator(
        kube, script, on_finish_action=finish.action, deferrable=True, termination_grace_period=1, **arguments
    )
    context = worker.context(task)
    watch = deferred(worker, task, context)
    event = worker.call(kube.inline_event, replace(watch, end_in_triggerer=False))
    raised = {"failure": errors.ContainerFailed, "timeout": errors.DeadlineExceeded}.get(end)
    with pytest.raises(raised) if raised else nullcontext():
        worker.call(task.execute_complete, context, event)
    if not getattr(finish, f"after_{end}"):
        kube.until(lambda: not pods(kube))
    else:
        ended(kube)
        assert only(kube)["metadata"]["labels"]["already_checked"] == "True"


def test_a_pod_that_cannot_start_is_given_up_and_deleted(kube: KubeLab, worker: Worker) -> None:
    task = operator(
        kube, startup_timeout_seconds=2, volumes=[{"name": "v", "secret": {"secretName": "not-there"}}],
        volume_mounts=[{"name": "v", "mountPath": "/v"}],
    )  # fmt: skip
    with pytest.raises(errors.NeverStarted) as caught:
        worker.execute(task, worker.context(task))
    assert "not-there" in str(caught.value)
    kube.until(lambda: not pods(kube))


def test_an_exit_code_that_skips_after_a_deferral(kube: KubeLab, worker: Worker) -> None:
    task = operator(kube, "exit 5", skip_on_exit_code=5, deferrable=True)
    context = worker.context(task)
    event = worker.call(kube.inline_event, deferred(worker, task, context))
    with pytest.raises(AirflowSkipException, match="exited with 5, which is in skip_on_exit_code"):
        worker.call(task.execute_complete, context, event)
    kube.until(lambda: not pods(kube))


def test_a_timeout_never_skips(kube: KubeLab, worker: Worker) -> None:
    from datetime import timedelta

    task = operator(
        kube, "trap 'exit 5' TERM; sleep 60 & wait", skip_on_exit_code=5, deferrable=True,
        execution_timeout=timedelta(seconds=1),
    )  # fmt: skip
    context = worker.context(task)
    event = worker.call(kube.inline_event, deferred(worker, task, context))
    with pytest.raises(errors.DeadlineExceeded):
        worker.call(task.execute_complete, context, event)


def test_the_events_of_a_failure_are_shown_where_they_are_wanted(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    for wanted in (False, True):
        task = operator(kube, "exit 3", log_events_on_failure=wanted, log_pod_spec_on_failure=False)
        with pytest.raises(errors.ContainerFailed):
            worker.execute(task, worker.context(task))
        assert ("Kubernetes event Started" in said(capsys, caplog)) is wanted
        caplog.clear()
