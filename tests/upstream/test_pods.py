"""
Defects of the installed cncf provider (shared fact sheet UPSTREAM.md), seen on it against the embedded Kubernetes.

What a test here asserts is what upstream does wrong; if upstream mends it, its test fails. Ours, for the same, are the
tests that the second column names.

=====  ===============================================================  ==============================================
D      upstream, here                                                   ours
=====  ===============================================================  ==============================================
D9     test_d9_logging_interval_loses_or_doubles_lines                  logs: 20_lines_a_second_for_ten_minutes_with
D11    (it takes two triggerers)                                        kill: a_trigger_that_moves_to_another
D12    test_d12_each_call_opens_a_connection_of_its_own                 runs: twenty_pods_cost_one_list_one_watch
D14    test_d14_logs_of_other_containers_are_ignored_when_deferrable    arguments: the_chosen_containers_logs_are
D15    test_d15_the_error_says_neither_exit_code_nor_reason             operator: the_error_of_a_failure_has_exit_code
D16    test_d16_an_xcom_needs_exec                                      permissions: a_feature_works_with_exactly
D17    test_d17_a_finished_pod_is_deleted_and_run_again                 reattach: a_pod_that_has_succeeded_since_is
D22    (it takes a whole Airflow)                                       ends: success_ends_in_the_triggerer_with_the
=====  ===============================================================  ==============================================
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow.providers.cncf.kubernetes.operators.pod as upstream  # noqa: TID253 - no DAG file
import pytest
from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger  # noqa: TID253
from airflow.sdk.exceptions import TaskDeferred

from asyncrun.clients.config import load_settings
from asyncrun.local.kube import EmbeddedKube, Rule
from tests.operators.pod_support import ended, operator, pods, said
from tests.operators.support import Ti, Worker
from tests.support.kube_lab import NAMESPACE, KubeLab

pytestmark = [pytest.mark.upstream, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(180)]

OURS = {
    "runs": "triggers/pod_runs/test_pod_ends.py",
    "logs": "triggers/pods/test_pod_log_following.py",
    "kill": "triggers/pod_runs/test_pod_kill.py",
    "ends": "airflow/test_pod_ends.py",
    "arguments": "operators/test_pod_arguments_end_to_end.py",
    "operator": "operators/test_pod_operator.py",
    "permissions": "operators/test_pod_permissions.py",
    "reattach": "operators/test_pod_reattach.py",
}


@pytest.fixture(scope="module")
def kube_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeLab]:
    with EmbeddedKube() as kube:
        yield KubeLab(kube, tmp_path_factory.mktemp("kube"))


@pytest.fixture
def kube(kube_server: KubeLab) -> Iterator[KubeLab]:
    load_settings.cache_clear()
    kube_server.kube.control.counts(clear=True)
    yield kube_server
    kube_server.kube.control.clear_faults()
    kube_server.call("DELETE", f"/namespaces/{NAMESPACE}/pods", gracePeriodSeconds="0")


def theirs(kube: KubeLab, script: str, **arguments: Any) -> Any:
    given = {
        "task_id": "theirs", "name": "theirs", "image": "busybox", "cmds": ["sh", "-c", script], "namespace": NAMESPACE,
        "config_file": str(kube.config), "kubernetes_conn_id": None, **arguments,
    }  # fmt: skip
    return upstream.KubernetesPodOperator(**given)


def context_of(worker: Worker, task: Any, **more: Any) -> dict[str, Any]:
    return worker.context(task, run_id="manual__1", dag=SimpleNamespace(), **more)


def ended_theirs(kube: KubeLab, worker: Worker, task: Any) -> Any:
    """Deferred, the pod's end, resumed with the event that its trigger would send."""
    context = context_of(worker, task)
    context["ti"].start_date = None
    with pytest.raises(TaskDeferred) as deferred:
        worker.execute(task, context)
    ended(kube)
    trigger = deferred.value.trigger

    async def event() -> Any:
        return [one async for one in trigger.run()][-1].payload

    payload = worker.call(asyncio.run, event())
    return worker.call(task.trigger_reentry, context, payload)


def test_the_tests_of_ours_that_the_table_names_exist() -> None:
    folder = Path(__file__).parent.parent
    named = re.findall(rf"({'|'.join(OURS)}): (\w+)", __doc__ or "")
    assert len(named) == 8
    for where, name in named:
        assert re.search(rf"def test_\w*{name}\w*\(", (folder / OURS[where]).read_text()), (where, name)


def test_d9_logging_interval_loses_or_doubles_lines(kube: KubeLab, worker: Worker, capsys: Any, caplog: Any) -> None:
    """
    What the resumed worker reads begins at a whole second, and it reads as often as it resumes. By chance that may go
    well once.
    """
    for _ in range(3):
        capsys.readouterr()
        caplog.clear()
        read_in_intervals(kube, worker)
        lines = re.findall(r"\bline (\d+)\b", said(capsys, caplog))
        assert lines
        if lines != [str(number) for number in range(1, 161)]:
            return
    pytest.fail("each line once, three times: D9 is mended")


