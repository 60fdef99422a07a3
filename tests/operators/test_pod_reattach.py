"""``durable``: what the next try does about the pod of a try whose worker died, and what each try notes for it."""

from __future__ import annotations

from typing import Any

import pytest

from asyncrun.local.kube import Fault, Rule
from asyncrun.model.refs import LaunchPhase, PodLaunchRecord
from asyncrun.operators import errors
from asyncrun.operators.launch_notes import STORE_KEY
from tests.operators.pod_support import FOREVER, PodTries, asked, deferred, ended, only, operator, pods, said
from tests.operators.support import DyingTi, Store, Ti, Unwritable, Worker, WorkerDied
from tests.support.kube_lab import KubeLab


@pytest.fixture
def tries(kube: KubeLab, worker: Worker, request: pytest.FixtureRequest) -> PodTries:
    return PodTries(kube, worker, request.node.name)


def test_the_first_try_looks_for_nothing(kube: KubeLab, tries: PodTries) -> None:
    """A pod with its labels would be that of a DAG run that was deleted and made again."""
    tries.deferred(operator(kube, FOREVER, deferrable=True))
    assert (asked(kube, "list pods"), asked(kube, "get pods"), asked(kube, "create pods")) == (0, 0, 1)


def test_a_pod_that_has_succeeded_since_is_this_trys_success(
    kube: KubeLab, tries: PodTries, capsys: Any, caplog: Any
) -> None:
    """D17: upstream deletes it and runs it again."""
    waits = operator(kube, "echo 7 > /airflow/xcom/return.json", do_xcom_push=True)
    ref = tries.dies(waits)
    ended(kube)
    assert tries.run(waits) == 7
    assert asked(kube, "create pods") == 1
    assert f"Taking over pod {ref} of try 1, whose worker died before it learnt the end" in said(capsys, caplog)
    assert tries.noted.phase is LaunchPhase.SETTLED


def test_a_pod_that_has_failed_since_is_this_trys_failure_and_no_later_ones(kube: KubeLab, tries: PodTries) -> None:
    waits = operator(kube, "echo broken; exit 3", on_finish_action="keep_pod")
    ref = tries.dies(waits)
    ended(kube)
    for launched in (1, 2):
        with pytest.raises(errors.ContainerFailed) as caught:
            tries.run(waits)
        assert (caught.value.outcome.exit_code, caught.value.last_lines) == (3, ("broken",))
        assert asked(kube, "create pods") == launched
    assert tries.noted.ref != ref


def test_a_running_one_is_taken_over_by_its_note_without_a_list(kube: KubeLab, tries: PodTries) -> None:
    defers = operator(kube, FOREVER, deferrable=True)
    ref = tries.dies(defers)
    kube.kube.control.add_faults(Fault("list pods", status=403))
    assert tries.deferred(defers).ref == ref
    assert tries.noted.phase is LaunchPhase.HANDED_OVER


def test_without_a_note_it_is_found_by_its_labels(kube: KubeLab, tries: PodTries, capsys: Any, caplog: Any) -> None:
    """The worker died between Kubernetes's answer and the note."""
    defers = operator(kube, FOREVER, deferrable=True, labels={"team": "data"})
    ref = tries.dies(defers)
    tries.store.rows.clear()
    assert tries.deferred(defers).ref == ref
    assert f"Taking over pod {ref} of an earlier try, which still runs" in said(capsys, caplog)


def test_without_a_note_a_finished_one_is_found_too_unless_it_failed(kube: KubeLab, tries: PodTries) -> None:
    waits = operator(kube, "true")
    tries.dies(waits)
    ended(kube)
    tries.store.rows.clear()
    tries.run(waits)
    assert asked(kube, "create pods") == 1
    fails = operator(kube, "exit 3", task_id=waits.task_id + "f")
    tries.dies(fails)
    kube.until(lambda: any(one["status"]["phase"] == "Failed" for one in pods(kube)))
    tries.store.rows.clear()
    with pytest.raises(errors.ContainerFailed):
        tries.run(fails)
    assert asked(kube, "create pods") == 3


def test_a_chain_of_dying_workers_keeps_the_pod(kube: KubeLab, tries: PodTries) -> None:
    defers = operator(kube, FOREVER, deferrable=True)
    assert tries.dies(defers) == tries.dies(defers) == tries.deferred(defers).ref
    assert asked(kube, "create pods") == 1


@pytest.mark.parametrize("action", ["keep_pod", "delete_succeeded_pod", "delete_active_pod"])
def test_what_ended_in_sight_of_its_try_is_marked_and_a_retry_means_a_new_pod(
    kube: KubeLab, tries: PodTries, action: str
) -> None:
    waits = operator(kube, "exit 3", on_finish_action=action)
    for launched in (1, 2):
        with pytest.raises(errors.ContainerFailed):
            tries.run(waits)
        assert asked(kube, "create pods") == launched
        tries.store.rows.clear()  # by the label alone
    assert {one["metadata"]["labels"].get("already_checked") for one in pods(kube)} <= {"True"}


def test_one_that_is_being_deleted_is_not_taken_over(kube: KubeLab, tries: PodTries, capsys: Any, caplog: Any) -> None:
    defers = operator(kube, "trap '' TERM; echo up; sleep 60 & wait; wait", deferrable=True)
    ref = tries.dies(defers)
    kube.until(lambda: only(kube)["status"]["phase"] == "Running")
    kube.delete(ref, 30)
    assert tries.deferred(defers).ref != ref
    assert f"pod {ref} of try 1 is not taken over: it is being deleted" in said(capsys, caplog)


