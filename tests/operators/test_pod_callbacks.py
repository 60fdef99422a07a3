"""Users' code that a pod's task calls: upstream's callbacks, ``progress_callback``, ``log_formatter``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from airflow.providers.cncf.kubernetes.callbacks import KubernetesPodOperatorCallback  # noqa: TID253 - no DAG file
from airflow.providers.cncf.kubernetes.operators.pod import (  # noqa: TID253
    KubernetesPodOperator as Upstreams,
)
from blockbuster import BlockBuster

from asyncrun.operators import errors
from tests.operators.pod_support import alive, deferred, operator, pods, said
from tests.operators.support import Worker
from tests.support.kube_lab import KubeLab

Call = tuple[str, dict[str, Any]]


@pytest.fixture(autouse=True)
def user_code_may_block(blocking_calls_fail: BlockBuster) -> None:
    """It is called in a worker's event loop, which nobody shares."""
    for function in blocking_calls_fail.functions.values():
        function.can_block_in("asyncrun/operators/pod_callbacks.py", {"_guarded"})


class Recorder(KubernetesPodOperatorCallback):
    """Notes every call."""

    calls: ClassVar[list[Call]] = []


def _noting(name: str) -> Any:
    def method(**facts: Any) -> None:
        Recorder.calls.append((name, facts))

    return staticmethod(method)


NAMES = [name for name in vars(KubernetesPodOperatorCallback) if name.startswith("on_") or name == "progress_callback"]
for one in NAMES:
    setattr(Recorder, one, _noting(one))


class Quiet(KubernetesPodOperatorCallback):
    """Nothing that only a worker could tell."""

    seen: ClassVar[list[str]] = []

    @staticmethod
    def on_pod_completion(**facts: Any) -> None:
        Quiet.seen.append(facts["pod"].status.container_statuses[0].state.terminated.reason)


@pytest.fixture
def recorded() -> list[Call]:
    Recorder.calls.clear()
    Quiet.seen.clear()
    return Recorder.calls


def names(calls: list[Call]) -> list[str]:
    return [name for name, _ in calls]


def upstreams(kube: KubeLab, worker: Worker, script: str) -> list[Call]:
    """The calls of the installed upstream for the same pod."""
    Recorder.calls.clear()
    task = Upstreams(
        task_id="theirs", name="theirs", image="busybox", cmds=["sh", "-c", script], config_file=str(kube.config),
        kubernetes_conn_id=None, namespace="airflow", deferrable=False, callbacks=Recorder,
    )  # fmt: skip
    context = worker.context(task, run_id="manual__1", dag=SimpleNamespace())
    worker.execute(task, context)
    calls = list(Recorder.calls)
    Recorder.calls.clear()
    return calls


@pytest.mark.filterwarnings("ignore")  # upstream's
def test_the_same_calls_as_upstreams_in_the_same_order_with_the_same_arguments(
    kube: KubeLab, worker: Worker, recorded: list[Call]
) -> None:
    script = "echo one; sleep 0.3; echo two"
    theirs = upstreams(kube, worker, script)
    task = operator(kube, script, callbacks=Recorder)
    worker.execute(task, worker.context(task))
    assert names(recorded) == names(theirs)
    for (name, mine), (_, other) in zip(recorded, theirs, strict=True):
        assert set(mine) >= set(other), name
        for key, value in other.items():
            assert type(mine[key]).__name__ == type(value).__name__ or key in ("context", "mode"), (name, key)
            assert key != "mode" or mine[key] == value
    lines = [(facts["line"], facts["container_name"]) for name, facts in recorded if name == "progress_callback"]
    assert lines == [("one", "base"), ("two", "base")]
    assert recorded[-1][0] == "on_pod_cleanup"


def test_a_failing_pod_calls_all_of_them_too(kube: KubeLab, worker: Worker, recorded: list[Call]) -> None:
    task = operator(kube, "exit 3", callbacks=[Recorder])
    with pytest.raises(errors.ContainerFailed):
        worker.execute(task, worker.context(task))
    assert names(recorded) == [
        "on_sync_client_creation", "on_pod_manifest_created", "on_pod_creation", "on_pod_starting",
        "on_pod_completion", "on_pod_teardown", "on_pod_cleanup",
    ]  # fmt: skip
    (completion,) = [facts for name, facts in recorded if name == "on_pod_completion"]
    assert completion["pod"].status.container_statuses[0].state.terminated.exit_code == 3


def test_what_a_callback_changes_in_the_manifest_is_what_is_created(kube: KubeLab, worker: Worker) -> None:
    class Changes(KubernetesPodOperatorCallback):
        @staticmethod
        def on_pod_manifest_created(*, pod_request: Any, **facts: Any) -> None:
            pod_request.metadata.labels["team"] = "data"

    task = operator(kube, "sleep 60", callbacks=Changes, deferrable=True)
    deferred(worker, task, worker.context(task))
    assert pods(kube)[0]["metadata"]["labels"]["team"] == "data"


