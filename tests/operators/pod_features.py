"""Features of the pod operator, each used with credentials that may do little, and its use checked; what each needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from asyncrun.local.kube import Fault
from asyncrun.operators import errors
from tests.operators.pod_stage import CREATE, DELETE, EVENTS, GET, LIST, LOGS, PATCH, SEEING, WATCH, Permission, Stage
from tests.operators.pod_support import FOREVER, PodTries, alive, asked, deferred, ended, only, pods


def create(stage: Stage) -> None:
    task = stage.operator(FOREVER)
    deferred(stage.worker, task, stage.worker.context(task))
    assert len(pods(stage.kube)) == 1


def create_though_an_answer_is_lost(stage: Stage) -> None:
    stage.kube.kube.control.add_faults(Fault("create pods", "drop_answer", count=1))
    create(stage)
    assert asked(stage.kube, "create pods") == 2


def watch(stage: Stage) -> None:
    _, event = stage.watched(stage.operator("exit 3"))
    assert event["outcome"]["verdict"] == "failed", event["diagnosis"]


def watch_without_labels(stage: Stage) -> None:
    """As where a webhook removes them: the shared watch does not show the pod."""
    stage.unlabelled = True
    watch(stage)


def logs(stage: Stage) -> None:
    stage.watched(stage.operator("echo hello from the pod", get_logs=True))
    assert "hello from the pod" in stage.said()


def short_xcom(stage: Stage) -> None:
    _, event = stage.watched(stage.operator("echo 7 > /airflow/xcom/return.json", do_xcom_push=True))
    assert event["result"] == "7", event["diagnosis"]


def long_xcom(stage: Stage) -> None:
    script = """(printf '"'; head -c 20000 /dev/zero | tr '\\0' x; printf '"') > /airflow/xcom/return.json"""
    task = stage.operator(script, do_xcom_push=True)
    context, event = stage.watched(task)
    stage.allow({*SEEING, PATCH, LOGS})
    assert stage.worker.call(task.execute_complete, context, event) == "x" * 20_000


def xcom_beside_another_container(stage: Stage) -> None:
    """Which goes on for some seconds more than the XCom is waited for where the pod may be ended."""
    containers = [{"name": "base", "image": "busybox"},
                  {"name": "server", "image": "busybox", "command": ["sleep", "8"]}]  # fmt: skip
    script = "echo 7 > /airflow/xcom/return.json"
    began = time.monotonic()
    _, event = stage.watched(
        stage.operator(script, do_xcom_push=True, pod_template_dict={"spec": {"containers": containers}})
    )
    assert event["result"] == "7", event["diagnosis"]
    assert time.monotonic() - began < 7


def events(stage: Stage) -> None:
    stage.watched(stage.operator("exit 3", log_events_on_failure=True))
    assert "Kubernetes event Started" in stage.said()


def finished(stage: Stage, script: str, action: str) -> None:
    """A pod whose task ends on a worker, which has the Role; whoever watched it may do everything."""
    task = stage.operator(script, on_finish_action=action)
    role, task.config_file = task.config_file, str(stage.kube.config)
    context = stage.worker.context(task)
    event = stage.end_of(deferred(stage.worker, task, context))
    ended(stage.kube)
    task.config_file = role
    stage.worker.call(task.execute_complete, context, event)


def delete_at_the_end(stage: Stage) -> None:
    finished(stage, "true", "delete_pod")
    stage.kube.until(lambda: not pods(stage.kube), 3)


def keep_at_the_end(stage: Stage) -> None:
    finished(stage, "true", "keep_pod")
    assert only(stage.kube)["metadata"]["labels"].get("already_checked") == "True"


def keep_what_is_not_active(stage: Stage) -> None:
    finished(stage, "true", "delete_active_pod")
    assert only(stage.kube)["metadata"]["labels"].get("already_checked") == "True"


def delete_in_the_triggerer(stage: Stage) -> None:
    stage.ends_in_triggerer("true", "delete_pod")
    assert alive(stage.kube) == []


def keep_in_the_triggerer(stage: Stage) -> None:
    stage.ends_in_triggerer("true", "keep_pod")
    assert only(stage.kube)["metadata"]["labels"].get("already_checked") == "True"


def slow_start(stage: Stage, action: str, **arguments: Any) -> None:
    given = {"startup_timeout_seconds": 1, "on_finish_action": action, **arguments}
    _, event = stage.watched(stage.operator("true", **given))
    assert event["outcome"]["verdict"] == "never_started", event["diagnosis"]


NO_VOLUME = {
    "volumes": [{"name": "v", "secret": {"secretName": "not-there"}}],
    "volume_mounts": [{"name": "v", "mountPath": "/v"}],
}
NO_NODE = {"node_selector": {"not": "there"}}


def delete_what_does_not_start(stage: Stage) -> None:
    slow_start(stage, "delete_pod", **NO_VOLUME)
    assert alive(stage.kube) == []


def keep_what_does_not_start(stage: Stage) -> None:
    slow_start(stage, "keep_pod", **NO_VOLUME)
    assert only(stage.kube)["spec"].get("activeDeadlineSeconds") == 1


def delete_what_finds_no_node(stage: Stage) -> None:
    """Though it is to be kept: it would run once there is a node."""
    slow_start(stage, "keep_pod", **NO_NODE)
    assert alive(stage.kube) == []


def kill(stage: Stage) -> None:
    task = stage.operator(FOREVER)
    role, task.config_file = task.config_file, str(stage.kube.config)
    deferred(stage.worker, task, stage.worker.context(task))
    task.config_file = role
    stage.worker.call(task.on_kill)
    assert alive(stage.kube) == []


def timed_out(stage: Stage, action: str) -> None:
    task = stage.operator("sleep 4", execution_timeout=timedelta(seconds=1), on_finish_action=action)
    _, event = stage.watched(task)
    stage.text += str(event["diagnosis"])
    assert event["outcome"]["stop_cause"] == "deadline"
    assert not event["outcome"].get("not_ended"), event["diagnosis"]


def delete_at_the_deadline(stage: Stage) -> None:
    timed_out(stage, "delete_pod")


def keep_at_the_deadline(stage: Stage) -> None:
    timed_out(stage, "keep_pod")
    assert only(stage.kube)["status"]["reason"] == "DeadlineExceeded"


def reattach(stage: Stage, *, noted: bool) -> None:
    task = stage.operator(FOREVER)
    tries = PodTries(stage.kube, stage.worker, "permissions")
    role, task.config_file = task.config_file, str(stage.kube.config)
    ref = tries.dies(task)
    if not noted:
        tries.store.rows.clear()
    task.config_file = role
    assert tries.deferred(task).ref == ref


def reattach_by_the_note(stage: Stage) -> None:
    reattach(stage, noted=True)


def reattach_by_labels(stage: Stage) -> None:
    reattach(stage, noted=False)


def show_the_definition(stage: Stage) -> None:
    task = stage.operator("exit 3", log_pod_spec_on_failure=True)
    role, task.config_file = task.config_file, str(stage.kube.config)
    context = stage.worker.context(task)
    event = stage.end_of(deferred(stage.worker, task, context))
    task.config_file = role
    with pytest.raises(errors.ContainerFailed):
        stage.worker.call(task.execute_complete, context, event)
    assert "The definition of pod" in stage.said()


class Noting:
    """A user's callbacks."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_pod_creation(self, *, pod: Any, **facts: Any) -> None:
        self.seen.append(pod)

    def on_pod_completion(self, *, pod: Any, **facts: Any) -> None:
        self.seen.append(pod)


