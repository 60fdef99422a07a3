"""How a pod's trigger ends, against an embedded Kubernetes whose pods are played."""

from __future__ import annotations

import asyncio

import pytest
from airflow.triggers.base import TaskSuccessEvent

from asyncrun.model.diagnosis import Cause
from asyncrun.model.event import PodCompletionEvent
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.triggers.background import finish_all
from tests.support.kube_lab import NAMESPACE, KubeLab
from tests.support.triggers import call, event_of, hears, said, start
from tests.triggers.conftest import TaskLogReader

pytestmark = pytest.mark.usefixtures("loop_closed")


async def completion(kube: KubeLab, trigger_fields: dict[str, object], script: dict[str, object]) -> PodCompletionEvent:
    ref = await call(kube.create, script)
    event = await event_of(kube.trigger(1, ref, end_in_triggerer=False, **trigger_fields))
    return PodCompletionEvent.from_dict(event.payload)


async def test_a_success_ends_in_the_triggerer_with_all_lines_and_then_the_pod_is_deleted(
    kube: KubeLab, task_log: TaskLogReader
) -> None:
    ref = await call(kube.create, {"lines": 20, "interval": 0.02})
    event = await event_of(kube.trigger(1, ref))
    assert isinstance(event, TaskSuccessEvent)
    assert [line.split(".")[0] for line in task_log.lines("base")] == [f"base {number}" for number in range(20)]
    assert "container 'base' exited with 0" in said(task_log, 1)
    await kube.gone(ref)
    await finish_all()


async def test_a_failure_goes_to_a_worker_with_exit_code_diagnosis_and_last_lines_and_its_pod_is_left_to_it(
    kube: KubeLab, task_log: TaskLogReader
) -> None:
    ref = await call(kube.create, {"lines": 30, "interval": 0.01, "exit_code": 3})
    event = await event_of(kube.trigger(1, ref))
    end = PodCompletionEvent.from_dict(event.payload)
    assert (end.outcome.verdict, end.outcome.exit_code, end.outcome.decided_by) == (Verdict.FAILED, 3, "base")
    assert end.diagnosis.cause is Cause.EXIT_CODE
    assert "exited with code 3" in end.diagnosis.summary
    assert [line.split(".")[0] for line in end.last_lines] == [f"base {number}" for number in range(20, 30)]
    assert end.diagnosis.summary in said(task_log, 1)
    await finish_all()
    assert await call(kube.exists, ref)
    assert (await call(kube.kube.control.counts)).counts.get("delete pods", 0) == 0


async def test_twenty_pods_cost_one_list_one_watch_and_no_get(kube: KubeLab, task_log: TaskLogReader) -> None:
    """D12: no client, no session and no request per pod."""
    refs = [await call(kube.create, {"lines": 10, "interval": 1.0}) for _ in range(20)]
    await call(kube.kube.control.counts, clear=True)
    running = [start(kube.trigger(number, ref, on_finish_action="keep_pod")) for number, ref in enumerate(refs)]
    await asyncio.gather(*running)
    traffic = await call(kube.kube.control.counts)
    counts = traffic.counts
    assert (counts["list pods"], counts["watch pods"]) == (1, 1)
    assert counts.get("get pods", 0) == 0
    assert counts["follow pods/log"] == 20
    assert traffic.connections <= 25, "one for each follow, the watch, the list, and the test's own calls"
    await finish_all()


async def test_a_pod_that_was_created_again_under_its_name_is_another_one(
    kube: KubeLab, task_log: TaskLogReader
) -> None:
    """D17: identity is the uid."""
    ref = await call(kube.create, {"run": 60, "lines": 1}, name="twice")
    waiting = start(kube.trigger(1, ref, end_in_triggerer=False))
    await hears(task_log, 1, "is Running")
    await call(kube.delete, ref, 0)
    again = await call(kube.create, {"run": 0.2, "lines": 1}, name="twice")
    end = PodCompletionEvent.from_dict((await waiting).payload)
    assert end.outcome.verdict is Verdict.STOPPED
    await finish_all()
    assert await call(kube.exists, again)
    assert (await call(kube.kube.control.counts)).counts["delete pods"] == 1, "but the test's own"


