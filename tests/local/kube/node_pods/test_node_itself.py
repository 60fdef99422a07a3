"""The embedded node as a whole: room, images, faults of its own, logs that are rotated, many pods."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asyncrun.local.kube.node import ImageFault, LocalNode
from asyncrun.local.kube.node_api import ExecNode, FaultyNode, Node
from asyncrun.local.kube.store import Store
from tests.local.kube.node_pods.pod_lab import OPTIONS, Lab, ended, main, running, state


async def test_a_rotated_log_is_whole_for_who_followed_it_and_short_for_others(tmp_path: Path) -> None:
    lab = Lab(Store(), LocalNode(tmp_path, replace(OPTIONS, log_limit=2000)), tmp_path)
    await lab.node.start(lab.store)
    try:
        script = "echo line 0; sleep 0.3; i=1; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done"
        lab.create("p", main(script))
        pod = await lab.until("p", running)
        early = lab.node.log(pod["metadata"]["uid"], "main", previous=False)
        assert early is not None
        await lab.until("p", ended)
        assert len(early.read(0, 1 << 20).splitlines()) == 200
        late = lab.text(pod).splitlines()
        assert late[-1] == "line 199"
        assert 0 < len(late) < 60
    finally:
        await lab.node.stop()


def test_it_is_what_the_server_wants(tmp_path: Path) -> None:
    node = LocalNode(tmp_path)
    wanted: Node = node
    faulty: FaultyNode = node
    assert wanted is faulty
    assert isinstance(node, ExecNode)


async def test_requests_beyond_the_node_wait_for_room(tmp_path: Path) -> None:
    lab = Lab(Store(), LocalNode(tmp_path, replace(OPTIONS, cpu="2")), tmp_path)
    await lab.node.start(lab.store)
    try:
        big = {"resources": {"requests": {"cpu": "1500m"}}}
        lab.create("first", main("sleep 0.3", **big))
        await lab.until("first", running)
        lab.create("second", main("echo mine", **big))
        event = await lab.said("FailedScheduling")
        assert event["message"] == (
            "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, "
            "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
        )
        pod = await lab.until("second", ended)
        assert pod["status"]["phase"] == "Succeeded"
    finally:
        await lab.node.stop()


async def test_an_image_can_be_pulled_after_some_failures(lab: Lab) -> None:
    await lab.node.fault("image", {"image": "flaky:*", "error": "denied", "times": 2})
    pod = await lab.ran("p", {**main("echo here"), "image": "flaky:1"})
    assert pod["status"]["phase"] == "Succeeded"
    reasons = [one["reason"] for one in lab.store.list("events")]
    assert sorted(set(reasons)) == ["BackOff", "Created", "Failed", "Pulled", "Pulling", "Scheduled", "Started"]


async def test_a_lost_node_says_nothing_until_it_is_back(lab: Lab) -> None:
    away = [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
        for what in ("not-ready", "unreachable")
    ]
    script = "trap 'echo TERM; exit 0' TERM; echo up; while :; do sleep 0.02; done"
    pod = lab.create("p", main(script), tolerations=away, terminationGracePeriodSeconds=5)
    await lab.until("p", running)
    await lab.node.fault("lost", {})
    pod = await lab.until("p", lambda one: "deletionTimestamp" in one["metadata"])
    conditions = {one["type"]: one for one in pod["status"]["conditions"]}
    assert conditions["Ready"]["status"] == "False"
    assert conditions["DisruptionTarget"]["reason"] == "DeletionByTaintManager"
    assert "running" in state(pod)
    lab.create("late", main(":"))
    message = (await lab.said("FailedScheduling"))["message"]
    assert message.startswith("0/1 nodes are available: 1 node(s) had untolerated taint(s). no new claims")
    with pytest.raises(ConnectionRefusedError):
        lab.node.log(pod["metadata"]["uid"], "main", previous=False)
    await lab.node.fault("recover", {})
    await lab.gone("p")
    assert (await lab.until("late", ended))["status"]["phase"] == "Succeeded"
    reasons = [one["reason"] for one in lab.store.list("events")]
    assert {"NodeNotReady", "TaintManagerEviction", "Killing"} <= set(reasons)


async def test_a_kubelet_that_restarts_notices_what_it_missed(lab: Lab) -> None:
    lab.create("p", main("sleep 0.2; echo done"))
    await lab.until("p", running)
    await lab.node.fault("restart", {"seconds": 0.6})
    pod = await lab.until("p", ended)
    assert (pod["status"]["phase"], lab.text(pod)) == ("Succeeded", "done\n")


async def test_an_eviction_by_hand(lab: Lab) -> None:
    lab.create("p", main("sleep 600"))
    await lab.until("p", running)
    await lab.node.fault("evict", {"name": "p"})
    pod = await lab.until("p", ended)
    assert (pod["status"]["phase"], pod["status"]["reason"]) == ("Failed", "Evicted")
    assert pod["status"]["message"].startswith("The node was low on resource: memory.")
    with pytest.raises(ValueError, match="no pod default/absent"):
        await lab.node.fault("evict", {"name": "absent"})
    with pytest.raises(ValueError, match="knows no fault 'rain'"):
        await lab.node.fault("rain", {})
    with pytest.raises(ValueError, match=r"fault 'image': .*unexpected keyword argument 'size'"):
        await lab.node.fault("image", {"image": "a", "size": 3})


async def test_fifty_pods_at_once(lab: Lab) -> None:
    for number in range(50):
        lab.create(f"p{number}", main("echo hello"))
    for number in range(50):
        pod = await lab.until(f"p{number}", ended)
        assert (pod["status"]["phase"], lab.text(pod)) == ("Succeeded", "hello\n")


async def test_a_name_that_is_used_again_is_another_pod(lab: Lab) -> None:
    await lab.ran("p", main("echo one"))
    lab.store.remove("pods", "default", "p")
    second = await lab.ran("p", main("echo two"))
    assert lab.text(second) == "two\n"


async def test_images_that_do_not_exist_by_default(lab: Lab) -> None:
    lab.create("p", {**main(":"), "image": "registry.invalid/a/b:1"})
    pod = await lab.until("p", lambda one: "ErrImagePull" in str(one["status"]))
    assert state(pod)["waiting"]["message"].endswith("lookup registry.invalid on 10.255.255.53:53: no such host")
    assert ImageFault("a").error == "not_found"