def test_another_pod_of_its_name_is_not_taken_over(kube: KubeLab, tries: PodTries, capsys: Any, caplog: Any) -> None:
    defers = operator(kube, FOREVER, deferrable=True)
    ref = tries.dies(defers)
    kube.delete(ref, 0)
    again = kube.create(name=ref.name)
    made = tries.deferred(defers).ref
    assert made.uid not in (ref.uid, again.uid)
    assert "another pod has its name now" in said(capsys, caplog)


@pytest.mark.parametrize("arguments", [{"durable": False}, {"reattach_on_restart": False}])
def test_where_it_is_not_wanted_nothing_is_looked_for_or_noted(
    kube: KubeLab, tries: PodTries, arguments: dict[str, Any]
) -> None:
    defers = operator(kube, FOREVER, deferrable=True, **arguments)
    first, second = tries.deferred(defers), tries.deferred(defers)
    assert first.ref != second.ref
    assert (asked(kube, "list pods"), tries.store.rows) == (0, {})


def test_nothing_is_launched_where_it_cannot_be_asked(kube: KubeLab, tries: PodTries, capsys: Any, caplog: Any) -> None:
    config = kube.kubeconfig("blind", kube.kube.control.add_token([Rule(verbs=("create",), resources=("pods",))]))
    defers = operator(kube, FOREVER, deferrable=True, config_file=str(config))
    ref = tries.dies(defers)
    with pytest.raises(errors.AccessDenied, match="verb 'get' on 'pods'"):
        tries.run(defers)
    assert asked(kube, "create pods") == 1
    text = said(capsys, caplog)
    assert "Nothing is launched: with durable=True it must first be known" in text
    assert f"Pod {ref} of try 1 was being looked for, and may still be running" in text


def test_a_store_that_fails_never_fails_the_launch_and_labels_help(
    kube: KubeLab, tries: PodTries, capsys: Any, caplog: Any
) -> None:
    tries.store.broken = {"get", "set"}
    defers = operator(kube, FOREVER, deferrable=True)
    first, second = tries.deferred(defers), tries.deferred(defers)
    assert first.ref == second.ref
    text = said(capsys, caplog)
    assert "task state store could not be read (RuntimeError: the API server is away)" in text
    assert "the next try may not find it once it has ended" in text


def test_a_failing_try_leaves_the_pod_of_an_earlier_try_alone_but_a_kill_does_not(
    kube: KubeLab, tries: PodTries
) -> None:
    defers, died = (operator(kube, FOREVER, deferrable=True, task_id="t") for _ in range(2))
    tries.dies(died)
    with pytest.raises(RuntimeError, match="the API server is away"):
        tries.run(defers, Unwritable)
    assert "deletionTimestamp" not in only(kube)["metadata"]
    defers.on_kill()
    assert all("deletionTimestamp" in pod["metadata"] for pod in pods(kube))  # one look: it may be gone in the next


def test_a_replaced_worker_of_the_same_try_stops_what_that_try_launched(kube: KubeLab, tries: PodTries) -> None:
    tries.number = 1
    died, task = (operator(kube, FOREVER, deferrable=True, task_id="t") for _ in range(2))
    first = tries.context(died, DyingTi)
    died._stop_now = lambda ref, why: True  # kill -9 stops nothing
    with pytest.raises(WorkerDied):
        tries.worker.execute(died, first)
    again = Unwritable(task.task_id, try_number=2, run_id=tries.run_id)
    again.id = first["ti"].id
    with pytest.raises(RuntimeError, match="the API server is away"):
        tries.worker.execute(task, tries.worker.context(task, ti=again, task_state_store=tries.store))
    assert asked(kube, "create pods") == 1
    assert asked(kube, "delete pods") == 1


def test_mapped_siblings_are_not_mixed_up(kube: KubeLab, worker: Worker) -> None:
    defers = operator(kube, FOREVER, deferrable=True)
    made = []
    for try_number in (1, 2):
        for index in (0, 1):
            ti = Ti(defers.task_id, try_number=try_number)
            ti.map_index = index
            made.append(deferred(worker, defers, worker.context(defers, ti=ti, task_state_store=Store())).ref)
    assert made[0] == made[2] != made[1] == made[3]


def test_the_note_is_read_as_the_first_release_wrote_it() -> None:
    """It lies in Airflow's database over an upgrade."""
    first = {
        "ref": {"kind": "pod", "namespace": "n", "name": "p", "uid": "u", "selector": "asyncrun/deployment=airflow"},
        "ti_id": "0190", "try_number": 2, "phase": "launched", "noted_at": 5.0, "version": 1,
    }  # fmt: skip
    record = PodLaunchRecord.from_dict(first)
    assert record.to_dict() == first
    assert PodLaunchRecord.from_dict({**first, "added": 1}) == record


def test_a_note_of_another_kind_is_said_and_not_used(kube: KubeLab, tries: PodTries, capsys: Any, caplog: Any) -> None:
    """The task was an ECS task's, before its DAG was changed."""
    tries.number = 1
    ref = {"cluster": "c", "task_arn": "arn:aws:ecs:us-east-1:1:task/c/id"}
    tries.store.set(STORE_KEY, {"ref": ref, "ti_id": "1", "try_number": 1, "phase": "launched", "noted_at": 1})
    tries.deferred(operator(kube, FOREVER, deferrable=True))
    assert "task state store is not used: an earlier try's note of its launch cannot be read" in said(capsys, caplog)
