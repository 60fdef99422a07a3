"""What the embedded API server does on demand, and how it starts and ends as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from asyncrun.local.kube import (
    EmbeddedKube,
    EmbeddedKubeOptions,
    EmbeddedServerError,
    Fault,
    KubeControlError,
    Rule,
)
from asyncrun.local.kube.scripted import ANNOTATION
from tests.local.kube.conftest import Kube, pod_manifest

PODS = "/api/v1/namespaces/default/pods"


async def test_a_fault_answers_for_a_number_of_times(kube: Kube) -> None:
    kube.server.faults.add(Fault("list pods", status=429, retry_after=3, count=2))
    for _ in range(2):
        async with kube.open("GET", PODS) as answer:
            assert answer.status == 429
            assert answer.headers["Retry-After"] == "3"
            assert await answer.text() == "Too many requests, please try again later.\n"
    assert (await kube.ask("GET", PODS))[0] == 200


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(status=500), (500, "InternalError", "Internal error occurred: injected")),
        (Fault(status=401), (401, "Unauthorized", "Unauthorized")),
        (
            Fault(status=403),
            (
                403,
                "Forbidden",
                'pods is forbidden: User "kubernetes-admin" cannot list resource "pods" in API group ""'
                ' in the namespace "default"',
            ),
        ),
        (Fault(status=503, message="apiserver not ready"), (503, "ServiceUnavailable", "apiserver not ready")),
        (Fault(status=410, reason="Expired", message="too old"), (410, "Expired", "too old")),
    ],
)
async def test_a_fault_is_worded_as_the_real_one(kube: Kube, fault: Fault, expected: tuple[int, str, str]) -> None:
    kube.server.faults.add(fault)
    status, body = await kube.ask("GET", PODS)
    assert (status, body["reason"], body["message"]) == expected


async def test_a_fault_chooses_by_operation_path_and_user(kube: Kube) -> None:
    other = kube.server.tokens.add(None, user="other")
    kube.server.faults.add(
        Fault("get pods/log", status=500),
        Fault(path="/api/v1/namespaces/airflow/*", status=500),
        Fault("list pods", user="other", status=500),
    )
    assert (await kube.ask("GET", PODS))[0] == 200
    assert (await kube.ask("GET", PODS, token=other))[0] == 500
    assert (await kube.ask("GET", "/api/v1/namespaces/airflow/pods"))[0] == 500
    assert (await kube.ask("GET", f"{PODS}/a/log"))[0] == 500
    assert (await kube.ask("GET", f"{PODS}/a/log?follow=true"))[0] == 404, "a follow is another operation"


async def test_a_fault_can_skip_requests_and_end_by_time(kube: Kube) -> None:
    kube.server.faults.add(Fault("list pods", status=500, skip=1, seconds=0.2))
    assert [(await kube.ask("GET", PODS))[0] for _ in range(3)] == [200, 500, 500]
    await asyncio.sleep(0.25)
    assert (await kube.ask("GET", PODS))[0] == 200


async def test_a_create_whose_answer_is_lost_is_done(kube: Kube) -> None:
    kube.server.faults.add(Fault("create pods", "drop_answer", count=1))
    with pytest.raises(aiohttp.ClientError):
        await kube.ask("POST", PODS, pod_manifest("a"))
    status, body = await kube.ask("POST", PODS, pod_manifest("a"))
    assert (status, body["reason"]) == (409, "AlreadyExists")


async def test_a_reset_request_is_not_done(kube: Kube) -> None:
    kube.server.faults.add(Fault("create pods", "reset", count=1))
    with pytest.raises(aiohttp.ClientError):
        await kube.ask("POST", PODS, pod_manifest("a"))
    assert kube.store.get("pods", "default", "a") is None


async def test_an_answer_can_be_cut_off_late_or_never_come(kube: Kube) -> None:
    kube.server.faults.add(Fault("list pods", "malformed", count=1), Fault("list pods", "delay", delay=0.2, count=1))
    async with kube.open("GET", PODS) as answer:
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(await answer.read())
    before = time.monotonic()
    assert (await kube.ask("GET", PODS))[0] == 200
    assert time.monotonic() - before >= 0.2
    kube.server.faults.add(Fault("list pods", "hang"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await kube.ask("GET", PODS)


async def test_refused_connections_are_accepted_again_at_the_same_port(kube: Kube) -> None:
    async with kube.open("GET", f"{PODS}?watch=true") as answer:
        kube.server.refuse()
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    with pytest.raises(aiohttp.ClientConnectorError):
        await kube.ask("GET", PODS)
    kube.server.accept_in(0.1)
    await asyncio.sleep(0.2)
    assert (await kube.ask("GET", PODS))[0] == 200


async def test_requests_are_counted_by_verb_and_resource(kube: Kube) -> None:
    await kube.ask("GET", PODS)
    await kube.ask("POST", PODS, pod_manifest("a"))
    await kube.ask("GET", f"{PODS}/b/log?follow=true")
    assert kube.server.traffic.counts == {"list pods": 1, "create pods": 1, "follow pods/log": 1}
    assert [one["status"] for one in kube.server.traffic.requests] == [200, 201, 404]
    assert not +kube.server.traffic.open


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedKube]:
    with EmbeddedKube(EmbeddedKubeOptions(node="scripted", tls=True)) as kube:
        yield kube
        assert kube.log_text() == ""


@pytest.fixture
def process(embedded: EmbeddedKube) -> EmbeddedKube:
    """The server process, without faults."""
    embedded.control.clear_faults()
    return embedded


def ask(kube: EmbeddedKube, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token or kube.token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(kube.url + path, data, headers, method=method)
    trust = ssl.create_default_context(cadata=kube.ca) if kube.ca else None
    try:
        with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_process_serves_https_with_its_own_certificate(process: EmbeddedKube) -> None:
    assert process.url.startswith("https://127.0.0.1:")
    status, version = ask(process, "GET", "/version")
    assert (status, version["major"]) == (200, "1")


def test_everything_can_be_controlled_from_outside(process: EmbeddedKube) -> None:
    control = process.control
    control.counts(clear=True)
    control.add_faults(Fault("list pods", status=500, count=1))
    assert [ask(process, "GET", PODS)[0] for _ in range(2)] == [500, 200]
    token = control.add_token([Rule("default", ("get",), ("pods",))], user="narrow")
    status, body = ask(process, "GET", PODS, token=token)
    assert status == 403
    assert 'User "narrow" cannot list' in body["message"]
    control.add_token(None, token=token)
    assert ask(process, "GET", PODS, token=token)[0] == 200
    control.revoke_token(token)
    assert ask(process, "GET", PODS, token=token)[0] == 401
    before = control.revision()
    assert control.compact() > before
    control.add_namespace("another")
    assert ask(process, "GET", "/api/v1/namespaces/another/serviceaccounts/default")[0] == 200
    control.put("secrets", {"kind": "Secret", "metadata": {"name": "s", "namespace": "default"}, "data": {}})
    assert ask(process, "GET", "/api/v1/namespaces/default/secrets/s")[0] == 200
    counts = control.counts(clear=True)
    assert counts.counts["list pods"] == 5
    assert counts.cpu > 0
    assert control.requests() == []
    with pytest.raises(KubeControlError, match="TypeError"):
        control._post("cut", nonsense=1)
    with pytest.raises(KubeControlError, match="unknown verb"):
        control._post("stop")


def test_refusing_and_compacting_from_outside(process: EmbeddedKube) -> None:
    process.control.refuse(0.3)
    with pytest.raises(urllib.error.URLError, match="refused"):
        ask(process, "GET", PODS)
    time.sleep(0.4)
    assert ask(process, "GET", PODS)[0] == 200
    oldest = process.control.compact(every=0.05)
    time.sleep(0.2)
    status, body = ask(process, "GET", f"{PODS}?resourceVersionMatch=Exact&resourceVersion={oldest - 1}")
    assert (status, body["reason"]) == (410, "Expired")
    assert process.control.compact(every=0) > 0


def test_the_kubeconfig_is_for_its_owner_only(process: EmbeddedKube, tmp_path: Path) -> None:
    path = process.write_kubeconfig(tmp_path / "config", namespace="airflow")
    assert path.stat().st_mode & 0o777 == 0o600
    config = json.loads(path.read_text())
    assert config["contexts"][0]["context"]["namespace"] == "airflow"
    assert config["clusters"][0]["cluster"]["server"] == process.url


KUBECTL = [
    ("get pods -o wide", 0, "No resources found"),
    ("auth can-i watch pods", 0, "yes"),
    ("create secret generic kubectl --from-literal=a=b", 0, "secret/kubectl created"),
    ("create configmap kubectl --from-literal=a=b", 0, "configmap/kubectl created"),
    ("apply -f POD", 0, "pod/kubectl created"),
    ("apply -f POD", 0, "pod/kubectl unchanged"),
    ("wait --for=jsonpath={.status.phase}=Succeeded --timeout=20s pod/kubectl", 0, "condition met"),
    ("logs -f kubectl", 0, "main 2"),
    ("logs --tail=1 --timestamps kubectl", 0, "Z main 2"),
    ("get pods", 0, "Completed"),
    ("describe pod kubectl", 0, "Successfully assigned default/kubectl to embedded-node"),
    ("get events", 0, "Scheduled"),
    ("label pod kubectl x=y", 0, "labeled"),
    ("delete pod kubectl", 0, 'pod "kubectl" deleted'),
    ("get pod kubectl", 1, 'pods "kubectl" not found'),
]


def test_kubectl_works(process: EmbeddedKube, tmp_path: Path) -> None:
    config = process.write_kubeconfig(tmp_path / "config")
    pod = tmp_path / "pod.json"
    script = json.dumps({"lines": 3, "interval": 0.2})
    pod.write_text(json.dumps(pod_manifest("kubectl", annotations={ANNOTATION: script})))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(config)}
    for command, code, text in KUBECTL:
        arguments = [one.replace("POD", str(pod)) for one in command.split()]
        done = subprocess.run(
            ["kubectl", *arguments], env=environment, capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, text in done.stdout + done.stderr) == (code, True), (command, done)


def test_a_server_that_cannot_start_says_why() -> None:
    options = EmbeddedKubeOptions(node="scripted", node_options={"nonsense": 1})
    with pytest.raises(EmbeddedServerError, match="nonsense"), EmbeddedKube(options):
        pass


def test_the_process_ends_with_its_parent() -> None:
    text = textwrap.dedent("""
        import sys, time
        from asyncrun.local.kube import EmbeddedKube, EmbeddedKubeOptions
        with EmbeddedKube(EmbeddedKubeOptions(node="scripted")) as kube:
            print(kube.pid, flush=True)
            time.sleep(60)
    """)
    parent = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    raise AssertionError("the server has outlived its parent")