def read_in_intervals(kube: KubeLab, worker: Worker) -> None:
    """A deferred pod that writes 160 lines within 8 s."""
    task = theirs(kube, "for n in $(seq 160); do echo line $n; sleep 0.05; done", deferrable=True, logging_interval=2)
    context = context_of(worker, task)
    with pytest.raises(TaskDeferred) as deferred:
        worker.execute(task, context)

    async def event(trigger: Any) -> Any:
        return [one async for one in trigger.run()][-1].payload

    for _ in range(10):
        payload = worker.call(asyncio.run, event(deferred.value.trigger))
        if payload["status"] != "running":
            break
        with pytest.raises(TaskDeferred) as deferred:
            worker.call(task.trigger_reentry, context, payload)
    worker.call(task.trigger_reentry, context, payload)


def test_d12_each_call_opens_a_connection_of_its_own(kube: KubeLab, worker: Worker) -> None:
    made = []
    for number in range(10):
        task = theirs(kube, "sleep 8", deferrable=True, task_id=f"t{number}", poll_interval=1)
        with pytest.raises(TaskDeferred) as deferred:
            worker.execute(task, context_of(worker, task))
        made.append(deferred.value.trigger)
    kube.kube.control.counts(clear=True)

    async def watch() -> None:
        tasks = [asyncio.create_task(drive(trigger)) for trigger in made]
        await asyncio.sleep(5)
        for one in tasks:
            one.cancel()
        await asyncio.wait(tasks)

    async def drive(trigger: KubernetesPodTrigger) -> None:
        async for _ in trigger.run():
            pass

    worker.call(asyncio.run, watch())
    counts = kube.kube.control.counts()
    gets = counts.counts["get pods"]
    assert gets > 20  # a request per pod and interval
    assert counts.connections >= gets


def test_d14_logs_of_other_containers_are_ignored_when_deferrable(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    from kubernetes.client import models as k8s

    early = k8s.V1Container(name="early", image="busybox", command=["sh", "-c", "echo from early"])
    task = theirs(kube, "echo from base", deferrable=True, init_containers=[early], init_container_logs=True)
    ended_theirs(kube, worker, task)
    text = said(capsys, caplog)
    assert "from base" in text
    assert "from early" not in text


def test_d15_the_error_says_neither_exit_code_nor_reason(kube: KubeLab, worker: Worker) -> None:
    task = theirs(kube, "echo 'the disk is full'; exit 3", deferrable=True, log_pod_spec_on_failure=False)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what it says is the point
        ended_theirs(kube, worker, task)
    assert "disk" not in str(caught.value)
    assert not re.search(r"\b(code|exit\w*) 3\b", str(caught.value))


def test_d16_an_xcom_needs_exec(kube: KubeLab, worker: Worker) -> None:
    verbs = ("create", "get", "list", "watch", "patch", "delete")
    rules = [Rule(verbs=verbs, resources=("pods",)), Rule(verbs=("get",), resources=("pods/log",))]
    config = kube.kubeconfig("no-exec", kube.kube.control.add_token(rules))
    script = "mkdir -p /airflow/xcom; echo 7 > /airflow/xcom/return.json"
    mine = operator(kube, script, config_file=str(config), do_xcom_push=True)
    assert worker.execute(mine, worker.context(mine)) == 7
    other = theirs(kube, script, config_file=str(config), do_xcom_push=True)
    with pytest.raises(Exception, match="returned a failure") as caught:  # though the container exited with 0
        worker.execute(other, context_of(worker, other))
    chain, error = [], caught.value.__context__
    while error is not None:
        chain.append(repr(error))
        error = error.__context__
    assert re.search("403|Forbidden|Handshake", " ".join(chain)), chain


def test_d17_a_finished_pod_is_deleted_and_run_again(kube: KubeLab, worker: Worker) -> None:
    """The worker died; the pod went on and succeeded."""
    first = theirs(kube, "true", deferrable=True)
    with pytest.raises(TaskDeferred):
        worker.execute(first, context_of(worker, first))
    ended(kube)
    (before,) = (one["metadata"]["uid"] for one in pods(kube))
    again = theirs(kube, "true", deferrable=True, task_id=first.task_id)
    ti = Ti(first.task_id, try_number=2)
    with pytest.raises(TaskDeferred):
        worker.execute(again, context_of(worker, again, ti=ti))
    assert before not in [one["metadata"]["uid"] for one in pods(kube)]
    assert kube.kube.control.counts().counts["create pods"] == 2
