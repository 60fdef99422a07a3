"""What a pod's volumes are on the embedded node."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asyncrun.local.kube.node import LocalNode
from asyncrun.local.kube.store import Store
from tests.local.kube.node_pods.pod_lab import OPTIONS, Json, Lab, ended, left_in, main, needs_mounts, state


async def test_volumes_are_shared_at_paths_that_do_not_exist_on_this_machine(lab: Lab) -> None:
    needs_mounts(lab)
    before = {path: path.stat().st_mtime_ns for path in (Path("/"), Path("/dev"))}
    mounts = [{"name": "x", "mountPath": "/airflow/xcom"}]
    shared = {"volumes": [{"name": "x", "emptyDir": {}}]}
    prep = {
        "name": "prep",
        "image": "i",
        "command": ["sh", "-c", "echo 42 > /airflow/xcom/return.json"],
        "volumeMounts": mounts,
    }
    text = await lab.output(
        "p", main("cat /airflow/xcom/return.json", volumeMounts=mounts), initContainers=[prep], **shared
    )
    assert text == "42\n"
    assert "airflow" not in left_in(Path("/"))
    assert {path: path.stat().st_mtime_ns for path in before} == before


async def test_mounts_nest_and_cover_what_is_there(lab: Lab) -> None:
    needs_mounts(lab)
    volumes = [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}]
    mounts = [{"name": "b", "mountPath": "/etc/sub/b"}, {"name": "a", "mountPath": "/etc"}]
    script = "ls /etc; touch /etc/x /etc/sub/b/y; ls /etc /etc/sub/b; test -e /usr/bin/env"
    text = await lab.output("p", main(script, volumeMounts=mounts), volumes=volumes)
    assert text.split() == ["sub", "/etc:", "sub", "x", "/etc/sub/b:", "y"]


async def test_secrets_and_config_maps_are_files_with_their_modes_that_cannot_be_written(lab: Lab) -> None:
    needs_mounts(lab)
    lab.secret("s", user="me", password="hush")
    lab.config("c", **{"a.txt": "A"})
    items = [{"key": "password", "path": "deep/pw", "mode": 0o400}]
    volumes = [
        {"name": "s", "secret": {"secretName": "s", "items": items}},
        {"name": "c", "configMap": {"name": "c", "defaultMode": 0o640}},
    ]
    mounts = [
        {"name": "s", "mountPath": "/var/run/secrets/mine"},
        {"name": "c", "mountPath": "/opt/conf/one.txt", "subPath": "a.txt"},
        {"name": "c", "mountPath": "/conf"},
    ]
    script = (
        "cat /var/run/secrets/mine/deep/pw /opt/conf/one.txt; echo; ls /var/run/secrets/mine /conf;"
        "stat -c %a /var/run/secrets/mine/deep/pw /conf/a.txt; touch /conf/new 2>/dev/null || echo read-only"
    )
    text = await lab.output("p", main(script, volumeMounts=mounts), volumes=volumes)
    assert text.split() == ["hushA", "/conf:", "a.txt", "/var/run/secrets/mine:", "deep", "400", "640", "read-only"]


async def test_a_missing_secret_is_waited_for_and_an_optional_one_is_not(lab: Lab) -> None:
    needs_mounts(lab)
    volumes = [
        {"name": "late", "secret": {"secretName": "late"}},
        {"name": "never", "configMap": {"name": "never", "optional": True}},
    ]
    mounts = [{"name": "late", "mountPath": "/late"}, {"name": "never", "mountPath": "/never"}]
    pod = lab.create("p", main("cat /late/key; ls /never", volumeMounts=mounts), volumes=volumes)
    event = await lab.said("FailedMount")
    assert event["message"] == 'MountVolume.SetUp failed for volume "late" : secret "late" not found'
    lab.secret("late", key="here")
    pod = await lab.until("p", ended)
    assert (pod["status"]["phase"], lab.text(pod)) == ("Succeeded", "here")


async def test_projected_and_downward_volumes(lab: Lab) -> None:
    needs_mounts(lab)
    lab.config("c", k="from config")
    sources: list[Json] = [
        {"configMap": {"name": "c", "items": [{"key": "k", "path": "conf"}]}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"serviceAccountToken": {"path": "token"}},
    ]
    volumes = [
        {"name": "p", "projected": {"sources": sources}},
        {"name": "d", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    mounts = [{"name": "p", "mountPath": "/p"}, {"name": "d", "mountPath": "/d"}]
    text = await lab.output(
        "pp", main("cat /p/conf /p/name /d/labels; test -s /p/token", volumeMounts=mounts), volumes=volumes
    )
    assert text == 'from configppapp="pp"'


async def test_the_service_account_is_where_pods_look_for_it(lab: Lab) -> None:
    needs_mounts(lab)
    text = await lab.output("p", main("cat /var/run/secrets/kubernetes.io/serviceaccount/namespace"))
    assert text == "default"


async def test_a_host_path_is_bound_and_never_created(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    needs_mounts(lab)
    there = tmp_path_factory.mktemp("there")
    (there / "f").write_text("host")
    mounts = [{"name": "h", "mountPath": "/h", "readOnly": True}]
    script = "cat /h/f; touch /h/g 2>/dev/null || echo ' read-only'"
    volumes = [{"name": "h", "hostPath": {"path": str(there)}}]
    assert await lab.output("p", main(script, volumeMounts=mounts), volumes=volumes) == "host read-only\n"
    missing = there / "missing"
    lab.create("q", main(":", volumeMounts=mounts), volumes=[{"name": "h", "hostPath": {"path": str(missing)}}])
    assert "creates nothing outside of its own folder" in (await lab.said("FailedMount"))["message"]
    assert not missing.exists()


async def test_sub_paths_are_made_and_cannot_leave_the_volume(lab: Lab) -> None:
    needs_mounts(lab)
    volumes = [{"name": "v", "emptyDir": {}}]
    mounts = [{"name": "v", "mountPath": "/a", "subPathExpr": "$(WHO)/deep"}, {"name": "v", "mountPath": "/all"}]
    env = [{"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    text = await lab.output(
        "p", main("touch /a/f; cd /all; ls -d p/deep/f", volumeMounts=mounts, env=env), volumes=volumes
    )
    assert text == "p/deep/f\n"
    lab.create("q", main(":", volumeMounts=[{"name": "v", "mountPath": "/a", "subPath": "../.."}]), volumes=volumes)
    pod = await lab.until("q", lambda one: "CreateContainerConfigError" in str(one["status"]))
    assert "leaves the volume" in state(pod)["waiting"]["message"]


async def test_a_machine_without_mounts_says_why_a_pod_cannot_start_and_runs_those_that_need_none(
    tmp_path: Path,
) -> None:
    lab = Lab(Store(), LocalNode(tmp_path, replace(OPTIONS, namespaces="never")), tmp_path)
    await lab.node.start(lab.store)
    try:
        assert await lab.output("plain", main("echo fine")) == "fine\n"
        lab.create(
            "p", main(":", volumeMounts=[{"name": "v", "mountPath": "/v"}]), volumes=[{"name": "v", "emptyDir": {}}]
        )
        pod = await lab.until("p", lambda one: "CreateContainerError" in str(one["status"]))
        assert state(pod)["waiting"]["message"] == "volumes cannot be mounted at /v: the node was told to do without"
    finally:
        await lab.node.stop()


async def test_a_volume_over_tmp_starts_empty(lab: Lab) -> None:
    needs_mounts(lab)
    mounts = [{"name": "v", "mountPath": "/tmp"}]
    text = await lab.output(
        "p", main("ls /tmp; touch x; echo ok", volumeMounts=mounts), volumes=[{"name": "v", "emptyDir": {}}]
    )
    assert text == "ok\n"
