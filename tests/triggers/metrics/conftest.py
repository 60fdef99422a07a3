from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from airflow.sdk._shared.observability.metrics import stats

from tests.triggers.metrics.statsd import StatsdServer

HOST = socket.gethostname().replace(".", "_")


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsdServer]:
    """Airflow's metrics are on and go to a server of ours."""
    server = StatsdServer()
    for name in ("_factory", "_backend", "_export_legacy_names"):
        monkeypatch.setattr(stats, name, getattr(stats, name))
    stats.initialize(factory=server.logger, export_legacy_names=True)
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    yield server
    server.close()


@pytest.fixture
def tagged_statsd(statsd: StatsdServer, monkeypatch: pytest.MonkeyPatch) -> StatsdServer:
    """The same with tags."""
    options = {"influxdb_tags_enabled": True, "statsd_influxdb_enabled": True}
    stats.initialize(factory=lambda: statsd.logger(**options), export_legacy_names=True)
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "True")
    return statsd
