"""What a container gets on the embedded node: variables, its command, a process tree of its own, commands beside it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.local.kube.node_pods.pod_lab import Json, Lab, commands, ended, left_in, main, needs_mounts, running, state


async def test_variables_come_from_everywhere_and_refer_to_each_other(lab: Lab) -> None:
    lab.secret("s", token="t0")
    lab.config("c", LEVEL="high", **{"not-a name": "x"})
    env: list[Json] = [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)b $$(A) $(UNKNOWN)"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
        {"name": "NONE", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "k", "optional": True}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "MIB", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    ]
    sources: list[Json] = [
        {"prefix": "C_", "configMapRef": {"name": "c"}},
        {"secretRef": {"name": "no", "optional": True}},
    ]
    container = {
        "name": "main",
        "image": "busybox:1",
        "command": ["sh", "-c"],
        "args": ['echo "$B|$TOKEN|${NONE-unset}|$NODE|$APP|$MIB|$C_LEVEL|$(A)"; pwd; test "$PWD" = "$HOME"'],
        "env": env,
        "envFrom": sources,
        "resources": {"limits": {"memory": "200Mi"}},
    }
    first, place = (await lab.output("p", container)).splitlines()
    assert first == "ab $(A) $(UNKNOWN)|t0|unset|embedded-node|p|200|high|a"
    assert place == "/container" if lab.node.isolated else place.endswith("/home")


async def test_a_missing_key_is_a_config_error_until_it_is_there(lab: Lab) -> None:
    lab.secret("s", other="x")
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]
    lab.create("p", main("echo $A", env=env))
    pod = await lab.until("p", lambda one: "CreateContainerConfigError" in str(one["status"]))
    assert state(pod)["waiting"]["message"] == "couldn't find key k in Secret default/s"
    lab.store.update("secrets", {**(lab.store.get("secrets", "default", "s") or {}), "data": {"k": "MQ=="}})
    pod = await lab.until("p", ended)
    assert lab.text(pod) == "1\n"


async def test_a_container_without_a_command_says_so(lab: Lab) -> None:
    assert await lab.output("p", {"name": "main", "image": "busybox:1"}) == "busybox:1 ran without a command\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["no-such-program"], 'exec: "no-such-program": executable file not found in $PATH'),
        (["/etc/passwd"], 'exec: "/etc/passwd": permission denied'),
        (["/etc"], 'exec: "/etc": is a directory'),
    ],
)
async def test_a_program_that_cannot_be_run(lab: Lab, command: list[str], message: str) -> None:
    pod = await lab.ran("p", {"name": "main", "image": "busybox:1", "command": command})
    found = state(pod)["terminated"]
    assert (found["exitCode"], found["reason"]) == (128, "StartError")
    assert found["message"].endswith(f"unable to start container process: {message}: unknown")


async def test_a_null_byte_in_a_command_is_said(lab: Lab) -> None:
    lab.create("p", {"name": "main", "image": "busybox:1", "command": ["echo", "a\0b"]})
    pod = await lab.until("p", lambda one: "CreateContainerError" in str(one["status"]))
    assert state(pod)["waiting"]["message"] == "embedded null byte"


async def test_a_definition_that_cannot_be_read_is_said(lab: Lab) -> None:
    lab.create("p", main(":", env=[{"name": "A", "valueFrom": {"secretKeyRef": {"key": "k"}}}]))
    pod = await lab.until("p", lambda one: "CreateContainerConfigError" in str(one["status"]))
    assert state(pod)["waiting"]["message"].startswith("its definition cannot be read: KeyError('name')")


async def test_a_working_directory_is_made_for_the_container_alone(lab: Lab) -> None:
    needs_mounts(lab)
    assert await lab.output("p", main("pwd", workingDir="/opt/there/is/none")) == "/opt/there/is/none\n"
    assert "there" not in left_in(Path("/opt"))


async def test_a_container_has_no_descriptors_but_its_own(lab: Lab) -> None:
    text = await lab.output("p", main("ls /proc/self/fd | tr '\\n' ' '"))
    assert text == "0 1 2 3 "  # the last one is the directory that is listed


async def test_a_command_runs_in_a_container_with_its_mounts_and_environment(lab: Lab) -> None:
    needs_mounts(lab)
    mounts = [{"name": "x", "mountPath": "/airflow/xcom"}]
    script = "echo 42 > /airflow/xcom/return.json; echo up; sleep 600"
    env = [{"name": "MINE", "value": "yes"}]
    pod = lab.create("p", main(script, volumeMounts=mounts, env=env), volumes=[{"name": "x", "emptyDir": {}}])
    uid = pod["metadata"]["uid"]
    await lab.until("p", running)
    view = lab.node.log(uid, "main", previous=False)
    assert view is not None
    async with asyncio.timeout(20):
        assert await view.grown(0)
        script = "cat; cat /airflow/xcom/return.json; echo $MINE >&2; pwd; exit 3"
        started = await lab.node.exec(uid, "main", ["sh", "-c", script], stdin=True)
        assert started.stdin is not None
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdin.write(b"in\n")
        started.stdin.close()
        assert await started.stdout.read() == b"in\n42\n/container\n"
        assert await started.stderr.read() == b"yes\n"
        assert await started.wait() == 3
        with pytest.raises(OSError, match=r'exec: "/no/such": stat /no/such: no such file or directory: unknown$'):
            await lab.node.exec(uid, "main", ["/no/such"], stdin=False)
        endless = await lab.node.exec(uid, "main", ["sleep", "600"], stdin=False)
        endless.kill()
        assert await endless.wait() == 137
        left = await lab.node.exec(uid, "main", ["sh", "-c", "echo up; exec sleep 601"], stdin=False)
        assert left.stdout is not None
        assert await left.stdout.readline() == b"up\n"
        process = commands("sleep 601")[-1]
        lab.store.remove("pods", "default", "p")
        assert await left.wait() == 137
        await asyncio.to_thread(process.wait, 5)
    with pytest.raises(OSError, match="container"):
        await lab.node.exec(uid, "main", ["true"], stdin=False)


async def test_a_container_sees_its_own_processes_only(lab: Lab) -> None:
    needs_mounts(lab)
    outside = await asyncio.create_subprocess_exec("sleep", "602")
    try:
        # As upstream ends its XCom sidecar: without this, the signal is for everything that the user runs.
        script = "trap 'echo interrupted; exit 0' INT; echo up; while :; do sleep 0.05; done"
        pod = lab.create("p", main(script))
        await lab.until("p", running)
        view = lab.node.log(pod["metadata"]["uid"], "main", previous=False)
        assert view is not None
        async with asyncio.timeout(20):
            assert await view.grown(0)
            look = await lab.node.exec(
                pod["metadata"]["uid"], "main", ["sh", "-c", f"kill -0 {outside.pid}"], stdin=False
            )
            assert await look.wait() != 0
            seen = await lab.node.exec(
                pod["metadata"]["uid"], "main", ["sh", "-c", "cat /proc/[0-9]*/comm"], stdin=False
            )
            assert seen.stdout is not None
            assert set((await seen.stdout.read()).split()) <= {b"sh", b"sleep", b"cat", b"python3", b"python"}
            await seen.wait()
            stop = await lab.node.exec(pod["metadata"]["uid"], "main", ["kill", "-2", "1"], stdin=False)
            await stop.wait()
        pod = await lab.until("p", ended)
        assert (pod["status"]["phase"], lab.text(pod)) == ("Succeeded", "up\ninterrupted\n")
        assert outside.returncode is None
    finally:
        outside.kill()
        await outside.wait()
