"""What the arguments come to in a cluster: definitions in every form, containers, logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asyncrun.operators import errors
from asyncrun.operators.pod import KubernetesPodOperator
from tests.operators.pod_support import FOREVER, deferred, only, operator, pods, said
from tests.operators.support import Ti, Worker
from tests.support.kube_lab import NAMESPACE, KubeLab


def in_form(form: str) -> dict[str, Any]:
    """The same arguments as models of one SDK, or as plain dicts."""
    if form == "dicts":
        return {
            "env_vars": [{"name": "A", "value": "1"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
            "volume_mounts": [{"name": "v", "mountPath": "/data"}],
            "container_resources": {"limits": {"memory": "64Mi"}},
            "tolerations": [{"key": "k", "operator": "Exists"}],
            "init_containers": [{"name": "i", "image": "busybox", "command": ["true"]}],
            "env_from": [{"configMapRef": {"name": "conf", "optional": True}}],
            "security_context": {"fsGroup": 2000},
        }
    if form == "kubernetes":
        from kubernetes.client import models as k8s
    else:
        from kubernetes_asyncio.client import models as k8s
    return {
        "env_vars": [k8s.V1EnvVar(name="A", value="1")],
        "volumes": [k8s.V1Volume(name="v", empty_dir=k8s.V1EmptyDirVolumeSource())],
        "volume_mounts": [k8s.V1VolumeMount(name="v", mount_path="/data")],
        "container_resources": k8s.V1ResourceRequirements(limits={"memory": "64Mi"}),
        "tolerations": [k8s.V1Toleration(key="k", operator="Exists")],
        "init_containers": [k8s.V1Container(name="i", image="busybox", command=["true"])],
        "env_from": [k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name="conf", optional=True))],
        "security_context": k8s.V1PodSecurityContext(fs_group=2000),
    }


def test_models_of_both_sdks_and_plain_dicts_make_the_same_pod(kube: KubeLab, worker: Worker) -> None:
    made = []
    for form in ("dicts", "kubernetes", "kubernetes_asyncio"):
        task = operator(kube, "true", deferrable=True, name="same", **in_form(form))
        deferred(worker, task, worker.context(task))
        (pod,) = (one for one in pods(kube) if one["metadata"]["labels"]["task_id"] == task.task_id)
        spec = pod["spec"]
        for one in (*spec["containers"], *spec["initContainers"]):  # named by chance
            one["volumeMounts"] = [mount for mount in one.get("volumeMounts", ()) if "kube-api" not in mount["name"]]
        spec["volumes"] = [one for one in spec["volumes"] if "kube-api" not in one["name"]]
        made.append(spec)
    assert made[0] == made[1] == made[2]
    assert made[0]["containers"][0]["resources"]["limits"] == {"memory": "64Mi"}


TEMPLATE = """
apiVersion: v1
kind: Pod
metadata: {name: of-the-file, labels: {from: file}}
spec:
  containers:
    - {name: base, image: "never/used", env: [{name: FROM, value: file}]}
    - {name: beside, image: busybox, command: ["sh", "-c", "echo beside"]}
