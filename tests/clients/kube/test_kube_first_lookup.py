"""The first look-up of a connection: an Airflow that does not answer must not lead to another cluster."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients.kube_resolving import ResolvedKube, resolve_kube
from asyncrun.model.errors import AccessDenied, CredentialsExpired, RemoteError, Unavailable
from asyncrun.model.refs import KubeTarget
from tests.clients.kube.conftest import kubeconfig
from tests.support.supervisor import Supervisor, supervised

HOME, MEANT = "https://cluster-of-the-triggerer", "https://cluster-of-the-connection"


class Airflow:
    """What the supervisor answers to ``GetConnection``, and how often it was asked."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor, self.answers = supervisor, [self.error("CONNECTION_NOT_FOUND")]
        supervisor.answer = self._answer  # type: ignore[method-assign]

    def error(self, kind: str) -> dict[str, Any]:
        return {"type": "ErrorResponse", "error": kind, "detail": {"conn_id": "c"}}

    def connection(self) -> dict[str, Any]:
        extra = json.dumps({"kube_config": kubeconfig(MEANT)})
        empty = dict.fromkeys(("host", "schema", "login", "password", "port"))
        named = {"conn_id": "kubernetes_default", "conn_type": "kubernetes"}
        return {"type": "ConnectionResult", **named, **empty, "extra": extra}

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["type"] != "GetConnection":  # a secret to mask
            return {"type": "OKResponse", "ok": True}
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
async def airflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Airflow]:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(json.dumps(kubeconfig(HOME)))
    async with supervised(monkeypatch) as supervisor:
        yield Airflow(supervisor)


async def resolved(target: KubeTarget) -> ResolvedKube:
    found = await asyncio.to_thread(resolve_kube, target)
    assert found is not None
    return found


async def refused(target: KubeTarget) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await asyncio.to_thread(resolve_kube, target)
    return caught.value


async def test_default_connection_that_airflow_says_is_missing_leads_to_the_kubeconfig(airflow: Airflow) -> None:
    found = await resolved(KubeTarget())
    assert (found.server, found.found) == (HOME, False)


@pytest.mark.parametrize("kind", ["API_SERVER_ERROR", "GENERIC_ERROR", "frame"])
async def test_airflow_that_does_not_answer_leads_to_no_other_cluster(airflow: Airflow, kind: str) -> None:
    airflow.answers = [airflow.error(kind)]
    airflow.supervisor.failing = kind == "frame"
    error = await refused(KubeTarget())
    assert isinstance(error, Unavailable)
    assert str(error) == (
        "Whether there is an Airflow connection 'kubernetes_default' cannot be told at the moment: "
        "ExecutionAPISecretsBackend did not answer (AirflowRuntimeError). If none is wanted, the operator must say "
        "kubernetes_conn_id=None."
    )


async def test_connection_of_another_name_is_missing_only_if_airflow_says_so(airflow: Airflow) -> None:
    assert isinstance(await refused(KubeTarget(conn_id="prod")), CredentialsExpired)
    airflow.answers = [airflow.error("API_SERVER_ERROR")]
    assert isinstance(await refused(KubeTarget(conn_id="prod")), Unavailable)


async def test_connection_that_comes_at_the_second_question_is_used(airflow: Airflow) -> None:
    airflow.answers = [airflow.error("API_SERVER_ERROR"), airflow.connection()]
    assert (await resolved(KubeTarget())).server == MEANT


async def test_connection_that_comes_and_goes_is_an_outage(airflow: Airflow) -> None:
    lost = airflow.error("API_SERVER_ERROR")
    airflow.answers = [lost, airflow.connection(), lost]
    error = await refused(KubeTarget())
    assert isinstance(error, Unavailable)
    assert str(error) == "Airflow gives contradictory answers about connection 'kubernetes_default'."


async def test_denial_at_the_second_question_is_a_denial(airflow: Airflow) -> None:
    airflow.answers = [airflow.error("API_SERVER_ERROR"), airflow.error("PERMISSION_DENIED")]
    assert isinstance(await refused(KubeTarget()), AccessDenied)


async def test_failing_secrets_backend_is_named(airflow: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import supervisor

    class Vault:
        def get_connection(self, conn_id: str) -> None:
            raise TimeoutError(conn_id)

    others = supervisor.ensure_secrets_backend_loaded()
    monkeypatch.setattr(supervisor, "ensure_secrets_backend_loaded", lambda: [Vault(), *others])
    error = await refused(KubeTarget())
    assert isinstance(error, Unavailable)
    assert "Vault did not answer (TimeoutError)" in str(error)


async def test_cluster_that_the_operator_names_needs_no_answer_but_a_file_needs_its_context(
    airflow: Airflow, tmp_path: Path
) -> None:
    airflow.answers = [airflow.error("API_SERVER_ERROR")]
    file = str(tmp_path / ".kube" / "config")
    assert (await resolved(KubeTarget(config_file=file, cluster_context="test"))).server == HOME
    assert isinstance(await refused(KubeTarget(config_file=file)), Unavailable)  # the connection may name another one
    assert (await resolved(KubeTarget(conn_id=None))).server == HOME
    (tmp_path / "serviceaccount").mkdir()
    error = await refused(KubeTarget(in_cluster=True))
    assert "in_cluster is set, but this process runs in no pod" in str(error)
