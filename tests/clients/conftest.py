"""Connections, a stand-in for AWS, and a gauge of the event loop's longest step."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncrun.clients.aws import close_all
from asyncrun.model.settings import Settings
from tests.clients.standin import StandIn
from tests.support.connections import define_connection

Connect = Callable[..., None]


@pytest.fixture
def aws() -> Iterator[StandIn]:
    """An AWS on loopback."""
    server = StandIn()
    yield server
    server.close()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, aws: StandIn) -> Connect:
    """Define an Airflow connection of type aws that leads to the stand-in."""
    for name in (
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_DEFAULT_REGION",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "none-of-ours")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none-of-ours")

    def define(
        conn_id: str = "aws_test", *, login: str = "AKIDFIRST", password: str = "secret-word", **extra: Any
    ) -> None:
        extra = {"region_name": "eu-west-1", **extra}
        define_connection(monkeypatch, conn_id, aws.url, login=login, password=password, **extra)

    return define


@pytest.fixture
def settings() -> Settings:
    """Fast budgets: pacing has tests of its own."""
    return Settings(describe_rate=1000, filter_logs_rate=1000, get_logs_rate=1000, stop_rate=1000, launch_rate=1000)


@pytest.fixture
async def closing(no_leaked_tasks: None) -> AsyncIterator[None]:
    """Closes what the test opened."""
    yield
    await close_all()


class Gauge:
    """Seconds of the longest step that the event loop made."""

    longest = 0.0


@asynccontextmanager
async def longest_step() -> AsyncIterator[Gauge]:
    """
    Measure the event loop's longest step while the block runs.

    Without full garbage collections: with Airflow and the SDK loaded one takes 0.1-0.4 s, whoever happens to cause it.
    """
    gauge = Gauge()

    async def measure() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.001)
            gauge.longest = max(gauge.longest, time.perf_counter() - before - 0.001)

    gc.collect()
    gc.disable()
    task = asyncio.create_task(measure(), name="loop-gauge")
    try:
        yield gauge
    finally:
        gc.enable()
        task.cancel()
        await asyncio.wait({task})