"""


def of_file(folder: Path) -> dict[str, Any]:
    (folder / "pod.yaml").write_text(TEMPLATE)
    return {"pod_template_file": str(folder / "pod.yaml")}


def of_dict(folder: Path) -> dict[str, Any]:
    import yaml

    return {"pod_template_dict": yaml.safe_load(TEMPLATE)}


def of_spec(folder: Path) -> dict[str, Any]:
    from kubernetes.client import ApiClient

    from asyncrun.clients.pod_models import to_model

    with ApiClient():
        return {"full_pod_spec": to_model(of_dict(folder)["pod_template_dict"])}


@pytest.mark.parametrize("form", [of_file, of_dict, of_spec])
def test_a_pod_template_gives_what_the_arguments_do_not(
    kube: KubeLab, worker: Worker, tmp_path: Path, form: Any, capsys: Any, caplog: Any
) -> None:
    task = operator(kube, 'echo "from $FROM"', container_logs=True, **form(tmp_path), on_finish_action="keep_pod")
    worker.execute(task, worker.context(task))
    assert only(kube)["metadata"]["labels"]["from"] == "file"
    text = said(capsys, caplog)
    assert "[base] from file" in text
    assert "[beside] beside" in text


def test_a_template_file_that_is_not_there_is_said_before_anything_is_created(
    kube: KubeLab, worker: Worker, tmp_path: Path
) -> None:
    task = operator(kube, pod_template_file=str(tmp_path / "none.yaml"))
    with pytest.raises(errors.InvalidArgument, match="a file that workers can read"):
        worker.execute(task, worker.context(task))
    assert pods(kube) == []


def test_the_mutation_hook_of_a_policy_plug_in_changes_what_is_created(
    kube: KubeLab, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.policies import hookimpl
    from airflow.settings import get_policy_plugin_manager

    class Policy:
        @hookimpl
        def pod_mutation_hook(self, pod: Any) -> None:
            pod.metadata.labels = {"team": "of the policy".replace(" ", "-")}  # ours are gone
            pod.spec.containers[0].env.append({"name": "MODE", "value": "policy"})

    manager, policy = get_policy_plugin_manager(), Policy()
    manager.register(policy)
    try:
        task = operator(kube, FOREVER, deferrable=True, env_vars={"A": "1"})
        watch = deferred(worker, task, worker.context(task))
    finally:
        manager.unregister(policy)
    pod = only(kube)
    assert pod["metadata"]["labels"] == {"team": "of-the-policy"}
    assert {one["name"] for one in pod["spec"]["containers"][0]["env"]} == {"A", "MODE"}
    assert watch.ref.selector == ""  # so it is polled


def test_the_mutation_hook_of_airflow_local_settings_too(
    kube: KubeLab, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from types import ModuleType

    from airflow.policies import make_plugin_from_local_settings
    from airflow.settings import get_policy_plugin_manager

    def pod_mutation_hook(pod: Any) -> None:
        pod.spec.priority_class_name = None
        pod.metadata.annotations = {"seen-by": "local settings"}

    settings = ModuleType("airflow_local_settings")
    settings.pod_mutation_hook = pod_mutation_hook  # type: ignore[attr-defined]
    manager = get_policy_plugin_manager()
    before = set(manager.get_plugins())
    make_plugin_from_local_settings(manager, settings, {"pod_mutation_hook"})
    try:
        task = operator(kube, FOREVER, deferrable=True)
        watch = deferred(worker, task, worker.context(task))
    finally:
        for plugin in set(manager.get_plugins()) - before:
            manager.unregister(plugin)
    assert only(kube)["metadata"]["annotations"]["seen-by"] == "local settings"
    assert watch.ref.selector  # our labels are still there


class Other(KubernetesPodOperator):
    """A user's subclass that completes its arguments late."""

    BASE_CONTAINER_NAME = "main"

    def execute(self, context: Any) -> Any:
        self.cmds = ["sh", "-c"]
        self.arguments = ['printf "[1, 2]" > /airflow/xcom/return.json; echo done']
        return super().execute(context)

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        return {"sum": sum(super().execute_complete(context, event))}


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_subclass_with_its_own_container_arguments_and_end(kube: KubeLab, worker: Worker, deferrable: bool) -> None:
    task = operator(kube, kind=Other, cmds=None, do_xcom_push=True, deferrable=deferrable)
    context = worker.context(task)
    if not deferrable:
        assert worker.execute(task, context) == {"sum": 3}
        return
    watch = deferred(worker, task, context)
    assert (watch.base, watch.logs, watch.end_in_triggerer) == ("main", ("main",), False)
    assert "its class overrides execute_complete" in watch.end_reason
    assert worker.call(task.execute_complete, context, worker.call(kube.inline_event, watch)) == {"sum": 3}


