"""A pod whose own service account the operator does not want, and that has no kubeconfig either."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncrun.clients import kube_resolving
from asyncrun.clients.kube_resolving import resolve_kube
from asyncrun.model.errors import CredentialsExpired
from asyncrun.model.refs import KubeTarget


def test_it_is_told_that_the_operator_declined_it(monkeypatch: pytest.MonkeyPatch) -> None:
    folder: Path = kube_resolving.SERVICE_ACCOUNT
    folder.mkdir()
    (folder / "token").write_text("secret")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    with pytest.raises(CredentialsExpired) as refused:
        resolve_kube(KubeTarget(conn_id=None, in_cluster=False))
    assert str(refused.value) == (
        "No way leads to Kubernetes: no connection names a cluster, in_cluster is False, and there is no kubeconfig in "
        "KUBECONFIG or ~/.kube/config. Whoever runs Airflow must correct it."
    )