def callbacks_at_the_creation(stage: Stage) -> None:
    noting = Noting()
    task = stage.operator(FOREVER, callbacks=noting)
    deferred(stage.worker, task, stage.worker.context(task))
    (pod,) = noting.seen
    assert pod is not None
    assert pod.metadata.uid == only(stage.kube)["metadata"]["uid"]


def callbacks_at_the_end(stage: Stage) -> None:
    noting = Noting()
    task = stage.operator("true", callbacks=noting, on_finish_action="keep_pod")
    role, task.config_file = task.config_file, str(stage.kube.config)
    context = stage.worker.context(task)
    event = stage.end_of(deferred(stage.worker, task, context))
    task.config_file = role
    stage.worker.call(task.execute_complete, context, event)
    _, pod = noting.seen
    assert pod is not None
    assert pod.status.container_statuses[0].state.terminated.exit_code == 0


@dataclass(frozen=True)
class Feature:
    """
    What works with exactly these permissions.

    :param without: by permission, what is said where it is missing, and whether the feature works all the same.
    :param misses: what it says even so that it lacks.
    """

    use: Callable[[Stage], None]
    needs: frozenset[Permission]
    without: dict[Permission, tuple[str, bool]]
    misses: Permission | None = None


def verb(permission: Permission) -> str:
    return f"must allow the verb '{permission[0]}' on '{permission[1]}' in a Role there"


