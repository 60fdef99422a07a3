"""Ends that are not the program's, and a cluster that does not show everything. In virtual time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from asyncrun.model.diagnosis import Cause
from asyncrun.model.errors import Unavailable
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.triggers.pod import PodTrigger
from asyncrun.triggers.pod_run import PodRun
from tests.support.triggers import event_of, said, start
from tests.triggers.conftest import TaskLogReader
from tests.triggers.pod_runs.shared_memory import SharedMemory, at, denied, end_of, ended, event, running
from tests.triggers.pods.memory_kube import uid_of

pytestmark = [pytest.mark.usefixtures("settings"), pytest.mark.looptime]


# -- how it ends -------------------------------------------------------------------------------------------------------


async def test_out_of_memory_is_called_so(memory: SharedMemory, task_log: TaskLogReader) -> None:
    memory.put()
    at(5, lambda: memory.put("Failed", ended(137, "OOMKilled")))
    end = await memory.completion(logs=())
    assert (end.outcome.verdict, end.diagnosis.cause) == (Verdict.FAILED, Cause.OUT_OF_MEMORY)
    assert "ran out of memory" in end.diagnosis.summary


async def test_an_eviction_is_called_so(memory: SharedMemory, task_log: TaskLogReader) -> None:
    memory.put()
    message = "The node was low on resource: memory."
    at(5, lambda: memory.put("Failed", ended(137), reason="Evicted", message=message))
    end = await memory.completion(logs=())
    assert end.outcome.verdict is Verdict.EVICTED
    assert "low on resource: memory" in end.diagnosis.text()


@pytest.mark.parametrize(("outage", "verdict"), [(5, Verdict.EVICTED), (500, Verdict.SUCCEEDED)])
async def test_an_eviction_that_only_events_tell_is_asked_for_until_it_is_answered(
    memory: SharedMemory, task_log: TaskLogReader, settings: pytest.MonkeyPatch, outage: float, verdict: Verdict
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__REASON_WAIT", "15")
    loop = asyncio.get_running_loop()
    back = loop.time() + outage
    memory.fault = lambda operation: Unavailable("away") if operation == "events" and loop.time() < back else None
    memory.told[uid_of(1)] = [event("Evicted", "The node was low on resource: memory.")]
    memory.put()
    at(1, lambda: memory.put("Succeeded", ended()))
    end = await end_of(memory, logs=())
    assert end.outcome.verdict is verdict
    unknown = "told by its events only, and they cannot be read: nobody answered"
    assert (unknown in said(task_log, 1)) == (verdict is Verdict.SUCCEEDED)
    assert said(task_log, 1).count("cannot be read at the moment") == 1


async def test_one_that_is_gone_before_it_was_seen_is_lost(memory: SharedMemory, task_log: TaskLogReader) -> None:
    end = await memory.completion(logs=())
    assert end.outcome.verdict is Verdict.LOST
    assert "how the pod ended cannot be known: it is gone, and nobody saw how it ended" in end.diagnosis.summary


async def test_the_base_container_decides_while_others_go_on(memory: SharedMemory, task_log: TaskLogReader) -> None:
    memory.put("Running", running(), running("beside"))
    at(5, lambda: memory.put("Running", ended(), running("beside")))
    loop = asyncio.get_running_loop()
    began = loop.time()
    end = await memory.completion(logs=())
    assert end.outcome.verdict is Verdict.SUCCEEDED
    assert loop.time() - began < 10


async def test_a_sidecar_that_goes_on_keeps_nobody_waiting(
    memory: SharedMemory, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    """As one that ignores TERM does until the end of the pod's grace."""
    settings.setenv("AIRFLOW__ASYNCRUN__LOGS_DRAIN_LIMIT", "600")
    memory.put("Running", running(), initContainerStatuses=[running("proxy")])
    at(5, lambda: memory.put("Running", ended(), initContainerStatuses=[running("proxy")]))
    loop = asyncio.get_running_loop()
    began = loop.time()
    end = await memory.completion()
    assert end.outcome.verdict is Verdict.SUCCEEDED
    assert loop.time() - began < 100