def test_a_callback_sees_what_the_mutation_hook_made_and_may_replace_the_labels(kube: KubeLab, worker: Worker) -> None:
    """As upstream, where the hook comes first."""
    from airflow.policies import hookimpl
    from airflow.settings import get_policy_plugin_manager

    class Policy:
        @hookimpl
        def pod_mutation_hook(self, pod: Any) -> None:
            pod.metadata.labels["team"] = "policy"

    class Replaces:
        @staticmethod
        def on_pod_manifest_created(*, pod_request: Any, **facts: Any) -> None:
            pod_request.metadata.labels = {"seen": pod_request.metadata.labels["team"]}

    manager, policy = get_policy_plugin_manager(), Policy()
    manager.register(policy)
    try:
        task = operator(kube, "sleep 60", callbacks=Replaces, deferrable=True)
        deferred(worker, task, worker.context(task))
    finally:
        manager.unregister(policy)
    assert pods(kube)[0]["metadata"]["labels"] == {"seen": "policy"}
    assert "asyncrun/launch" in pods(kube)[0]["metadata"]["annotations"]


class Some:
    """Not upstream's base class, with one method of it."""

    def __init__(self) -> None:
        self.ended: list[Any] = []

    def on_pod_completion(self, *, pod: Any, **facts: Any) -> None:
        self.ended.append(pod.status.container_statuses[0].state.terminated.exit_code)


@pytest.mark.parametrize("deferrable", [True, False])
def test_an_object_with_some_of_the_methods_will_do(kube: KubeLab, worker: Worker, deferrable: bool) -> None:
    some = Some()
    task = operator(kube, "echo one", callbacks=some, deferrable=deferrable)
    context = worker.context(task)
    if deferrable:
        event = worker.call(kube.inline_event, deferred(worker, task, context))
        worker.call(task.execute_complete, context, event)
    else:
        worker.execute(task, context)
    assert some.ended == [0]


def test_callbacks_end_on_a_worker_and_are_told_of_the_resume(
    kube: KubeLab, worker: Worker, recorded: list[Call]
) -> None:
    class Resumed(Quiet):
        @staticmethod
        def on_operator_resuming(*, event: dict[str, Any], **facts: Any) -> None:
            Quiet.seen.append(event["outcome"]["verdict"])

    task = operator(kube, "true", callbacks=Resumed, deferrable=True)
    context = worker.context(task)
    watch = deferred(worker, task, context)
    assert not watch.end_in_triggerer
    assert "it has callbacks for its pod" in watch.end_reason
    event = worker.call(kube.inline_event, watch)
    worker.call(task.execute_complete, context, event)
    assert Quiet.seen == ["succeeded", "Completed"]


def test_code_that_triggerers_lack_keeps_the_task_in_the_worker_and_says_so(
    kube: KubeLab, worker: Worker, recorded: list[Call], capsys: Any, caplog: Any
) -> None:
    """Also its end: all callbacks are called, and the XCom is returned."""
    task = operator(kube, "echo 5 > /airflow/xcom/return.json", callbacks=Recorder, deferrable=True, do_xcom_push=True)
    assert worker.execute(task, worker.context(task)) == 5
    assert names(recorded)[-3:] == ["on_pod_completion", "on_pod_teardown", "on_pod_cleanup"]
    assert "waits in the worker: callbacks with a progress_callback is code of the DAG file" in said(capsys, caplog)


def test_a_progress_callback_gets_every_line_and_a_formatter_makes_the_shown_ones(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    got: list[str] = []
    task = operator(
        kube, "for n in 1 2 3; do echo line $n; done", progress_callback=got.append,
        log_formatter=lambda container, text: f"<{container}> {text.upper()}",
        init_containers=[{"name": "early", "image": "busybox", "command": ["echo", "before"]}],
        init_container_logs=True, deferrable=True,
    )  # fmt: skip
    worker.execute(task, worker.context(task))
    assert got == ["before", "line 1", "line 2", "line 3"]
    text = said(capsys, caplog)
    for line in ("<early> BEFORE", "<base> LINE 1", "<base> LINE 3"):
        assert line in text
    assert "[base] <" not in text  # what a formatter returns is the whole line


@pytest.mark.parametrize("where", ["progress_callback", "log_formatter", "on_pod_starting", "on_pod_creation"])
def test_what_user_code_raises_fails_the_task_and_the_pod_is_deleted(kube: KubeLab, worker: Worker, where: str) -> None:
    def broken(*given: Any, **facts: Any) -> Any:
        raise KeyError("of the user")

    arguments: dict[str, Any] = {where: broken}
    if where.startswith("on_"):
        kind = type("Broken", (KubernetesPodOperatorCallback,), {where: staticmethod(broken)})
        arguments = {"callbacks": kind}
    task = operator(kube, "echo one; sleep 60", **arguments)
    with pytest.raises(KeyError, match="of the user"):
        worker.execute(task, worker.context(task))
    assert alive(kube) == []


def test_a_pod_that_cannot_be_read_is_none_to_callbacks_and_fails_nothing(
    kube: KubeLab, worker: Worker, recorded: list[Call], capsys: Any, caplog: Any
) -> None:
    from asyncrun.local.kube import Rule

    rules = [
        Rule(verbs=("create", "list", "watch", "delete", "patch"), resources=("pods",)),
        Rule(verbs=("get",), resources=("pods/log",)),
    ]
    config = kube.kubeconfig("no-get", kube.kube.control.add_token(rules))
    task = operator(kube, "echo one", callbacks=Recorder, config_file=str(config))
    worker.execute(task, worker.context(task))
    assert {facts["pod"] for name, facts in recorded if name.startswith("on_pod_") and "pod" in facts} == {None}
    assert "cannot be read, so its callbacks are called with pod=None (HTTP 403 Forbidden)" in said(capsys, caplog)