async def test_the_deadline_deletes_the_pod_and_says_why(kube: KubeLab, task_log: TaskLogReader) -> None:
    import time

    ref = await call(kube.create, {"run": 60, "lines": 2, "interval": 0.1})
    made = kube.trigger(1, ref, deadline=time.time() + 1, deadline_reason="execution_timeout=0:00:01", grace_seconds=0)
    end = PodCompletionEvent.from_dict((await event_of(made)).payload)
    assert end.outcome.stop_cause is StopCause.DEADLINE
    assert "execution_timeout=0:00:01" in end.diagnosis.summary
    assert "takes longer than execution_timeout=0:00:01 allows: stopping it" in said(task_log, 1)
    await kube.gone(ref)


async def test_a_pod_that_is_kept_is_ended_by_its_active_deadline_and_stays(
    kube: KubeLab, task_log: TaskLogReader
) -> None:
    from asyncrun.clients.config import load_settings
    from asyncrun.triggers.tasklog import TaskLog

    ref = await call(kube.create, {"run": 60, "lines": 1})
    made = kube.trigger(1, ref, on_finish_action="keep_pod")
    async with TaskLog(1, load_settings()) as log:
        await made.open_run(load_settings(), log)._stopping.at_deadline("a test")
    pod = await call(kube.call, "GET", f"/namespaces/{NAMESPACE}/pods/{ref.name}")
    assert pod["spec"]["activeDeadlineSeconds"] == 1


async def test_a_cluster_that_refuses_connections_for_a_while_fails_nothing(
    kube: KubeLab, task_log: TaskLogReader
) -> None:
    ref = await call(kube.create, {"lines": 10, "interval": 0.3})
    waiting = start(kube.trigger(1, ref))
    await hears(task_log, 1, "base 2", "base")
    await call(kube.kube.control.refuse, 3)
    assert isinstance(await waiting, TaskSuccessEvent)
    assert [line.split(".")[0] for line in task_log.lines("base")] == [f"base {number}" for number in range(10)]
    assert "is Succeeded" in said(task_log, 1)
    await finish_all()


async def others_come(kube: KubeLab) -> None:
    """Pods of others, so that the history goes on where ours has nothing new."""
    while True:
        await call(kube.create, {"run": 0}, labels={})
        await asyncio.sleep(0.1)


async def test_410s_and_cuts_all_the_time_change_nothing(kube: KubeLab, task_log: TaskLogReader) -> None:
    await call(kube.kube.control.cut, "*", every=0.3)
    await call(kube.kube.control.compact, every=0.2)
    refs = [await call(kube.create, {"lines": 40, "interval": 0.05, "exit_code": number}) for number in range(4)]
    made = [kube.trigger(number, ref, end_in_triggerer=False) for number, ref in enumerate(refs)]
    coming = asyncio.create_task(others_come(kube), name="others")
    try:
        events = await asyncio.gather(*map(event_of, made))
    finally:
        coming.cancel()
        await asyncio.wait([coming])
    ends = [PodCompletionEvent.from_dict(event.payload) for event in events]
    assert [end.outcome.exit_code for end in ends] == [0, 1, 2, 3]
    for number in range(4):
        lines = "\n".join(one["event"] for one in task_log.records("base") if one["trigger_id"] == number)
        assert [line.split(".")[0] for line in lines.splitlines()] == [f"base {line}" for line in range(40)]
    counts = (await call(kube.kube.control.counts)).counts
    assert counts["watch pods"] > 2
    assert counts["follow pods/log"] > 8
    assert counts["list pods"] > 1, "a 410 leads to a listing"


async def test_another_trigger_of_the_same_pod_writes_the_whole_log_again_record_for_record(
    kube: KubeLab, task_log: TaskLogReader
) -> None:
    """Airflow's reader shows equal records once (D10)."""
    ref = await call(kube.create, {"lines": 30, "interval": 0.03, "burst": 3})
    first = start(kube.trigger(1, ref, on_finish_action="keep_pod", end_in_triggerer=False))
    await hears(task_log, 1, "base 9", "base")
    first.cancel("the triggerer ends")
    await asyncio.wait([first])
    await event_of(kube.trigger(2, ref, on_finish_action="keep_pod", end_in_triggerer=False))
    one, two = (
        [
            {name: value for name, value in record.items() if name != "trigger_id"}
            for record in task_log.records("base")
            if record["trigger_id"] == number
        ]
        for number in (1, 2)
    )
    assert len("\n".join(record["event"] for record in two).splitlines()) == 30
    assert one
    assert one[:-1] == two[: len(one) - 1]
