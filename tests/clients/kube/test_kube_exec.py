"""Exec plug-ins: programs that make credentials, as users of EKS and GKE have them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients import kube_auth
from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.clients.kube_exec import read_answer
from asyncrun.model.errors import CredentialsExpired, RemoteError, Unavailable
from asyncrun.model.settings import Settings
from tests.clients.kube.certificates import authority, b64, client_certificate, server_context
from tests.clients.kube.conftest import TARGET, Connect, kubeconfig
from tests.clients.kube.standin import ApiServer, pod, serving
from tests.clients.support import until

V1 = "client.authentication.k8s.io/v1"
GET = "GET /api/v1/namespaces/ns/pods/p"
PREFIX = "secret-token"

WRITES = """
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
with open(here + "/runs", "a") as runs:
    runs.write(json.dumps({"env": dict(os.environ), "args": sys.argv[1:]}) + chr(10))
with open(here + "/answer") as answer:
    sys.stdout.write(answer.read())
"""


class PlugIn:
    """A plug-in that writes down how it was run and answers what lies in a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.script(WRITES)
        self.answer(token=f"{PREFIX}-1")

    def script(self, text: str, name: str = "plugin") -> Path:
        path = self._folder / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
        return path

    def answer(self, expires_in: float | None = None, **status: Any) -> None:
        if expires_in is not None:
            status["expirationTimestamp"] = datetime.fromtimestamp(time.time() + expires_in, UTC).isoformat()
        self.says(json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}))

    def says(self, text: str) -> None:
        fresh = self._folder / "fresh"
        fresh.write_text(text)
        fresh.replace(self._folder / "answer")

    @property
    def runs(self) -> list[dict[str, Any]]:
        path = self._folder / "runs"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def user(self, command: str = "", **more: Any) -> dict[str, Any]:
        return {"exec": {"command": command or str(self._folder / "plugin"), "apiVersion": V1, **more}}


@pytest.fixture
def plugin(tmp_path: Path) -> PlugIn:
    folder = tmp_path / "plugin"
    folder.mkdir()
    return PlugIn(folder)


@pytest.fixture
def configured(server: ApiServer, connect: Connect, plugin: PlugIn) -> Callable[..., None]:
    """A connection whose kubeconfig names the plug-in, and a server with one pod."""
    server.answers[GET] = (200, pod())

    def configure(command: str = "", **more: Any) -> None:
        connect(kube_config=kubeconfig(server.url, plugin.user(command, **more)))

    configure()
    return configure


async def get(settings: Settings) -> None:
    async with open_kube(TARGET, settings) as kube:
        await kube.pods("ns").get("p")