FEATURES = [
    Feature(create, frozenset({CREATE}), {CREATE: (verb(CREATE), False)}),
    Feature(create_though_an_answer_is_lost, frozenset({CREATE, GET}), {GET: (verb(GET), False)}),
    Feature(watch, frozenset(SEEING), {}),
    Feature(watch, frozenset({LIST, WATCH, GET}), {LIST: (verb(LIST), True), WATCH: (verb(WATCH), True)}),
    Feature(watch, frozenset({GET}), {GET: (r"must allow the verb '\w+' on 'pods' in a Role there", False)},
            misses=LIST),
    Feature(watch_without_labels, frozenset({GET}), {GET: (verb(GET), False)}),
    Feature(logs, frozenset({*SEEING, LOGS}), {LOGS: ("permission to get pods/log in namespace airflow", False)}),
    Feature(short_xcom, frozenset(SEEING), {}),
    Feature(long_xcom, frozenset({*SEEING, LOGS}), {LOGS: (verb(LOGS), False)}),
    Feature(xcom_beside_another_container, frozenset({*SEEING, PATCH}), {PATCH: (verb(PATCH), False)}),
    Feature(events, frozenset({*SEEING, EVENTS}), {
        EVENTS: ("with the permission to list events in namespace 'airflow' they would show", False)}),
    Feature(delete_at_the_end, frozenset({DELETE}), {DELETE: (verb(DELETE), False)}),
    Feature(keep_at_the_end, frozenset({PATCH}), {PATCH: (verb(PATCH), False)}),
    Feature(keep_what_is_not_active, frozenset({GET, PATCH}), {GET: (verb(GET), True), PATCH: (verb(PATCH), False)}),
    Feature(delete_in_the_triggerer, frozenset({*SEEING, DELETE}), {DELETE: (verb(DELETE), False)}),
    Feature(keep_in_the_triggerer, frozenset({*SEEING, PATCH}), {PATCH: (verb(PATCH), False)}),
    Feature(delete_what_does_not_start, frozenset({*SEEING, DELETE}), {DELETE: (verb(DELETE), False)}),
    Feature(keep_what_does_not_start, frozenset({*SEEING, PATCH}), {PATCH: (verb(PATCH), False)}),
    Feature(delete_what_finds_no_node, frozenset({*SEEING, DELETE}), {DELETE: (verb(DELETE), False)}),
    Feature(kill, frozenset({DELETE}), {DELETE: (verb(DELETE), False)}),
    Feature(delete_at_the_deadline, frozenset({*SEEING, GET, DELETE}), {DELETE: (verb(DELETE), False)}),
    Feature(keep_at_the_deadline, frozenset({*SEEING, PATCH}), {PATCH: (verb(PATCH), False)}),
    Feature(reattach_by_the_note, frozenset({GET}), {GET: (verb(GET), False)}),
    Feature(reattach_by_labels, frozenset({LIST}), {LIST: (verb(LIST), False)}),
    Feature(show_the_definition, frozenset({GET, PATCH}), {GET: (verb(GET), False)}),
    Feature(callbacks_at_the_creation, frozenset({CREATE, GET}), {
        GET: (r"cannot be read, so its callbacks are called with pod=None \(HTTP 403 Forbidden\)", False)}),
    Feature(callbacks_at_the_end, frozenset({GET, PATCH}), {GET: (verb(GET), False)}),
]  # fmt: skip
