"""What cannot work, in a real run: the task fails with a typed error that says who must act."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.kube import EmbeddedKube, Rule
from tests.airflow.pod_support import (
    GONE_WITHIN,
    NAMESPACE,
    Cluster,
    PodTasks,
    connect,
    disconnect,
    error_of,
    lines_of,
    told,
)
from tests.airflow.support import RunDag

BAD_INPUT: dict[str, tuple[str, list[str]]] = {
    "no_connection": (
        "CredentialsExpired",
        ["no Airflow connection 'no_such_connection'", "must create it", "kubernetes_conn_id"],
    ),
    "no_kubeconfig": (
        "CredentialsExpired",
        ["/missing' cannot be read", "Whoever manages Airflow connection 'pod_no_kubeconfig' must correct it."],
    ),
    "bad_token": (
        "CredentialsExpired",
        ["does not accept the credentials of kubeconfig", "(context 'embedded') (Unauthorized)", "must renew them"],
    ),
    "no_namespace": ("NotFound", ['namespaces "nowhere" not found', "Create namespace 'nowhere', or correct"]),
    "forbidden_namespace": (
        "AccessDenied",
        [
            "denies 'system:serviceaccount:airflow:poor' to create pods in namespace 'kube-system'",
            "must allow the verb 'create' on 'pods' in a Role there",
        ],
    ),
    "crowded_namespace": (
        "OutOfCapacity",
        ["no room for the pod in namespace 'crowded'", "exceeded quota: pods, requested: pods=1", "raises the quota"],
    ),
    "image_name": (
        "NeverStarted",
        [
            "image 'Busy Box' of container 'base' is no valid image name",
            "waiting will not help",
            "must mend the `image`",
        ],
    ),
    "image_missing": (
        "NeverStarted",
        ["image 'registry.invalid/no/such:image' of container 'base' cannot be pulled", "startup_timeout_seconds=5"],
    ),
    "secret_missing": (
        "NeverStarted",
        ["Secret 'no-such-secret' does not exist in namespace 'airflow'", "Next step: Create Secret 'no-such-secret'"],
    ),
    "config_map_missing": (
        "NeverStarted",
        ["ConfigMap 'no-such-config-map' does not exist", "Next step: Create ConfigMap 'no-such-config-map'"],
    ),
    "no_such_program": (
        "NeverStarted",
        ["its image has no such program", '"/no/such/program"', "must mend `cmds` and `arguments`"],
    ),
    "no_such_service_account": (
        "LaunchRefused",
        ['serviceaccount "nobody" not found', "Correct the operator's argument `service_account_name`"],
    ),
    "bad_resources": ("InvalidArgument", ["container_resources.limits['memory']='much' cannot work"]),
    "bad_xcom": (
        "ResultUnusable",
        ["container 'base' exited with 0, but its result (XCom) cannot be used", "is not JSON", "`do_xcom_push=False`"],
    ),
}
"""Class and texts of the error, by task."""

EVERY = ("create", "get", "list", "watch", "patch", "delete")
RIGHTS = {
    "pod_only_airflow": {"pods": EVERY, "pods/log": ("get",), "events": ("list",)},
    "pod_may_not_watch": {"pods": ("create", "get", "patch", "delete"), "pods/log": ("get",), "events": ("list",)},
    "pod_may_not_read_logs": {"pods": EVERY, "events": ("list",)},
    "pod_may_not_delete": {
        "pods": ("create", "get", "list", "watch", "patch"),
        "pods/log": ("get",),
        "events": ("list",),
    },
    "pod_may_not_list_events": {"pods": EVERY, "pods/log": ("get",)},
}
"""What the Role allows in the namespace, by connection."""


@pytest.fixture(scope="module")
def connections(
    airflow: LocalAirflow, embedded_kube: EmbeddedKube, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Connections that may do less than everything, or nothing at all."""
    folder = tmp_path_factory.mktemp("kubeconfigs")
    control = embedded_kube.control
    control.add_namespace("crowded")
    control.set_quota("crowded", 0)
    with ExitStack() as stack:

        def add(conn_id: str, kubeconfig: Path) -> None:
            connect(airflow, conn_id, kubeconfig)
            stack.callback(disconnect, airflow, conn_id)

        add("pod_no_kubeconfig", folder / "missing")
        add("pod_bad_token", embedded_kube.write_kubeconfig(folder / "bad_token", token="unknown"))
        for conn_id, resources in RIGHTS.items():
            rules = [Rule(NAMESPACE, verbs, (resource,)) for resource, verbs in resources.items()]
            token = control.add_token(rules, user="system:serviceaccount:airflow:poor")
            add(conn_id, embedded_kube.write_kubeconfig(folder / conn_id, namespace=NAMESPACE, token=token))
        yield


@pytest.fixture(scope="module")
def started(
    airflow: LocalAirflow, connections: None, embedded_kube: EmbeddedKube, run_dag: RunDag
) -> tuple[PodTasks, PodTasks]:
    """Both DAG runs, started at once."""
    bad, poor = (
        PodTasks(airflow, Cluster(embedded_kube), dag_id, run_dag(dag_id))
        for dag_id in ("e2e_pod_bad_input", "e2e_pod_few_rights")
    )
    return bad, poor


@pytest.fixture(scope="module")
def bad_input(started: tuple[PodTasks, PodTasks]) -> PodTasks:
    started[0].expect("failed")
    return started[0]


@pytest.fixture(scope="module")
def few_rights(started: tuple[PodTasks, PodTasks]) -> PodTasks:
    started[1].expect("failed")
    return started[1]


@pytest.mark.parametrize("task_id", BAD_INPUT)
def test_bad_input_is_a_typed_error_that_says_who_must_act(bad_input: PodTasks, task_id: str) -> None:
    assert bad_input.ti(task_id).state == "failed"
    kind, message = error_of(bad_input.logs(task_id))
    expected, texts = BAD_INPUT[task_id]
    assert kind == expected, message or told(bad_input.logs(task_id))
    assert [text for text in texts if text not in message] == [], message


@pytest.mark.parametrize("task_id", ["may_not_watch", "may_not_read_logs", "may_not_delete"])
def test_missing_right_fails_no_pod_that_succeeds(few_rights: PodTasks, task_id: str) -> None:
    assert few_rights.ti(task_id).state == "success"
    lines = [] if task_id == "may_not_read_logs" else ["begins", "ends"]
    assert lines_of(few_rights.logs(task_id)) == lines


@pytest.mark.parametrize(
    ("task_id", "texts"),
    [
        (
            "may_not_watch",
            ["the pod is asked for every 5 s", "Allow the verbs list and watch on pods", "'list' on 'pods' in a Role"],
        ),
        ("may_not_read_logs", ["The log of this pod cannot be read", "'get' on 'pods/log' in a Role"]),
        ("may_not_list_events", ["with the permission to list events in namespace 'airflow' they would show"]),
    ],
)
def test_missing_right_is_said_with_what_to_allow(few_rights: PodTasks, task_id: str, texts: list[str]) -> None:
    said = told(few_rights.logs(task_id))
    assert [text for text in texts if text not in said] == [], said


def test_pod_that_may_not_be_deleted_is_marked(few_rights: PodTasks, airflow: LocalAirflow) -> None:
    """Some seconds after its end, as a pod would be deleted; that is said in the triggerer's own log only."""
    cluster, uid = few_rights.cluster, few_rights.uid("may_not_delete")
    airflow.wait_until(
        lambda: cluster.pods()[uid]["metadata"]["labels"].get("already_checked") == "True", "a marked pod", GONE_WITHIN
    )
    cluster.delete(few_rights.name("may_not_delete"))