def test_mapped_tasks_render_their_own_values(kube: KubeLab, worker: Worker) -> None:
    for index in (0, 1):
        task = operator(
            kube, "true", deferrable=True, env_vars={"INDEX": "{{ ti.map_index }}"}, labels={"n": "{{ ti.map_index }}"}
        )
        ti = Ti(task.task_id)
        ti.map_index = index
        deferred(worker, task, worker.context(task, ti=ti))
    found = {one["metadata"]["labels"]["map_index"]: one for one in pods(kube)}
    for index in ("0", "1"):
        assert found[index]["spec"]["containers"][0]["env"][0]["value"] == index
        assert found[index]["metadata"]["labels"]["n"] == index


def test_an_xcom_comes_although_another_main_container_goes_on(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    template = {"spec": {"containers": [
        {"name": "base", "image": "busybox"},
        {"name": "server", "image": "busybox",
         "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"]},
    ]}}  # fmt: skip
    task = operator(
        kube, "echo 5 > /airflow/xcom/return.json", pod_template_dict=template, do_xcom_push=True,
    )  # fmt: skip
    assert worker.execute(task, worker.context(task)) == 5
    assert "can be had once server has, too: ending the pod" in said(capsys, caplog)
    kube.until(lambda: not pods(kube))


CONTAINERS = {
    "init_containers": [
        {"name": "early", "image": "busybox", "command": ["sh", "-c", "echo from early"]},
        {"name": "sidecar", "image": "busybox", "restartPolicy": "Always",
         "command": ["sh", "-c", "echo from sidecar; sleep 60"]},
    ],
    "pod_template_dict": {"spec": {"containers": [
        {"name": "base", "image": "busybox"},
        {"name": "beside", "image": "busybox", "command": ["sh", "-c", "echo from beside"]},
    ]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({}, "base"),
        ({"get_logs": False}, ""),
        ({"container_logs": True}, "base beside"),
        ({"container_logs": "beside"}, "beside"),
        ({"container_logs": ["base", "sidecar"]}, "base sidecar"),
        ({"init_container_logs": True}, "base early sidecar"),
        ({"init_container_logs": ["early"], "get_logs": False}, "early"),
        ({"init_container_logs": True, "container_logs": True}, "base beside early sidecar"),
    ],
)
def test_the_chosen_containers_logs_are_shown(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any, arguments: dict[str, Any], shown: str
) -> None:
    """D14."""
    task = operator(kube, "sleep 0.3; echo from base", **CONTAINERS, **arguments)
    worker.execute(task, worker.context(task))
    text = said(capsys, caplog)
    assert {name for name in ("base", "beside", "early", "sidecar") if f"from {name}" in text} == set(shown.split())


def test_the_connection_gives_namespace_and_sidecar(
    kube: KubeLab, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    import json

    extra = {
        "kube_config": kube.config.read_text(), "namespace": NAMESPACE,
        "xcom_sidecar_container_image": "registry.example/alpine:1",
        "xcom_sidecar_container_resources": {"limits": {"memory": "32Mi"}},
    }  # fmt: skip
    connection = json.dumps({"conn_type": "kubernetes", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_EMBEDDED", connection)
    task = operator(
        kube, "true", kubernetes_conn_id="embedded", config_file=None, namespace=None, do_xcom_push=True,
        deferrable=True,
    )  # fmt: skip
    watch = deferred(worker, task, worker.context(task))
    assert watch.ref.namespace == NAMESPACE
    (sidecar,) = [one for one in only(kube)["spec"]["initContainers"] if one["name"] == "airflow-xcom-sidecar"]
    assert sidecar["image"] == "registry.example/alpine:1"
    assert sidecar["resources"]["limits"] == {"memory": "32Mi"}
    assert kube.kube.token not in repr(watch.to_dict())