async def refused(settings: Settings, kind: type[RemoteError] = CredentialsExpired) -> str:
    with pytest.raises(RemoteError) as caught:
        await get(settings)
    assert type(caught.value) is kind
    cause: BaseException | None = caught.value
    while cause is not None:
        assert PREFIX not in repr(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return str(caught.value)


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


class Clock:
    """The wall clock as the code sees it: goes on, and further where a test says so."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(kube_auth, "wall_clock", clock)
    return clock


async def test_it_runs_again_in_the_background_before_its_credentials_expire(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings, clock: Clock
) -> None:
    plugin.answer(1000, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        clock.ahead = 800
        await kube.pods("ns").get("p")
        assert len(plugin.runs) == 1
        plugin.answer(5000, token=f"{PREFIX}-2")
        clock.ahead = 900
        await kube.pods("ns").get("p")  # with the old ones, which are still valid

        async def renewed() -> bool:
            await kube.pods("ns").get("p")
            return server.authorizations()[-1] == f"Bearer {PREFIX}-2"

        await until(renewed)
    assert len(plugin.runs) == 2
    assert server.authorizations()[:2] == [f"Bearer {PREFIX}-1"] * 2


async def test_calls_wait_for_new_credentials_once_the_old_ones_expired(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings, clock: Clock
) -> None:
    plugin.answer(1000, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        plugin.answer(5000, token=f"{PREFIX}-2")
        clock.ahead = 1001
        await asyncio.gather(*(kube.pods("ns").get("p") for _ in range(10)))
    assert set(server.authorizations()) == {f"Bearer {PREFIX}-2"}
    assert len(plugin.runs) == 2


async def test_credentials_that_seem_to_come_expired_are_used_and_not_made_anew_for_every_call(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings
) -> None:
    plugin.answer(-3600, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        for _ in range(5):
            await kube.pods("ns").get("p")
    assert set(server.authorizations()) == {f"Bearer {PREFIX}-1"}
    assert len(plugin.runs) == 1


async def test_refused_token_is_renewed_once_for_all_who_were_refused(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings
) -> None:
    async with open_kube(TARGET, settings) as kube:
        await kube.pods("ns").get("p")
        server.tokens = {f"{PREFIX}-2"}
        plugin.answer(token=f"{PREFIX}-2")
        await asyncio.gather(*(kube.pods("ns").get("p") for _ in range(10)))
    assert len(plugin.runs) == 2
    assert server.count() == 1 + 10 + 10


async def test_renewal_that_fails_is_no_harm_while_the_old_credentials_are_valid(
    configured: object, plugin: PlugIn, settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    plugin.answer(1000, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        plugin.script("import sys; sys.exit('no network')")
        clock.ahead = 900

        async def said() -> bool:
            await kube.pods("ns").get("p")
            return "Credentials for Kubernetes could not be renewed: The exec plug-in" in caplog.text

        await until(said)
        assert PREFIX not in caplog.text
        clock.ahead = 1001
        with pytest.raises(Unavailable, match="and said: 'no network'; if it lasts, whoever manages"):
            await kube.pods("ns").get("p")


async def test_refused_token_that_cannot_be_renewed_for_an_outage_is_an_outage(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings
) -> None:
    async with open_kube(TARGET, settings) as kube:
        await kube.pods("ns").get("p")
        server.tokens = {f"{PREFIX}-2"}
        plugin.script("import sys; sys.exit('no network')")
        with pytest.raises(Unavailable, match="and said: 'no network'"):
            await kube.pods("ns").get("p")
        plugin.script(WRITES)
        plugin.answer(token=f"{PREFIX}-2")
        await kube.pods("ns").get("p")


async def test_plugin_that_worked_once_in_this_process_has_an_outage_when_it_fails(
    configured: Callable[..., None], plugin: PlugIn, settings: Settings
) -> None:
    await get(settings)
    await close_all_kube()
    plugin.script("import sys; sys.exit('could not connect to sts')")
    assert "said: 'could not connect to sts'; if it lasts" in await refused(settings, Unavailable)
    configured(args=["--profile", "other"])  # another one, which never worked
    assert "must see to it" in await refused(settings)
    configured()
    plugin.script("print('no credentials')")
    assert "gave no ExecCredential" in await refused(settings)


async def test_failed_plugin_is_not_run_again_by_every_call(
    configured: object, plugin: PlugIn, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.answer(1000, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        plugin.says("nothing")
        clock.ahead = 1001
        for _ in range(10):
            with pytest.raises(CredentialsExpired):
                await kube.pods("ns").get("p")
        assert len(plugin.runs) == 2
        monkeypatch.setattr(kube_auth, "RETRY", 0.0)
        plugin.answer(5000, token=f"{PREFIX}-2")
        await kube.pods("ns").get("p")


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


async def test_its_client_certificate_is_shown_and_replaced_while_calls_are_in_flight(
    connect: Connect, plugin: PlugIn, settings: Settings, clock: Clock, no_leaked_tasks: None
) -> None:
    def certify(name: str, expires_in: float) -> None:
        made = client_certificate(name)
        plugin.answer(expires_in, clientCertificateData=made.certificate.decode(), clientKeyData=made.key.decode())

    async with serving(server_context()) as server:
        server.answers[GET] = (200, pod())
        server.answers["GET /api/v1/namespaces/ns/pods/slow"] = (200, pod())
        server.holds["/api/v1/namespaces/ns/pods/slow"] = asyncio.Event()
        ca = {"certificate-authority-data": b64(authority())}
        connect(kube_config=kubeconfig(server.url, plugin.user(), **ca))
        certify("jane", 1000)
        async with open_kube(TARGET, settings) as kube:
            slow = asyncio.create_task(kube.pods("ns").get("slow"), name="slow")
            await until(lambda: server.count("slow"))
            certify("joe", 5000)
            clock.ahead = 900

            async def replaced() -> bool:
                await kube.pods("ns").get("p")
                return server.certificates[-1] == "joe"

            await until(replaced)
            server.holds["/api/v1/namespaces/ns/pods/slow"].set()
            assert (await slow).uid == "u-1"
            assert set(server.certificates) == {"jane", "joe"}
        await close_all_kube()


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
