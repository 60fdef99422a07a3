"""``reattach``: what the next try does about the run of a try whose worker died, and what each try notes for it."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from asyncrun.local.aws import EmbeddedAws, Fault
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.refs import EcsLaunchRecord, EcsTaskRef, LaunchPhase
from asyncrun.operators import errors
from asyncrun.operators.launch_notes import STORE_KEY
from tests.operators.support import FOREVER, DyingTi, Store, Ti, WorkerDied, boto, described, run_task


class Tries:
    """Tries of one task instance, each in a worker of its own."""

    def __init__(self, worker: Any, run_id: str) -> None:
        self.worker, self.run_id, self.store, self.number = worker, run_id, Store(), 0

    def run(self, operator: Any, kind: type[Ti] = Ti) -> Any:
        """The next try, to its end in this worker."""
        self.number += 1
        ti = kind("run", try_number=self.number, run_id=self.run_id)
        context = self.worker.context(operator, ti=ti, task_state_store=self.store)
        return self.worker.execute(operator, context)

    def deferred(self, operator: Any) -> EcsTaskWatch:
        """The next try, which defers."""
        with pytest.raises(TaskDeferred) as caught:
            self.run(operator)
        return EcsTaskWatch.from_dict(caught.value.trigger.watch)

    def dies(self, operator: Any) -> EcsTaskRef:
        """The next try, whose worker dies between launch and deferral; its run."""
        with pytest.raises(WorkerDied):
            self.run(operator, DyingTi)
        assert self.noted.phase is LaunchPhase.LAUNCHED
        return self.noted.ref

    @property
    def noted(self) -> EcsLaunchRecord:
        return EcsLaunchRecord.from_dict(self.store.get(STORE_KEY))


@pytest.fixture
def tries(aws: EmbeddedAws, worker: Any, request: pytest.FixtureRequest) -> Tries:
    return Tries(worker, request.node.name)


def operator(program: str, **arguments: Any) -> Any:
    # kill -9 stops nothing; an exception would.
    return run_task(program, **{"reattach": True, "stop_task_on_failure": False, **arguments})


def stopped(aws: EmbeddedAws, ref: EcsTaskRef) -> None:
    boto(aws).get_waiter("tasks_stopped").wait(
        cluster="default", tasks=[ref.task_arn], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )


def said(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    return "".join(capsys.readouterr()) + caplog.text


def test_a_run_that_has_succeeded_since_is_this_trys_success(
    aws: EmbeddedAws, tries: Tries, capsys: Any, caplog: Any
) -> None:
    waits_here = operator("print('one'); print('two')", deferrable=False)
    ref = tries.dies(waits_here)
    stopped(aws, ref)
    listed = len(aws.control.calls("ListTasks"))
    assert tries.run(waits_here) == "two"
    assert len(aws.control.calls("RunTask")) == 1
    assert len(aws.control.calls("ListTasks")) == listed  # the note is enough
    assert f"Taking over ECS task {ref} of try 1, whose worker died before it learnt the end" in said(capsys, caplog)
    assert tries.noted.phase is LaunchPhase.SETTLED


def test_a_run_that_has_failed_since_is_this_trys_failure_and_no_later_ones(aws: EmbeddedAws, tries: Tries) -> None:
    waits_here = operator("print('broken'); raise SystemExit(3)", deferrable=False)
    ref = tries.dies(waits_here)
    stopped(aws, ref)
    with pytest.raises(errors.ContainerFailed) as caught:
        tries.run(waits_here)
    assert (caught.value.outcome.exit_code, caught.value.last_lines) == (3, ("broken",))
    assert len(aws.control.calls("RunTask")) == 1
    with pytest.raises(errors.ContainerFailed):
        tries.run(waits_here)
    assert len(aws.control.calls("RunTask")) == 2
    assert tries.noted.ref != ref


def test_a_deferring_try_takes_over_the_ended_run_and_hands_it_over(aws: EmbeddedAws, tries: Tries) -> None:
    defers = operator("print('x')")
    ref = tries.dies(defers)
    stopped(aws, ref)
    watch = tries.deferred(defers)
    assert (watch.ref, watch.launched_at) == (ref, None)
    noted = tries.noted
    assert (noted.ref, noted.phase, noted.try_number) == (ref, LaunchPhase.HANDED_OVER, 2)
    assert tries.deferred(defers).ref != ref  # from then on the trigger answered for it
    assert len(aws.control.calls("RunTask")) == 2


def test_a_running_one_is_taken_over_without_list_tasks(aws: EmbeddedAws, tries: Tries) -> None:
    defers = operator(FOREVER)
    ref = tries.dies(defers)
    aws.control.add_faults(Fault("ListTasks", "access_denied"))
    assert tries.deferred(defers).ref == ref
    boto(aws).stop_task(cluster="default", task=ref.task_arn)


def test_a_chain_of_dying_workers_keeps_the_run(aws: EmbeddedAws, tries: Tries) -> None:
    defers = operator(FOREVER)
    assert tries.dies(defers) == tries.dies(defers) == tries.deferred(defers).ref
    assert len(aws.control.calls("RunTask")) == 1
    boto(aws).stop_task(cluster="default", task=tries.noted.ref.task_arn)


@pytest.mark.parametrize("ends_at_once", [True, False])
def test_what_airflow_stopped_is_not_taken_over(
    aws: EmbeddedAws, tries: Tries, capsys: Any, caplog: Any, ends_at_once: bool
) -> None:
    """Also while it is still stopping: a user cleared the task, say."""
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    defers = operator(FOREVER if ends_at_once else stubborn + FOREVER)
    ref = tries.dies(defers)
    boto(aws).get_waiter("tasks_running").wait(
        cluster="default", tasks=[ref.task_arn], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    reason = "Stopped by Airflow: the Airflow task was killed"
    boto(aws).stop_task(cluster="default", task=ref.task_arn, reason=reason)
    if ends_at_once:
        stopped(aws, ref)
    second = tries.deferred(defers).ref
    assert second != ref
    assert f"ECS task {ref} of try 1 is not taken over: {reason}" in said(capsys, caplog)
    for one in (ref, second):
        boto(aws).stop_task(cluster="default", task=one.task_arn)


def test_one_that_a_person_stopped_is_this_trys_end(aws: EmbeddedAws, tries: Tries) -> None:
    waits_here = operator(FOREVER, deferrable=False)
    ref = tries.dies(waits_here)
    boto(aws).stop_task(cluster="default", task=ref.task_arn, reason="not now")
    stopped(aws, ref)
    with pytest.raises(errors.StoppedByUser, match="not now"):
        tries.run(waits_here)


def test_one_that_ecs_has_forgotten_is_launched_anew(aws: EmbeddedAws, tries: Tries, capsys: Any, caplog: Any) -> None:
    defers = operator("print('x')")
    ref = tries.dies(defers)
    aws.control.vanish(ref.task_arn)
    young = tries.deferred(defers)
    assert young.ref == ref  # whoever waits has the patience to find it
    assert "ECS does not show the task yet" in said(capsys, caplog)
    old = {**tries.noted.to_dict(), "phase": "launched", "noted_at": 0.0}
    tries.store.set(STORE_KEY, old)
    assert tries.deferred(defers).ref != ref
    assert f"ECS no longer knows task {ref} of try 2, so its end cannot be told" in said(capsys, caplog)


def test_nothing_is_launched_where_it_cannot_be_asked(aws: EmbeddedAws, tries: Tries, capsys: Any, caplog: Any) -> None:
    defers = operator("print('x')")
    tries.dies(defers)
    aws.control.add_faults(Fault("DescribeTasks", "access_denied"))
    with pytest.raises(errors.AccessDenied, match="DescribeTasks"):
        tries.run(defers)
    assert len(aws.control.calls("RunTask")) == 1
    text = said(capsys, caplog)
    assert "Nothing is launched: with reattach=True it must first be known" in text
    assert "ecs:ListTasks and ecs:DescribeTasks are needed" in text


def test_a_store_that_fails_never_fails_the_launch(aws: EmbeddedAws, tries: Tries, capsys: Any, caplog: Any) -> None:
    tries.store.broken = {"get", "set"}
    ref = tries.deferred(operator("print('x')")).ref
    text = said(capsys, caplog)
    assert "task state store could not be read (RuntimeError: the API server is away)" in text
    assert f"could not be told that {ref} is launched (RuntimeError: the API server is away)" in text
    assert "should this worker die, the next try may not find it once it has ended" in text


def test_a_failure_is_settled_though_the_hand_over_could_not_be_noted(aws: EmbeddedAws, tries: Tries) -> None:
    """Otherwise each retry would take over the same failure again."""

    class ForgetsHandOver(Store):
        def set(self, key: str, value: Any) -> None:
            if value["phase"] == "handed over":
                raise RuntimeError("the API server is away")
            super().set(key, value)

    tries.store = ForgetsHandOver()
    defers = operator("raise SystemExit(3)")
    watch = tries.deferred(defers)
    stopped(aws, watch.ref)
    assert tries.noted.phase is LaunchPhase.LAUNCHED
    from asyncrun.triggers.base import run_inline
    from asyncrun.triggers.ecs import EcsTaskTrigger

    event = tries.worker.call(lambda: __import__("asyncio").run(run_inline(EcsTaskTrigger(watch.to_dict()))))
    context = tries.worker.context(defers, ti=Ti("run", run_id=tries.run_id), task_state_store=tries.store)
    with pytest.raises(errors.ContainerFailed):
        defers.execute_complete(context, event.payload)
    assert tries.noted.phase is LaunchPhase.SETTLED
    assert tries.deferred(defers).ref != watch.ref


def test_a_note_of_another_kind_is_said_and_not_used(aws: EmbeddedAws, tries: Tries, capsys: Any, caplog: Any) -> None:
    tries.store.set(STORE_KEY, {"phase": "unheard of"})
    tries.deferred(operator("print('x')"))
    assert "task state store is not used: an earlier try's note of its launch cannot be read" in said(capsys, caplog)


def test_without_waiting_the_launch_is_the_end(aws: EmbeddedAws, tries: Tries) -> None:
    tries.run(operator("print('x')", wait_for_completion=False))
    assert tries.noted.phase is LaunchPhase.SETTLED


def test_without_reattach_the_store_is_left_alone(aws: EmbeddedAws, tries: Tries) -> None:
    tries.store.broken = {"get", "set"}
    tries.deferred(operator("print('x')", reattach="{{ 'False' }}"))
    assert tries.store.rows == {}


def test_the_note_is_read_as_the_first_release_wrote_it() -> None:
    """It lies in Airflow's database over an upgrade."""
    first = {
        "ref": {"cluster": "c", "task_arn": "arn:aws:ecs:us-east-1:1:task/c/id"},
        "ti_id": "0190",
        "try_number": 2,
        "phase": "launched",
        "noted_at": 5.0,
        "version": 1,
    }
    record = EcsLaunchRecord.from_dict(first)
    assert record.to_dict() == {**first, "ref": {"kind": "ecs", **first["ref"]}}
    assert EcsLaunchRecord.from_dict({**first, "added": 1}) == record


def test_a_run_of_another_try_is_described_in_its_own_cluster(aws: EmbeddedAws, tries: Tries) -> None:
    """The DAG may name another cluster by now; one that is gone hides nothing that could be taken over."""
    defers = operator("print('x')")
    tries.dies(defers)
    gone = {**tries.noted.to_dict(), "ref": {"cluster": "gone", "task_arn": "arn:aws:ecs:us-east-1:1:task/gone/id"}}
    tries.store.set(STORE_KEY, gone)
    ref = tries.deferred(defers).ref
    assert described(aws, ref.task_arn)["startedBy"].startswith("asyncrun/")
