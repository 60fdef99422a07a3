"""Exec plug-ins: programs that make credentials, as users of EKS and GKE have them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients.kube import close_all_kube
from asyncrun.clients.kube_exec import read_answer
from asyncrun.model.errors import Unavailable
from asyncrun.model.settings import Settings
from tests.clients.kube.certificates import authority, b64, server_context
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.plugin import GET, PREFIX, V1, PlugIn, get, refused
from tests.clients.kube.standin import ApiServer, pod, serving
from tests.clients.support import until


async def test_its_token_is_used_and_it_runs_once_for_many(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings
) -> None:
    await asyncio.gather(*(get(settings) for _ in range(20)))
    assert set(server.authorizations()) == {f"Bearer {PREFIX}-1"}
    assert len(plugin.runs) == 1


async def test_it_is_told_what_the_kubeconfig_says(
    configured: Callable[..., None], plugin: PlugIn, server: ApiServer, settings: Settings
) -> None:
    env = [{"name": "AWS_PROFILE", "value": "prod"}, {"name": "AWS_PROFILE", "value": "last"}]
    configured(args=["get-token", "--x"], env=env, provideClusterInfo=True, interactiveMode="IfAvailable")
    await get(settings)
    (run,) = plugin.runs
    assert run["args"] == ["get-token", "--x"]
    assert run["env"]["AWS_PROFILE"] == "last"
    assert run["env"]["PATH"] == os.environ["PATH"]
    assert json.loads(run["env"]["KUBERNETES_EXEC_INFO"]) == {
        "apiVersion": V1, "kind": "ExecCredential", "spec": {"interactive": False, "cluster": {"server": server.url}}
    }  # fmt: skip


async def test_path_of_the_command_is_relative_to_its_kubeconfig(
    server: ApiServer, connect: Connect, plugin: PlugIn, settings: Settings, tmp_path: Path
) -> None:
    server.answers[GET] = (200, pod())
    config = tmp_path / "config"
    config.write_text(json.dumps(kubeconfig(server.url, plugin.user("plugin/plugin"))))
    connect(kube_config_path=str(config))
    await get(settings)
    assert len(plugin.runs) == 1


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("import sys; print('x'); print('first', file=sys.stderr); sys.exit('no  such profile')",
         "failed (exit status 1) and said: 'no such profile'"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "failed (signal 9)"),
        (f"print('{PREFIX}')", "gave no ExecCredential: JSON is malformed: invalid character (byte 0)"),
        ("print('x' * 2**21)", "wrote 2097153 bytes, which cannot be credentials"),
    ],
)  # fmt: skip
async def test_failures_are_told(
    configured: object, plugin: PlugIn, settings: Settings, script: str, message: str
) -> None:
    path = plugin.script(script)
    assert await refused(settings) == (
        f"The exec plug-in {str(path)!r} of the kubeconfig {message}: whoever manages Airflow connection 'kube_test' "
        "must see to it."
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"kind": "ExecCredential"}, "gave no ExecCredential: Object missing required field `apiVersion`"),
        ({"apiVersion": V1, "kind": "Pod", "status": {}}, "answered with another kind or version than ExecCredential"),
        ({"apiVersion": V1 + "beta1", "kind": "ExecCredential", "status": {}}, "answered with another kind or version"),
        ({"apiVersion": V1, "kind": "ExecCredential", "status": {}}, "gave neither a token nor a certificate"),
        ({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": [PREFIX]}},
         "gave no ExecCredential: Expected"),
        ({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": PREFIX + "\r\nX: y"}},
         "gave no usable credentials"),
        ({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": "t", "expirationTimestamp": PREFIX}},
         "gave no ExecCredential: Invalid RFC3339"),
        ({"apiVersion": V1, "kind": "ExecCredential", "status": {"clientKeyData": PREFIX}},
         "gave a certificate without a key, or a key without a certificate"),
    ],
)  # fmt: skip
async def test_answers_that_are_no_credentials_are_told_without_secrets(
    configured: object, plugin: PlugIn, settings: Settings, answer: dict[str, Any], message: str
) -> None:
    plugin.says(json.dumps(answer))
    assert message in await refused(settings)


async def test_missing_command_is_told_with_how_to_install_it(
    configured: Callable[..., None], settings: Settings
) -> None:
    configured("no-such-plugin-anywhere", installHint="Install it from\nexample.com.")
    assert await refused(settings) == (
        "The exec plug-in 'no-such-plugin-anywhere' of the kubeconfig cannot be run on this machine (No such file or "
        "directory): whoever manages Airflow connection 'kube_test' must see to it (Install it from example.com.)."
    )


async def test_plugin_that_wants_a_person_is_refused(configured: Callable[..., None], settings: Settings) -> None:
    configured(interactiveMode="Always")
    assert "wants to talk to a person (interactiveMode: Always), and here is none" in await refused(settings)


ESCAPES = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3)"], start_new_session=True)
time.sleep(300)
"""


