"""Airflow connections of type aws, as the environment brings them."""

from __future__ import annotations

import json
from typing import Any

import pytest


def define_connection(
    monkeypatch: pytest.MonkeyPatch, conn_id: str, url: str, *, login: str, password: str, **extra: Any
) -> None:
    """
    Define a connection whose calls, also those to STS, go to ``url``.

    :param extra: of its extra, what is added or replaced.
    """
    whole = {"endpoint_url": url, "service_config": {"sts": {"endpoint_url": url}}, **extra}
    described = {"conn_type": "aws", "login": login, "password": password, "extra": whole}
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(described))
