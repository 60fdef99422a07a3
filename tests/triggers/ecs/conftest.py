"""Ways to AWS that can be disturbed for one run at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from asyncrun.model.refs import AwsTarget
from tests.support.connections import define_connection
from tests.support.gateway import Gateway
from tests.support.lab import Lab
from tests.support.supervisor import Supervisor, supervised

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCY"


@pytest.fixture
def gateway(lab: Lab, settings: pytest.MonkeyPatch) -> Iterator[Gateway]:
    # The gateway keeps connections alive, so closing a client takes a moment; close_all() does not wait for a close
    # that the linger began on its own. So nothing lingers out before the test's end.
    settings.setenv("AIRFLOW__ASYNCRUN__WATCHER_LINGER", "30")
    with Gateway(lab.aws.endpoint_url) as made:
        yield made


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, gateway: Gateway) -> Callable[..., None]:
    """Define an Airflow connection that leads through the gateway."""

    def define(target: AwsTarget, login: str, **extra: Any) -> None:
        extra = {"region_name": "us-east-1", **extra}
        define_connection(monkeypatch, str(target.conn_id), gateway.url, login=login, password=SECRET, **extra)

    return define


@pytest.fixture
async def airflow(loop_closed: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """Airflow, which knows nothing of the task: it was deleted, or cleared."""
    async with supervised(monkeypatch) as supervisor:
        yield supervisor
