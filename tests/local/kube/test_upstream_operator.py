"""Upstream's own ``KubernetesPodOperator``, waiting in the worker and in a trigger, against the embedded Kubernetes."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="asyncrun-test-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

import pytest
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator  # noqa: TID253 - no DAG file
from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger  # noqa: TID253
from airflow.sdk.exceptions import AirflowException, AirflowSkipException, TaskDeferred

from asyncrun.local.kube import EmbeddedKube
from tests.operators.support import Store, Ti, Worker
from tests.support.kube_lab import NAMESPACE, KubeLab

pytestmark = [
    pytest.mark.timeout(180),
    # What the provider itself warns of, and the connections that it leaves to the garbage collector.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]

IMAGE = "busybox:1.36"
FINISHED = "for n in 1 2 3; do echo line $n; sleep 0.2; done; echo last"
LINES = ["line 1", "line 2", "line 3", "last"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeLab]:
    with EmbeddedKube() as kube:
        yield KubeLab(kube, tmp_path_factory.mktemp("kube"))
        assert kube.log_text() == ""


class Upstream:
    """Upstream's operator on that cluster, as a task that is executed."""

    def __init__(self, lab: KubeLab, worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
        self.lab, self._worker, self._capfd = lab, worker, capfd
        self._tasks: list[KubernetesPodOperator] = []
        self._said = ""

    def task(self, script: str, **arguments: Any) -> KubernetesPodOperator:
        given: dict[str, Any] = {
            "task_id": f"t{os.urandom(4).hex()}",
            "name": "upstream",
            "namespace": NAMESPACE,
            "image": IMAGE,
            "cmds": ["sh", "-c", script],
            "config_file": str(self.lab.config),
            "kubernetes_conn_id": None,
            "in_cluster": False,
            "deferrable": False,
            "startup_timeout_seconds": 60,
            "startup_check_interval_seconds": 1,
            "base_container_status_polling_interval": 0.5,
            "poll_interval": 0.5,
            "termination_grace_period": 1,
            **arguments,
        }
        self._tasks.append(KubernetesPodOperator(**given))
        return self._tasks[-1]

    def close(self, task: KubernetesPodOperator) -> None:
        """Close what can be reached of its connections."""
        client = task.__dict__.get("client")
        if client is not None:
            client.api_client.rest_client.pool_manager.clear()
        for name in ("hook", "client", "pod_manager"):
            task.__dict__.pop(name, None)

    def close_all(self) -> None:
        for task in self._tasks:
            self.close(task)
        self._tasks.clear()
        with warnings.catch_warnings():  # here and now, not in another's test
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def context(self, task: KubernetesPodOperator, **values: Any) -> dict[str, Any]:
        return self._worker.context(task, run_id="manual__1", dag=SimpleNamespace(parent_dag=None), **values)

    def execute(self, task: KubernetesPodOperator, context: dict[str, Any] | None = None) -> Any:
        return self._worker.execute(task, context or self.context(task))

    def deferred(self, task: KubernetesPodOperator, context: dict[str, Any]) -> KubernetesPodTrigger:
        """The trigger that it defers to."""
        with pytest.raises(TaskDeferred) as caught:
            self.execute(task, context)
        assert isinstance(caught.value.trigger, KubernetesPodTrigger)
        assert caught.value.method_name == "trigger_reentry"
        return again(caught.value.trigger)

    def resume(self, task: KubernetesPodOperator, context: dict[str, Any], event: dict[str, Any]) -> Any:
        """On another worker: what the first one knew is gone."""
        task.pod = task.pod_request_obj = None
        self.close(task)
        return self._worker.call(task.trigger_reentry, context, event)

    def run_deferred(self, task: KubernetesPodOperator) -> Any:
        """From the worker through the trigger to the worker."""
        context = self.context(task)
        trigger = self.deferred(task, context)
        event = self._worker.call(lambda: asyncio.run(event_of(trigger)))
        return self.resume(task, context, event)

    def run(self, task: KubernetesPodOperator) -> Any:
        return self.run_deferred(task) if task.deferrable else self.execute(task)

    def lines(self) -> list[str]:
        """What it logged of containers, without their names."""
        self._said += "".join(self._capfd.readouterr())
        return re.findall(r"\[info +\] \[[\w-]+\] (?:logs: )?(.*?)(?: *\[airflow\.|$)", self._said, re.MULTILINE)

    def pods(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.lab.call("GET", f"/namespaces/{NAMESPACE}/pods")["items"]
        return found


def again(trigger: KubernetesPodTrigger) -> KubernetesPodTrigger:
    """As a triggerer has it: from its row."""
    _, arguments = trigger.serialize()
    made = KubernetesPodTrigger(**arguments)
    made.task_instance = SimpleNamespace(dag_id="a.dag", task_id="t", run_id="r", map_index=-1)
    return made


async def event_of(trigger: KubernetesPodTrigger) -> dict[str, Any]:
    async with contextlib.aclosing(trigger.run()) as events:  # type: ignore[type-var]
        async for event in events:
            return dict(event.payload)
    raise AssertionError("no event")


@pytest.fixture
def upstream(lab: KubeLab, capfd: pytest.CaptureFixture[str]) -> Iterator[Upstream]:
    made = Upstream(lab, Worker(), capfd)
    yield made
    made.close_all()
    lab.call("DELETE", f"/namespaces/{NAMESPACE}/pods", gracePeriodSeconds="0")


MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferrable"])


@MODES
def test_a_success_with_its_log_and_its_pod_deleted(upstream: Upstream, deferrable: bool) -> None:
    upstream.run(upstream.task(FINISHED, deferrable=deferrable))
    assert upstream.lines() == LINES
    upstream.lab.until(lambda: not upstream.pods())


@MODES
def test_an_xcom_through_exec(upstream: Upstream, deferrable: bool) -> None:
    """Upstream's sidecar is asked and ended by ``pods/exec``."""
    script = """echo '{"rows": [1, "ä"]}' > /airflow/xcom/return.json"""
    assert upstream.run(upstream.task(script, do_xcom_push=True, deferrable=deferrable)) == {"rows": [1, "ä"]}


@MODES
def test_a_failure_is_its_exit_code_and_message(upstream: Upstream, deferrable: bool) -> None:
    task = upstream.task("echo working; echo 'disk full' > /dev/termination-log; exit 3", deferrable=deferrable)
    with pytest.raises(AirflowException, match=r"(?s)returned a failure.*disk full"):
        upstream.run(task)
    assert upstream.lines() == ["working"]
    upstream.lab.until(lambda: not upstream.pods())
    with pytest.raises(AirflowSkipException, match="returned exit code 99"):
        upstream.run(upstream.task("exit 99", skip_on_exit_code=99, deferrable=deferrable))


@MODES
@pytest.mark.parametrize(
    ("action", "script", "stays"),
    [
        ("keep_pod", "true", True),
        ("keep_pod", "exit 1", True),
        ("delete_succeeded_pod", "true", False),
        ("delete_succeeded_pod", "exit 1", True),
        ("delete_pod", "exit 1", False),
    ],
)
def test_what_becomes_of_the_pod(upstream: Upstream, deferrable: bool, action: str, script: str, stays: bool) -> None:
    task = upstream.task(script, on_finish_action=action, deferrable=deferrable)
    with contextlib.suppress(AirflowException):
        upstream.run(task)
    if stays:
        (pod,) = upstream.pods()
        assert pod["metadata"]["labels"]["already_checked"] == "True"
        assert pod["status"]["phase"] == ("Succeeded" if script == "true" else "Failed")
    else:
        upstream.lab.until(lambda: not upstream.pods())


@MODES
def test_init_containers_and_sidecars(upstream: Upstream, deferrable: bool) -> None:
    def container(name: str, script: str, **more: Any) -> dict[str, Any]:
        return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **more}

    spec = {
        "restartPolicy": "Never",
        "initContainers": [
            container("prepare", "echo preparing"),
            container("side", "trap 'exit 0' TERM; echo side; sleep 60 & wait", restartPolicy="Always"),
        ],
        "containers": [container("base", FINISHED)],
    }
    task = upstream.task(
        "", full_pod_spec=_pod(spec), cmds=None, image=None, init_container_logs=True, deferrable=deferrable
    )
    if deferrable:  # upstream reads no init container's log then
        upstream.run(task)
        assert upstream.lines() == LINES
    else:
        task.init_container_logs = ["prepare"]
        upstream.run(task)
        assert upstream.lines() == ["preparing", *LINES]


def _pod(spec: dict[str, Any]) -> Any:
    from kubernetes.client import ApiClient

    response = SimpleNamespace(data=json.dumps({"metadata": {"name": "whole"}, "spec": spec}))
    return ApiClient().deserialize(response, "V1Pod")


@MODES
def test_an_init_container_that_fails(upstream: Upstream, deferrable: bool) -> None:
    init = {"name": "prepare", "image": IMAGE, "command": ["sh", "-c", "exit 5"]}
    task = upstream.task("echo never", init_containers=[init], deferrable=deferrable)
    with pytest.raises(AirflowException):
        upstream.run(task)
    assert upstream.lines() == []


@MODES
def test_an_image_that_cannot_be_pulled(upstream: Upstream, deferrable: bool) -> None:
    upstream.lab.kube.control.node_fault("image", image="registry.invalid/*", error="absent")
    task = upstream.task("true", image="registry.invalid/x:1", deferrable=deferrable, startup_timeout_seconds=5)
    with pytest.raises(AirflowException) as caught:
        upstream.run(task)
    causes = f"{caught.value} {caught.value.__context__}"  # hidden by the tidying of the task that waits itself
    assert re.search(r"ErrImagePull|ImagePullBackOff", causes)
    upstream.lab.kube.control.node_fault("image")


def test_a_trigger_returns_for_more_log(upstream: Upstream) -> None:
    """``logging_interval``: the trigger reads logs itself, by ``sinceTime``, through kubernetes_asyncio."""
    script = "for n in 1 2 3 4 5 6 7 8; do echo line $n; sleep 0.4; done; echo last"
    task = upstream.task(script, deferrable=True, logging_interval=1)
    upstream.run(task)
    seen = list(dict.fromkeys(upstream.lines()))
    assert seen[-1] == "last"
    assert set(seen) <= {*(f"line {number}" for number in range(1, 9)), "last"}


async def test_a_killed_trigger_deletes_its_pod(upstream: Upstream) -> None:
    task = upstream.task("trap 'exit 0' TERM; sleep 60 & wait", deferrable=True)
    trigger = await asyncio.to_thread(upstream.deferred, task, upstream.context(task))
    await trigger.on_kill()
    await asyncio.to_thread(upstream.lab.until, lambda: not upstream.pods())


def test_a_killed_task_deletes_its_pod(upstream: Upstream) -> None:
    task = upstream.task("sleep 60", deferrable=True)
    upstream.deferred(task, upstream.context(task))
    task.on_kill()
    upstream.lab.until(lambda: not upstream.pods())


def test_a_second_worker_takes_the_pod_over(upstream: Upstream) -> None:
    """By the task's state store, and by labels."""
    for store in (Store(), None):
        ti = Ti(f"t{os.urandom(4).hex()}")
        first = upstream.task(FINISHED, deferrable=True, task_id=ti.task_id)
        upstream.deferred(first, upstream.context(first, ti=ti, task_state_store=store))
        second = upstream.task("false", task_id=ti.task_id)
        upstream.execute(second, upstream.context(second, ti=ti, task_state_store=store))
        upstream.lab.until(lambda: not upstream.pods())
    assert upstream.lines() == LINES * 2


def test_permissions_that_are_missing_are_named(upstream: Upstream) -> None:
    from asyncrun.local.kube import Rule

    token = upstream.lab.kube.control.add_token([Rule(NAMESPACE, ("get", "list"), ("pods",))])
    config = upstream.lab.kubeconfig("narrow", token)
    with pytest.raises(Exception, match=r"cannot create resource .{1,3}pods.{1,3} in API group"):
        upstream.execute(upstream.task("true", config_file=str(config)))
