"""``EcsRunTaskOperator`` in a worker, against an embedded AWS."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException, TaskDeferred

from asyncrun.local.aws import EmbeddedAws, Fault
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.refs import EcsTaskRef
from asyncrun.operators import ecs_launching, errors
from tests.operators.support import FOREVER, Ti, Unwritable, boto, described, run_task


def deferral(worker: Any, operator: Any, context: Any) -> tuple[TaskDeferred, EcsTaskWatch]:
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(operator, context)
    path, arguments = caught.value.trigger.serialize()
    assert path == "asyncrun.triggers.ecs.EcsTaskTrigger"
    return caught.value, EcsTaskWatch.from_dict(arguments["watch"])


def test_launches_announces_and_defers(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task(
        tags={"team": "data"}, propagate_tags="TASK_DEFINITION", enable_execute_command=True, owner="a b"
    )
    context = worker.context(operator)
    deferred, watch = deferral(worker, operator, context)
    xcoms, ti = context["ti"].xcoms, context["ti"]
    arn = xcoms["ecs_task_arn"]
    assert {key: xcoms["asyncrun_run"][key] for key in ("try_number", "ref", "ti_id")} == {
        "try_number": 1,
        "ref": {"kind": "ecs", "cluster": "default", "task_arn": arn},
        "ti_id": str(ti.id),
    }
    assert watch.ref == EcsTaskRef(cluster="default", task_arn=arn)
    assert deferred.method_name == "execute_complete"
    assert watch.end_in_triggerer
    assert watch.end_reason == "A success will end in the triggerer: nothing needs a worker."
    assert watch.push_result
    task = described(aws, arn)
    assert task["startedBy"] == "a_b"
    assert task["tags"] == [{"key": "team", "value": "data"}]
    assert task["enableExecuteCommand"] is True
    assert operator.arn == arn


def test_the_same_try_launches_once_and_the_next_again(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task()
    first_try, second_try = Ti("run"), Ti("run", try_number=2)
    arns = [
        deferral(worker, operator, worker.context(operator, ti=ti))[1].ref.task_arn
        for ti in (first_try, first_try, second_try)
    ]
    assert arns[0] == arns[1] != arns[2]


def test_a_launch_whose_answer_is_lost_is_not_repeated(aws: EmbeddedAws, worker: Any) -> None:
    aws.control.add_faults(Fault("RunTask", "drop_answer", count=1))
    operator = run_task(FOREVER, owner="lost-answer")
    _, watch = deferral(worker, operator, worker.context(operator))
    running = boto(aws).list_tasks(cluster="default", startedBy="lost-answer")["taskArns"]
    assert running == [watch.ref.task_arn]
    operator.on_kill()


def test_reattach_takes_over_a_running_task_of_an_earlier_try(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task(FOREVER, reattach="True")
    _, first = deferral(worker, operator, worker.context(operator, ti=Ti("run", run_id="r1")))
    second_context = worker.context(operator, ti=Ti("run", run_id="r1", try_number=2))
    _, second = deferral(worker, operator, second_context)
    assert second.ref == first.ref
    assert first.launched_at is not None
    assert second.launched_at is None
    assert second_context["ti"].xcoms["asyncrun_run"]["try_number"] == 2
    _, other = deferral(worker, operator, worker.context(operator, ti=Ti("run", run_id="r2")))
    assert other.ref != first.ref
    for ref in (first.ref, other.ref):
        boto(aws).stop_task(cluster="default", task=ref.task_arn)


def test_reattach_launches_anew_when_the_earlier_task_has_stopped(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task("raise SystemExit(3)", reattach=True)
    _, first = deferral(worker, operator, worker.context(operator, ti=Ti("run", run_id="r3")))
    boto(aws).get_waiter("tasks_stopped").wait(
        cluster="default", tasks=[first.ref.task_arn], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    _, second = deferral(worker, operator, worker.context(operator, ti=Ti("run", run_id="r3", try_number=2)))
    assert second.ref != first.ref


def test_does_not_wait_when_told_so(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task(wait_for_completion="{{ wait }}")
    context = worker.context(operator, wait="False")
    assert worker.execute(operator, context) is None
    assert context["ti"].xcoms["asyncrun_run"]["ref"]["task_arn"] == operator.arn


def test_announces_the_run_even_without_xcom_push(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task(do_xcom_push=False)
    context = worker.context(operator)
    _, watch = deferral(worker, operator, context)
    assert set(context["ti"].xcoms) == {"asyncrun_run"}
    assert not watch.push_result


@pytest.mark.parametrize(
    ("arguments", "seconds", "reason"),
    [
        ({"execution_timeout": timedelta(minutes=10)}, 600, "execution_timeout=0:10:00"),
        (
            {"waiter_delay": 5, "waiter_max_attempts": 10, "execution_timeout": timedelta(minutes=10)},
            50,
            "waiter_delay=5 s x waiter_max_attempts=10",
        ),
        ({}, 6000000, "waiter_delay=6 s x waiter_max_attempts=1000000"),
        ({"waiter_max_attempts": 2**63}, None, ""),
    ],
)
def test_the_shorter_limit_is_the_deadline_and_airflows_is_later(
    aws: EmbeddedAws, worker: Any, arguments: dict[str, Any], seconds: float | None, reason: str
) -> None:
    before = time.time()
    operator = run_task(**arguments)
    deferred, watch = deferral(worker, operator, worker.context(operator))
    assert watch.deadline_reason == reason
    if seconds is None:
        assert watch.deadline is None
        assert deferred.timeout is None
    else:
        assert watch.deadline == pytest.approx(before + seconds, abs=20)
        assert deferred.timeout.total_seconds() == pytest.approx(seconds + 600, abs=20)


def test_out_of_capacity_is_upstreams_error_too_and_can_be_pickled(aws: EmbeddedAws, worker: Any) -> None:
    import pickle

    from airflow.providers.amazon.aws.exceptions import EcsOperatorError

    aws.control.set_out_of_capacity("FARGATE")
    operator = run_task()
    with pytest.raises(errors.OutOfCapacity, match="ECS has no room for the task in cluster 'default' now") as caught:
        worker.execute(operator, worker.context(operator))
    assert isinstance(caught.value, AirflowException)
    assert isinstance(caught.value, EcsOperatorError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value)
    assert again.failures == caught.value.failures != []
    assert str(again) == str(caught.value)


def test_an_unknown_task_definition_is_a_typed_error(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task(task_definition="nobody-registered-this")
    with pytest.raises(errors.RequestRefused, match="TaskDefinition not found") as caught:
        worker.execute(operator, worker.context(operator))
    assert caught.value.operation == "RunTask"


@pytest.mark.parametrize("stops", [True, False])
def test_a_run_that_cannot_be_announced_is_stopped(aws: EmbeddedAws, worker: Any, stops: bool) -> None:
    operator = run_task(FOREVER, stop_task_on_failure=stops)
    with pytest.raises(RuntimeError, match="the API server is away"):
        worker.execute(operator, worker.context(operator, ti=Unwritable("run")))
    assert len(aws.control.calls("StopTask")) == stops
    if stops:
        assert described(aws, operator.arn)["stoppedReason"] == "Stopped by Airflow: the Airflow task failed"
    else:
        operator.on_kill()


def test_kill_works_inside_a_running_event_loop(aws: EmbeddedAws, blocking_calls_fail: Any) -> None:
    """The SDK calls on_kill in its SIGTERM handler, in the main thread, which may be inside asyncio.run."""
    blocking_calls_fail.deactivate()  # a signal handler stops everything, also the event loop: on purpose
    arn = boto(aws).run_task(
        cluster="default",
        taskDefinition="operators",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
    )["tasks"][0]["taskArn"]
    ref = EcsTaskRef(cluster="default", task_arn=arn)
    operator = run_task()

    async def handler_runs_here() -> None:
        ecs_launching.stop(operator.target, ref, "test", operator.log)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(handler_runs_here())).result()
    assert described(aws, arn)["stoppedReason"] == "Stopped by Airflow: test"


def test_a_failed_deferral_stops_the_run(aws: EmbeddedAws, worker: Any) -> None:
    from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

    operator = run_task(FOREVER)
    context = worker.context(operator)
    _, watch = deferral(worker, operator, context)
    resumed = run_task()
    with pytest.raises(TaskDeferralTimeout):
        resumed.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    stopped = described(aws, watch.ref.task_arn)
    assert stopped["desiredStatus"] == "STOPPED"
    assert stopped["stoppedReason"] == "Stopped by Airflow: the deferral of the Airflow task failed"
    another_try = worker.context(operator, ti=Ti("run", try_number=2))
    another_try["ti"].xcoms = context["ti"].xcoms
    with pytest.raises(TaskDeferralError):
        run_task().resume_execution("__fail__", {"error": "Trigger failure"}, another_try)
    assert len(aws.control.calls("StopTask")) == 1  # a record of another try is nobody's to stop


def test_waits_in_the_worker_and_returns_the_last_line(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task("print('one'); print('two')", deferrable=False)
    assert worker.execute(operator, worker.context(operator)) == "two"


def test_failure_in_the_worker_shows_the_last_lines(aws: EmbeddedAws, worker: Any) -> None:
    program = "import sys; [print('line', n) for n in range(5)]; sys.exit(7)"
    operator = run_task(program, deferrable=False, number_logs_exception=2)
    with pytest.raises(errors.ContainerFailed) as caught:
        worker.execute(operator, worker.context(operator))
    assert caught.value.outcome.exit_code == 7
    assert caught.value.last_lines == ("line 3", "line 4")
    assert str(caught.value).endswith("Last 2 log lines:\n  line 3\n  line 4")
    assert aws.control.calls("StopTask") == []  # it has ended


def test_exit_code_skips_in_the_worker(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task("raise SystemExit(99)", deferrable=False, skip_on_exit_code=99)
    with pytest.raises(AirflowSkipException, match="container 'main' exited with 99, which is in skip_on_exit_code"):
        worker.execute(operator, worker.context(operator))
