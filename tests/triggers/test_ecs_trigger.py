"""An ECS task watched to its end by the real trigger, against the embedded AWS."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from asyncrun.local.aws.options import Fault
from asyncrun.model.diagnosis import Cause
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.event import CompletionEvent
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.model.refs import AwsTarget, EcsTaskRef
from asyncrun.triggers.ecs import EcsTaskTrigger
from tests.support.lab import Lab, container, logging_to
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")

LINES = "for i in 1 2 3; do echo line $i; done"


def trigger(arn: str, **fields: Any) -> EcsTaskTrigger:
    watch = EcsTaskWatch(
        ref=EcsTaskRef(cluster="default", task_arn=arn),
        target=AwsTarget(conn_id=None),
        deferred_at=time.time(),
        **{"end_in_triggerer": True, **fields},
    )
    made = EcsTaskTrigger(watch.to_dict())
    made.trigger_id = TRIGGER_ID
    return made


async def event_of(made: EcsTaskTrigger) -> TriggerEvent:
    events = [event async for event in made.run()]
    assert len(events) == 1
    return events[0]


async def completion(arn: str, **fields: Any) -> CompletionEvent:
    event = await event_of(trigger(arn, **{"end_in_triggerer": False, **fields}))
    return CompletionEvent.from_payload(event.payload)


async def call(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(work, *arguments, **named)


async def test_a_success_ends_in_the_triggerer_with_every_line_in_the_log(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container(LINES, **logging_to()))
    assert isinstance(await event_of(trigger(arn)), TaskSuccessEvent)
    assert task_log.lines("main") == ["line 1", "line 2", "line 3"]
    assert all(one["trigger_id"] == TRIGGER_ID for one in task_log.records())
    assert task_log.said().endswith("container 'main' exited with 0")


async def test_records_carry_the_sources_time_and_level(lab: Lab, task_log: TaskLogReader) -> None:
    before = time.time()
    arn = await call(lab.run, container("echo 'ERROR: boom'; sleep 0.3; echo fine", **logging_to()))
    await event_of(trigger(arn))
    first, second = task_log.records("main")
    assert (first["level"], second["level"]) == ("error", "info")
    from datetime import datetime

    stamps = [datetime.fromisoformat(one["timestamp"]).timestamp() for one in (first, second)]
    assert before - 0.1 <= stamps[0] <= stamps[1] - 0.2 <= time.time()


async def test_the_log_is_live_while_the_task_runs(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("echo early; sleep 30", **logging_to()))
    made = trigger(arn)
    watching = asyncio.create_task(event_of(made), name="trigger")
    await task_log.shows("main", "early")
    assert not watching.done()
    await call(lab.ecs.stop_task, task=arn)
    await watching


async def test_a_failure_carries_exit_code_diagnosis_and_the_last_lines(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container(LINES + "; exit 3", **logging_to()))
    end = await completion(arn, number_logs_exception=2)
    assert (end.outcome.verdict, end.outcome.exit_code, end.outcome.code) == (
        Verdict.FAILED, 3, "EssentialContainerExited",
    )  # fmt: skip
    assert end.diagnosis.cause is Cause.EXIT_CODE
    assert end.last_lines == ("line 2", "line 3")
    assert end.result == "line 3"
    assert "container 'main' exited with code 3" in task_log.said()


async def test_several_containers_are_told_apart_and_the_first_essential_one_decides(
    lab: Lab, task_log: TaskLogReader
) -> None:
    arn = await call(
        lab.run,
        container("echo from side; sleep 60", name="side", essential=False, **logging_to()),
        container("echo from main", name="main", **logging_to()),
    )
    end = await completion(arn)
    assert (end.outcome.verdict, end.outcome.decided_by, end.result) == (Verdict.SUCCEEDED, "main", "from main")
    assert task_log.lines("side") == ["[side] from side"]
    assert task_log.lines("main") == ["[main] from main"]


# D1, D3: a refused call never fails a run.
@pytest.mark.parametrize("kind", ["throttle", "http_500", "reset", "malformed"])
async def test_refused_calls_never_fail_a_run_nor_lose_a_line(lab: Lab, task_log: TaskLogReader, kind: Any) -> None:
    faults = [
        Fault(name, kind, probability=0.5) for name in ("DescribeTasks", "FilterLogEvents", "DescribeTaskDefinition")
    ]
    await call(lab.aws.control.add_faults, *faults)
    arn = await call(lab.run, container("for i in 1 2 3 4 5 6; do echo line $i; sleep 0.2; done", **logging_to()))
    assert isinstance(await event_of(trigger(arn)), TaskSuccessEvent)
    assert task_log.lines("main") == [f"line {i}" for i in range(1, 7)]


# D2
async def test_a_young_task_that_is_missing_at_first_is_waited_for(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("sleep 1", **logging_to()))
    await call(lab.aws.control.add_faults, Fault("DescribeTasks", "malformed", count=3))
    assert isinstance(await event_of(trigger(arn)), TaskSuccessEvent)


# D2
async def test_a_task_that_stays_missing_is_lost_with_an_explanation(lab: Lab, task_log: TaskLogReader) -> None:
    end = await completion("arn:aws:ecs:us-east-1:123456789012:task/default/" + "0" * 32)
    assert end.outcome.verdict is Verdict.LOST
    assert "ECS no longer knows the task" in end.diagnosis.summary
    assert "MISSING for" in end.diagnosis.summary


# D4
async def test_the_last_line_arrives_even_if_cloudwatch_shows_it_late(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__LOGS_QUIET_PERIOD", "3")
    arn = await call(lab.run, container("echo first", **logging_to()))
    await call(lab.wait, arn)
    made = trigger(arn, push_result=False)
    watching = asyncio.create_task(event_of(made), name="trigger")
    await task_log.shows("main", "first")
    stream = f"p/main/{arn.rsplit('/', 1)[1]}"
    await call(lab.aws.control.put_log_event, "/lab", stream, "last", timestamp=int(time.time() * 1000) - 200)
    await watching
    assert task_log.lines("main") == ["first", "last"]


# D5
async def test_a_stream_that_does_not_exist_fails_nothing_and_is_said(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("true", **logging_to()))
    assert isinstance(await event_of(trigger(arn)), TaskSuccessEvent)
    assert "No log of container main: its stream never appeared" in task_log.said()


# D8
async def test_the_deadline_stops_the_task_and_says_which_argument_set_it(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("echo working; sleep 60", **logging_to()))
    end = await completion(arn, deadline=time.time() + 1, deadline_reason="execution_timeout=0:00:01")
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.STOPPED, StopCause.DEADLINE)
    assert (
        end.diagnosis.summary == "the task was stopped because it took longer than allowed: execution_timeout=0:00:01"
    )
    task = await call(lab.wait, arn)
    assert (task["stopCode"], task["stoppedReason"]) == (
        "UserInitiated", "Stopped by Airflow: execution_timeout=0:00:01",
    )  # fmt: skip
    assert end.last_lines == ("working",)


async def test_a_task_that_ended_while_nobody_watched_keeps_its_own_outcome_though_the_deadline_is_over(
    lab: Lab, task_log: TaskLogReader
) -> None:
    arn = await call(lab.run, container("echo mine; exit 3", **logging_to()))
    await call(lab.wait, arn)
    end = await completion(arn, deadline=time.time() - 5, deadline_reason="execution_timeout=0:00:01")
    assert (end.outcome.verdict, end.outcome.exit_code, end.outcome.stop_cause) == (Verdict.FAILED, 3, None)
    assert not await call(lab.aws.control.calls, "StopTask")


async def test_a_deadline_whose_stop_is_refused_is_tried_again_and_says_what_became_of_it(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__KILL_GRACE", "1")
    arn = await call(lab.run, container("sleep 60", **logging_to()))
    await call(lab.aws.control.add_faults, Fault("StopTask", "expired_token", count=4))
    end = await completion(arn, deadline=time.time() + 1, deadline_reason="execution_timeout=0:00:01")
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.STOPPED, StopCause.DEADLINE)
    assert end.diagnosis.summary.endswith("longer than allowed: execution_timeout=0:00:01")
    assert (await call(lab.wait, arn))["stopCode"] == "UserInitiated"


async def test_lost_access_does_not_wait_for_the_end_of_a_log(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("while true; do echo more; sleep 0.2; done", **logging_to()))
    watching = asyncio.create_task(completion(arn), name="trigger")
    await task_log.shows("main", "more")
    await call(lab.aws.control.set_policy, ["logs:FilterLogEvents"])
    began = time.monotonic()
    end = await watching
    assert end.outcome.stop_cause is StopCause.ACCESS
    assert time.monotonic() - began < 30
    await call(lab.aws.control.set_policy, None)
    await call(lab.ecs.stop_task, task=arn)


async def test_a_task_stopped_by_somebody_else_says_so(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("sleep 60", **logging_to()))
    watching = asyncio.create_task(completion(arn), name="trigger")
    await asyncio.sleep(0.3)
    await call(lab.ecs.stop_task, task=arn, reason="by an operator")
    end = await watching
    assert (end.outcome.verdict, end.diagnosis.cause) == (Verdict.STOPPED, Cause.USER)
    assert "by an operator" in end.diagnosis.summary


async def test_a_spot_interruption_is_an_eviction(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("sleep 60", **logging_to()))
    watching = asyncio.create_task(completion(arn), name="trigger")
    await asyncio.sleep(0.3)
    await call(lab.aws.control.interrupt, arn)
    end = await watching
    assert (end.outcome.verdict, end.diagnosis.cause) == (Verdict.EVICTED, Cause.SPOT)


@pytest.mark.parametrize(
    ("definition", "cause"),
    [
        ({"image": "repo/does-not-exist"}, Cause.IMAGE),
        ({"secrets": [{"name": "S", "valueFrom": "arn:aws:ssm:us-east-1:1:parameter/missing"}]}, Cause.SECRET),
    ],
)
async def test_a_task_that_cannot_start_tells_why(
    lab: Lab, task_log: TaskLogReader, definition: dict[str, Any], cause: Cause
) -> None:
    arn = await call(lab.run, container("true", **{**logging_to(), **definition}))
    end = await completion(arn)
    assert (end.outcome.verdict, end.diagnosis.cause) == (Verdict.NEVER_STARTED, cause)
    assert end.diagnosis.next_step


async def test_a_missing_log_group_tells_why(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("true", **logging_to("/nowhere")))
    end = await completion(arn)
    assert (end.outcome.verdict, end.diagnosis.cause) == (Verdict.NEVER_STARTED, Cause.LOG_GROUP)


async def test_out_of_memory_tells_the_limit(lab: Lab, task_log: TaskLogReader) -> None:
    grow = container(name="main", memory=64, **logging_to())
    grow.update(entryPoint=["python3", "-c"], command=["x = bytearray(300 << 20); import time; time.sleep(30)"])
    arn = await call(lab.run, grow)
    end = await completion(arn)
    assert end.diagnosis.cause is Cause.OUT_OF_MEMORY
    assert "(container limit 64 MiB)" in end.diagnosis.summary


# D19
async def test_logs_are_read_from_the_region_of_the_task_definition(lab: Lab, task_log: TaskLogReader) -> None:
    await call(lab.client("logs", region_name="eu-west-1").create_log_group, logGroupName="/far")
    arn = await call(lab.run, container("echo far away", **logging_to("/far", **{"awslogs-region": "eu-west-1"})))
    await event_of(trigger(arn))
    assert task_log.lines("main") == ["far away"]


async def test_ec2_without_a_prefix_is_read_from_the_runtime_ids_stream(lab: Lab, task_log: TaskLogReader) -> None:
    family = await call(lab.define, container("echo by id", memory=64, **logging_to(prefix=None)), fargate=False)
    answer = await call(lab.ecs.run_task, taskDefinition=family, launchType="EC2")
    await event_of(trigger(answer["tasks"][0]["taskArn"]))
    assert task_log.lines("main") == ["by id"]


async def test_with_upstreams_least_policy_everything_works_and_the_missing_actions_are_said_once(
    lab: Lab, task_log: TaskLogReader
) -> None:
    arn = await call(lab.run, container(LINES, **logging_to()))
    allowed = ["ecs:RunTask", "ecs:StopTask", "ecs:DescribeTasks", "logs:GetLogEvents"]
    await call(lab.aws.control.set_policy, allowed)
    event = await event_of(trigger(arn, log_group="/lab", log_stream_prefix="p/main"))
    assert isinstance(event, TaskSuccessEvent)
    assert task_log.lines("main") == ["line 1", "line 2", "line 3"]
    said = task_log.said()
    assert said.count("ecs:DescribeTaskDefinition is missing") == 1
    assert len([line for line in said.splitlines() if "logs:FilterLogEvents" in line]) == 1


async def test_without_any_right_to_logs_the_run_still_ends_right(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container(LINES, **logging_to()))
    await call(lab.aws.control.set_policy, ["ecs:DescribeTasks"])
    assert isinstance(await event_of(trigger(arn, log_group="/lab", log_stream_prefix="p")), TaskSuccessEvent)
    assert "logs:GetLogEvents" in task_log.said()


async def test_denied_access_fails_after_the_grace_and_says_who_must_act(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("sleep 5", **logging_to()))
    await call(lab.aws.control.set_policy, ["ecs:RunTask"])
    end = await completion(arn)
    assert (end.outcome.verdict, end.outcome.stop_cause, end.diagnosis.cause) == (
        Verdict.LOST, StopCause.ACCESS, Cause.ACCESS,
    )  # fmt: skip
    assert "may still be running" in end.diagnosis.summary
    assert "ecs:DescribeTasks" in end.diagnosis.summary
    assert "Whoever manages permissions" in end.diagnosis.next_step
    assert "cannot be seen at the moment" in task_log.said()


async def test_access_that_comes_back_within_the_grace_fails_nothing(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__ACCESS_GRACE", "30")
    arn = await call(lab.run, container("sleep 8", **logging_to()))
    await call(lab.aws.control.add_faults, Fault("DescribeTasks", "expired_token", count=3))
    assert isinstance(await event_of(trigger(arn)), TaskSuccessEvent)
    assert "can be seen again" in task_log.said()


async def test_a_trigger_that_starts_again_writes_the_same_records(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("for i in 1 2 3 4; do echo line $i; sleep 0.15; done", **logging_to()))
    await event_of(trigger(arn))
    first = task_log.records("main")
    await event_of(trigger(arn))
    assert task_log.records("main") == first + first


async def test_a_watch_that_cannot_be_read_fails_in_run_and_never_in_the_constructor() -> None:
    from asyncrun.model.errors import MalformedAnswer

    garbage = EcsTaskTrigger({"no": "watch"}, of="another release")
    assert garbage.serialize() == ("asyncrun.triggers.ecs.EcsTaskTrigger", {"watch": {"no": "watch"}})
    with pytest.raises(MalformedAnswer, match="the trigger's arguments cannot be read"):
        await event_of(garbage)
