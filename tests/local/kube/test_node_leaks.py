"""What the node must leave alone, and what must not be left of it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from asyncrun.local.kube.node import LocalNode
from asyncrun.local.kube.node.processes import Processes, ProcessLink, StartFailed
from asyncrun.local.kube.node.volumes import MountError, Volume, mounts
from asyncrun.local.kube.store import Store
from tests.local.kube.node_pods.conftest import lab  # noqa: F401
from tests.local.kube.node_pods.pod_lab import Lab, commands, main, needs_mounts, running


def descriptors() -> set[str]:
    return {one.name for one in Path("/proc/self/fd").iterdir()}


async def all_closed(before: set[str]) -> None:
    """Pipes are closed a step of the event loop after they were told to."""
    async with asyncio.timeout(5):
        while descriptors() != before:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.01)


async def test_a_claim_is_a_folder_of_the_node_whatever_its_name(lab: Lab, tmp_path: Path) -> None:  # noqa: F811
    outside = tmp_path / "outside"
    for number, name in enumerate((str(outside), f"../../../{outside.name}")):
        claim = {"name": "v", "persistentVolumeClaim": {"claimName": name}}
        lab.create(f"p{number}", main("true"), volumes=[claim])
        event = await lab.said("FailedMount")
        assert "leaves the volume" in event["message"]
        assert not outside.exists()
        lab.store.remove("pods", "default", f"p{number}")
        await lab.gone(f"p{number}")


def test_no_folder_is_made_over_a_link_that_a_container_left(tmp_path: Path) -> None:
    volume, outside = tmp_path / "volume", tmp_path / "outside"
    volume.mkdir()
    outside.mkdir()
    (volume / "link").symlink_to(outside)
    container = {"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "link/new"}]}
    with pytest.raises(MountError, match="link/new leaves the volume"):
        mounts(container, {"v": Volume(volume)}, {})
    assert not list(outside.iterdir())


async def test_a_container_whose_supervisor_was_killed_ended_now() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    link = ProcessLink({"started": 1, "at": 1}, {"env": {}, "cwd": "/"}, ours, reader, writer)
    theirs.close()
    ended = await link.ended(lambda _size, _start: None)
    await link.close()
    assert ended.exit_code == 137
    assert ended.at > 1_700_000_000 * 10**9


async def test_a_container_that_cannot_be_handed_over_leaves_no_socket(tmp_path: Path) -> None:
    before = descriptors()
    with pytest.raises(StartFailed, match="the node stops") as refused:
        await Processes(tmp_path).run({})
    assert descriptors() == before, refused  # whose frames are still there


async def test_a_command_that_nobody_waits_for_any_more_leaves_nothing(lab: Lab) -> None:  # noqa: F811
    needs_mounts(lab)
    pod = lab.create("p", main("trap 'exit 0' TERM; while :; do sleep 0.05; done"))
    await lab.until("p", running)
    before = descriptors()
    node: LocalNode = lab.node
    for turns in range(12):
        start = node.exec(pod["metadata"]["uid"], "main", ["sleep", "603"], stdin=True)
        task = asyncio.create_task(start, name="command")
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.done():
            (await task).kill()
            assert await (await task).wait() == 137
            break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await all_closed(before)
    assert turns > 3
    for process in commands("sleep 603"):
        await asyncio.to_thread(process.wait, 5)


async def test_a_command_that_is_killed_keeps_no_pipe_for_its_children(lab: Lab) -> None:  # noqa: F811
    needs_mounts(lab)
    pod = lab.create("p", main("trap 'exit 0' TERM; while :; do sleep 0.05; done"))
    await lab.until("p", running)
    before = descriptors()
    script = "setsid sh -c 'echo up; exec sleep 604' & wait"
    started = await lab.node.exec(pod["metadata"]["uid"], "main", ["sh", "-c", script], stdin=False)
    assert started.stdout is not None
    assert await started.stdout.readline() == b"up\n"
    started.kill()
    assert await asyncio.wait_for(started.wait(), 5) == 137
    await all_closed(before)


async def test_no_command_reaches_a_lost_node(tmp_path: Path) -> None:
    node = LocalNode(tmp_path)
    await node.start(Store())
    try:
        await node.fault("lost", {})
        with pytest.raises(ConnectionRefusedError, match="the kubelet does not run"):
            await node.exec("uid", "main", ["true"], stdin=False)
    finally:
        await node.stop()
