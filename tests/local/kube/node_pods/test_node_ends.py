"""How pods end on the embedded node, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import psutil

from asyncrun.local.kube.deletion import delete
from asyncrun.local.kube.node import LocalNode
from asyncrun.local.kube.resources import of_kind
from asyncrun.local.kube.store import Store
from tests.local.kube.node_pods.pod_lab import (
    OPTIONS,
    Json,
    Lab,
    commands,
    ended,
    left_in,
    main,
    needs_mounts,
    running,
    state,
)


async def test_a_death_by_signal_is_128_and_its_number(lab: Lab) -> None:
    lab.create("p", main("sleep 603; :"))
    await lab.until("p", running)
    commands("sleep 603")[0].kill()
    pod = await lab.until("p", ended)
    assert (state(pod)["terminated"]["exitCode"], state(pod)["terminated"]["reason"]) == (137, "Error")


async def test_a_pipe_that_nobody_reads_kills_as_in_a_shell(lab: Lab) -> None:
    assert await lab.output("p", main("yes | head -1")) == "y\n"


async def test_sidecars_end_after_the_main_containers_and_the_last_one_first(lab: Lab) -> None:
    needs_mounts(lab)
    mounts = [{"name": "v", "mountPath": "/v"}]

    def sidecar(name: str) -> Json:
        script = f"trap 'echo {name} >> /v/order; exit 0' TERM; touch /v/{name}; while :; do sleep 0.02; done"
        return {
            "name": name,
            "image": "i",
            "command": ["sh", "-c", script],
            "restartPolicy": "Always",
            "volumeMounts": mounts,
        }

    script = (
        "trap 'sleep 0.1; echo main >> /v/order; exit 0' TERM; until [ -e /v/two ]; do :; done; echo up;"
        " while :; do sleep 0.02; done"
    )
    waiter = {
        **sidecar("zero"),
        "command": ["sh", "-c", "trap 'cat /v/order; exit 0' TERM; echo zero up; while :; do sleep 0.02; done"],
    }
    pod = lab.create(
        "p",
        main(script, volumeMounts=mounts),
        initContainers=[waiter, sidecar("one"), sidecar("two")],
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    pod = await lab.until("p", running)
    view = lab.node.log(pod["metadata"]["uid"], "main", previous=False)
    assert view is not None
    async with asyncio.timeout(10):
        assert await view.grown(0)
    kind = of_kind("Pod")
    assert kind is not None
    zero = lab.node.log(pod["metadata"]["uid"], "zero", previous=False)
    assert zero is not None
    delete(lab.store, kind, "default", "p", {"gracePeriodSeconds": 10})
    await lab.gone("p")
    text = zero.read(0, 1 << 20).decode()
    assert [line[31:] for line in text.splitlines()] == ["zero up", "main", "two", "one"]


async def test_a_second_deletion_shortens_the_grace(lab: Lab) -> None:
    lab.create("p", main("trap '' TERM; echo up; while :; do sleep 0.05; done"))
    await lab.until("p", running)
    kind = of_kind("Pod")
    assert kind is not None
    delete(lab.store, kind, "default", "p", {"gracePeriodSeconds": 600})
    await lab.said("Killing")
    delete(lab.store, kind, "default", "p", {"gracePeriodSeconds": 2})
    await lab.gone("p")


async def test_nothing_of_a_container_outlives_it(lab: Lab) -> None:
    script = (
        f"{sys.executable} -c 'import os,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0);"
        ' print("away", flush=True); time.sleep(600)\' & wait; sleep 0.3'
    )
    pod = lab.create("p", main(script))
    await lab.until("p", running)
    view = lab.node.log(pod["metadata"]["uid"], "main", previous=False)
    assert view is not None
    assert await view.grown(0)
    processes = commands("time.sleep(600)")
    assert processes
    await lab.until("p", ended)
    assert not [one for one in processes if one.is_running()]


async def test_what_is_printed_just_before_the_end_is_in_the_log(lab: Lab) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo 'the end'"
    for number in range(5):
        lab.create(f"p{number}", main(script))
    for number in range(5):
        pod = await lab.until(
            f"p{number}", lambda one: "terminated" in state(one) if one["status"].get("containerStatuses") else False
        )
        assert lab.text(pod).endswith("line 1999\nthe end\n")


async def test_restarts_keep_the_previous_log_and_back_off(lab: Lab) -> None:
    pod = lab.create("p", main("date +%s%N; exit 1"), restartPolicy="Always")
    pod = await lab.until(
        "p",
        lambda one: (
            "CrashLoopBackOff" in str(one["status"]) and one["status"]["containerStatuses"][0]["restartCount"] >= 2
        ),
    )
    uid = pod["metadata"]["uid"]
    assert state(pod)["waiting"]["message"] == f"back-off 20s restarting failed container=main pod=p_default({uid})"
    assert lab.text(pod) != lab.text(pod, previous=True)


async def test_an_init_container_is_tried_again_unless_the_policy_forbids_it(lab: Lab) -> None:
    needs_mounts(lab)
    mounts = [{"name": "v", "mountPath": "/v"}]
    script = "[ -e /v/tried ] || { touch /v/tried; exit 1; }"
    prep = {"name": "prep", "image": "i", "command": ["sh", "-c", script], "volumeMounts": mounts}
    volumes = [{"name": "v", "emptyDir": {}}]
    pod = await lab.ran("p", main("echo ok"), initContainers=[prep], volumes=volumes, restartPolicy="OnFailure")
    assert pod["status"]["phase"] == "Succeeded"
    assert pod["status"]["initContainerStatuses"][0]["restartCount"] == 1


async def test_memory_that_forks_share_is_counted_once(lab: Lab) -> None:
    script = (
        "import os,time; block = b'x' * (60 << 20); pids = [os.fork() for _ in range(2)];"
        " time.sleep(0.5); 0 in pids or [os.wait() for _ in pids]"
    )
    container = {"name": "main", "image": "i:1", "command": [sys.executable, "-c", script]}
    pod = await lab.ran("p", {**container, "resources": {"limits": {"memory": "120Mi"}}})
    assert state(pod)["terminated"]["reason"] == "Completed"


async def test_a_process_that_does_not_handle_sigterm_dies_of_it(lab: Lab) -> None:
    pod = lab.create("p", {"name": "main", "image": "i:1", "command": ["sleep", "600"]}, activeDeadlineSeconds=1)
    pod = await lab.until("p", ended)
    assert state(pod)["terminated"]["exitCode"] == 143


async def test_a_pod_that_vanishes_from_the_store_is_killed_and_forgotten(lab: Lab) -> None:
    pod = lab.create("p", main("echo up; sleep 600"))
    await lab.until("p", running)
    view = lab.node.log(pod["metadata"]["uid"], "main", previous=False)
    assert view is not None
    async with asyncio.timeout(10):
        assert await view.grown(0)
        assert commands("echo up; sleep 600")
        lab.store.remove("pods", "default", "p")
        assert not await view.grown(view.size())
    assert not commands("echo up; sleep 600")


async def test_stopping_the_node_kills_all_at_once(tmp_path: Path) -> None:
    before = psutil.Process().children(recursive=True)  # servers of other tests in this process
    lab = Lab(Store(), LocalNode(tmp_path, OPTIONS), tmp_path)
    await lab.node.start(lab.store)
    for number in range(5):
        lab.create(f"p{number}", main("trap '' TERM; while :; do sleep 1; done"))
    for number in range(5):
        await lab.until(f"p{number}", running)
    mine = [one for one in psutil.Process().children(recursive=True) if one not in before]
    assert len(mine) >= 11
    async with asyncio.timeout(5):
        await lab.node.stop()
    assert not [one for one in mine if one.is_running()]
    assert not left_in(tmp_path)


_SERVER = """
import asyncio, sys
from pathlib import Path
from asyncrun.local.kube.defaults import default_pod
from asyncrun.local.kube.node import LocalNode
from asyncrun.local.kube.store import Store

async def main():
    store, node = Store(), LocalNode(Path(sys.argv[1]))
    await node.start(store)
    script = "(setsid sleep 600 &) ; trap '' TERM; while :; do sleep 1; done"
    container = {"name": "main", "image": "i:1", "command": ["sh", "-c", script]}
    metadata = {"name": "p", "namespace": "default", "generation": 1}
    store.create("pods", default_pod({"kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}))
    changes = store.subscribe("pods")
    while (await changes.next())[1]["status"]["phase"] != "Running":
        pass
    print("up", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_everything_ends_with_the_server_even_if_it_is_killed(tmp_path: Path) -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(_SERVER), str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    assert await server.stdout.readline() == b"up\n"
    children = psutil.Process(server.pid).children(recursive=True)
    assert len(children) >= 3
    os.kill(server.pid, signal.SIGKILL)
    await server.wait()
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, 5)
    assert not alive
    assert not left_in(tmp_path)