async def test_an_end_that_others_share_the_step_with_still_has_its_log(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    """The first state that is seen is already the end: the log must have heard of it, too, before it is drained."""
    memory.logs["p1", "base"] = b"2026-01-02T03:04:05.000000001Z hello\n"
    for _ in range(20):
        memory.put("Succeeded", ended())
        end = await memory.completion()
        assert end.outcome.verdict is Verdict.SUCCEEDED
    assert task_log.lines("base") == ["hello"] * 20


# -- a cluster that does not show everything ---------------------------------------------------------------------------


async def test_where_list_and_watch_are_forbidden_the_pod_is_polled_and_that_is_said_once(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    memory.fault = lambda operation: denied(operation) if operation in ("list", "watch") else None
    memory.put()
    at(20, lambda: memory.put("Succeeded", ended()))
    end = await memory.completion(logs=())
    assert end.outcome.verdict is Verdict.SUCCEEDED
    text = said(task_log, 1)
    assert text.count("verb 'list' on 'pods'") == 1, text
    assert memory.count("get") > 2


async def test_where_a_webhook_has_removed_the_labels_the_pod_is_polled_and_that_is_said(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    memory.put(labels={})
    at(20, lambda: memory.put("Failed", ended(4), labels={}))
    end = await memory.completion(logs=())
    assert end.outcome.exit_code == 4
    assert said(task_log, 1).count("label") == 1, said(task_log, 1)


async def test_where_logs_are_forbidden_the_run_ends_as_it_ended_and_that_is_said(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    memory.fault = lambda operation: denied("get", "pods/log") if operation == "log" else None
    memory.put()
    at(5, lambda: memory.put("Failed", ended(4)))
    end = await memory.completion()
    assert (end.outcome.exit_code, end.last_lines) == (4, ())
    text = said(task_log, 1)
    assert "The log of this pod cannot be read, and the run goes on without it." in text
    assert "permission to get pods/log in namespace jobs" in text


async def test_where_nothing_may_be_seen_it_is_given_up_after_the_grace_and_may_still_run(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    memory.fault = lambda operation: denied(operation) if operation in ("list", "watch", "get") else None
    memory.put()
    end = await memory.completion()
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.LOST, StopCause.ACCESS)
    assert "can no longer be watched, and may still be running" in end.diagnosis.summary
    assert "Whoever manages the cluster's permissions must restore access" in end.diagnosis.next_step
    assert memory.deleted_by_calls == []


async def test_a_cluster_that_is_away_for_minutes_fails_nothing(memory: SharedMemory, task_log: TaskLogReader) -> None:
    memory.put()
    away = Unavailable("The connection was refused.", service="kubernetes")

    def begin() -> None:
        memory.fault = lambda operation: away
        memory.cut()

    def finish() -> None:
        memory.put("Succeeded", ended())
        memory.fault = lambda operation: None

    at(5, begin)
    at(600, finish)
    end = await memory.completion(logs=())
    assert end.outcome.verdict is Verdict.SUCCEEDED
    text = said(task_log, 1)
    assert text.count("cannot be seen at the moment; the watching goes on") == 1
    assert "can be seen again, after" in text


async def test_the_deadline_is_enforced_where_the_delete_is_denied_and_says_that_it_may_run(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    memory.fault = lambda operation: denied("delete") if operation == "delete" else None
    memory.put()
    end = await end_of(memory, deadline=time.time() + 5, deadline_reason="execution_timeout=0:00:05", logs=())
    assert end.outcome.stop_cause is StopCause.DEADLINE
    assert "may still be running" in end.diagnosis.summary
    assert "the verb 'delete' on 'pods'" in end.diagnosis.summary


async def test_a_stop_at_the_deadline_that_is_denied_is_said_at_once_and_once(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    """Who may allow it can do so while it is tried again; and a pod that ends by itself meanwhile keeps its end."""
    memory.fault = lambda operation: denied("delete") if operation == "delete" else None
    memory.put()
    at(50, lambda: memory.put("Succeeded", ended()))
    end = await end_of(memory, deadline=time.time() + 5, deadline_reason="execution_timeout=0:00:05", logs=())
    assert end.outcome.verdict is Verdict.SUCCEEDED
    text = said(task_log, 1)
    assert text.count("could not be stopped, and may still be running") == 1
    assert "the verb 'delete' on 'pods'" in text


# -- defects, and rows of other releases -------------------------------------------------------------------------------


class Defective(PodRun):
    """A defect of ours that shows at each look."""

    def _see(self, pod: Any) -> None:
        raise ZeroDivisionError("a defect in the run")


class OfDefective(PodTrigger):
    opened = 0

    def open_run(self, settings: Any, task_log: Any) -> PodRun:
        self.opened += 1
        return Defective(self._parsed, settings, task_log)


@pytest.mark.expects_defect
async def test_a_defect_that_stays_is_said_and_the_pod_is_not_left_behind(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    memory.put()
    made = OfDefective(memory.trigger().watch)
    made.trigger_id = 1
    with pytest.raises(ZeroDivisionError, match="a defect in the run"):
        await event_of(made)
    assert made.opened == 3
    assert memory.deleted_by_calls == [("p1", None)]
    assert said(task_log, 1).count("A defect of asyncrun while watching (ZeroDivisionError") == 3


async def test_a_row_of_a_newer_release_with_more_in_it_works(memory: SharedMemory, task_log: TaskLogReader) -> None:
    memory.put()
    made = memory.trigger(logs=())
    made.watch = {**made.watch, "added_later": {"x": [1]}}
    waiting_for = start(made)
    await asyncio.sleep(2)
    memory.put("Succeeded", ended())
    assert (await waiting_for).payload["outcome"]["verdict"] == "succeeded"


@pytest.mark.parametrize("watch", [None, {}, {"version": 99}, {"ref": {"kind": "ecs"}}, "text"])
async def test_a_row_that_cannot_be_read_never_raises_in_the_constructor_and_is_a_clear_error(
    memory: SharedMemory, task_log: TaskLogReader, watch: Any
) -> None:
    from asyncrun.model.errors import MalformedAnswer

    made = PodTrigger(watch, unknown=1)
    made.trigger_id = 1
    assert made.serialize()[1] == {"watch": watch}
    with pytest.raises(MalformedAnswer, match="the trigger's arguments cannot be read"):
        await event_of(made)


def test_the_row_as_the_first_release_wrote_it_still_loads() -> None:
    from asyncrun.model.pod_watch import PodWatch

    row = {
        "ref": {"namespace": "n", "name": "p", "uid": "u", "selector": "asyncrun/deployment=airflow"},
        "target": {"conn_id": "kubernetes_default", "in_cluster": None, "config_file": None, "cluster_context": None},
        "deferred_at": 5.0, "launched_at": 4.0, "base": "base", "version": 1,
    }  # fmt: skip
    watch = PodWatch.from_dict(row)
    assert (watch.ref.uid, watch.on_finish_action, watch.schedule_timeout) == ("u", "delete_pod", 120)
    assert PodTrigger(row).serialize() == ("asyncrun.triggers.pod.PodTrigger", {"watch": row})