async def test_child_that_left_the_plugins_session_holds_up_nobody(
    configured: object, plugin: PlugIn, settings: Settings
) -> None:
    plugin.script(ESCAPES)
    before = asyncio.get_running_loop().time()
    assert "gave no answer within 1 s" in await refused(replace(settings, exec_plugin_limit=1), Unavailable)
    assert asyncio.get_running_loop().time() - before < 2.5


HANGS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
here = os.path.dirname(os.path.abspath(__file__))
with open(here + "/fresh-pids", "w") as pids:
    pids.write(f"{os.getpid()} {child.pid}")
os.replace(here + "/fresh-pids", here + "/pids")
time.sleep(300)
"""


def gone(pid: str) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def pids(plugin: PlugIn) -> Iterator[str]:
    path = plugin._folder / "pids"
    yield from path.read_text().split() if path.exists() else ()


async def test_hanging_plugin_is_ended_with_its_children_at_the_limit(
    configured: object, plugin: PlugIn, settings: Settings
) -> None:
    plugin.script(HANGS)
    message = await refused(replace(settings, exec_plugin_limit=1), Unavailable)
    assert "gave no answer within 1 s, and was ended" in message
    assert len(list(pids(plugin))) == 2
    await until(lambda: all(map(gone, pids(plugin))))


async def test_hanging_plugin_is_ended_when_all_is_closed(
    configured: object, plugin: PlugIn, settings: Settings
) -> None:
    plugin.script(HANGS)
    opening = asyncio.create_task(get(settings), name="opening")
    await until(lambda: list(pids(plugin)))
    await close_all_kube()
    with pytest.raises(Unavailable, match="was closed while"):
        await opening
    await until(lambda: all(map(gone, pids(plugin))))


async def test_starting_a_plugin_blocks_nobody(configured: object, plugin: PlugIn, settings: Settings) -> None:
    from tests.clients.conftest import longest_step

    await get(settings)
    await close_all_kube()
    async with longest_step() as gauge:
        await get(settings)
    assert gauge.longest < 0.1


def test_bad_certificate_of_a_plugin_is_no_certificate() -> None:
    status = {"clientCertificateData": "x", "clientKeyData": PREFIX}
    made = read_answer(json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}).encode(), V1)
    assert PREFIX not in repr(made)


async def test_unusable_certificate_of_a_plugin_is_told(
    connect: Connect, plugin: PlugIn, settings: Settings, no_leaked_tasks: None
) -> None:
    async with serving(server_context()) as server:
        connect(kube_config=kubeconfig(server.url, plugin.user(), **{"certificate-authority-data": b64(authority())}))
        plugin.answer(clientCertificateData="x", clientKeyData=PREFIX)
        assert await refused(settings) == (
            "The exec plug-in of the kubeconfig gave no usable credentials: the client certificate and its key cannot "
            "be used (PEM, unencrypted): whoever manages Airflow connection 'kube_test' must see to it."
        )
        await close_all_kube()
