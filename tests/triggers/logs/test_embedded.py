"""The whole way, in real time: containers, the embedded CloudWatch, our client, the shared reader, records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from asyncrun.clients.api import LogsApi
from asyncrun.clients.aws import close_all, open_aws
from asyncrun.local.aws import EmbeddedAws, EmbeddedAwsOptions, Fault, FaultKind
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.source import Drained, EcsLog, LogStream
from tests.triggers.logs.fakes import MemorySink

SETTINGS = Settings(
    filter_logs_rate=25, get_logs_rate=30, logs_poll_interval=0.1, logs_poll_idle=0.3, logs_quiet_period=1.0,
    logs_drain_limit=30, log_rate=100_000, watcher_linger=0.1,
)  # fmt: skip


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedAws]:
    """Pages of seven events, empty first pages, and events that show half a second late."""
    options = EmbeddedAwsOptions(
        log_groups=("/lab",), log_page_limit=7, log_empty_first_page=True, log_visibility_delay=0.3
    )
    with EmbeddedAws(options) as aws:
        yield aws


@pytest.fixture
async def api(server: EmbeddedAws, monkeypatch: pytest.MonkeyPatch, no_leaked_tasks: None) -> AsyncIterator[LogsApi]:
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    async with open_aws(AwsTarget(conn_id=None, region_name="us-east-1"), SETTINGS) as access:
        yield access.logs()
    await close_all()
    await asyncio.to_thread(server.control.set_policy, None)
    await asyncio.to_thread(server.control.clear_faults)


class Run:
    def __init__(self, api: LogsApi, stream: str, group: str = "/lab") -> None:
        self.sink = MemorySink()
        self.said: list[tuple[str, str]] = []
        self.log = emitter().open(self.sink, ["main"], SETTINGS)
        self.source = EcsLog(
            [LogStream("main", group, api, stream)],
            self.log,
            lambda level, text: self.said.append((level, text)),
            SETTINGS,
            since_ms=int(time.time() * 1000) - 60_000,
        )

    async def end(self) -> Drained:
        drained = await self.source.drain(time.time())
        assert await self.log.finish(5)
        self.source.close()
        self.log.close()
        return drained


def write(server: EmbeddedAws, stream: str, first: int, last: int) -> None:
    for i in range(first, last):
        server.control.put_log_event("/lab", stream, f"line {i}")


LINES = [f"line {i}" for i in range(40)]


async def test_lines_of_present_and_missing_streams(server: EmbeddedAws, api: LogsApi) -> None:
    runs = [Run(api, f"present/{i}") for i in range(3)]
    silent = Run(api, "silent")
    await asyncio.sleep(0.3)
    for i in range(3):
        await asyncio.to_thread(write, server, f"present/{i}", 0, 20)
    async with asyncio.timeout(10):
        while not all(run.sink.lines for run in runs):  # noqa: ASYNC110 - while the runs go on, not at their end only
            await asyncio.sleep(0.05)
    for i in range(3):
        await asyncio.to_thread(write, server, f"present/{i}", 20, 40)
    drained = await asyncio.gather(*(run.end() for run in [*runs, silent]))
    assert [run.sink.lines for run in runs] == [LINES] * 3
    assert all(one.complete for one in drained)
    assert drained[3].never_appeared == ("main",)
    assert all(run.said == [] for run in runs)


async def test_lines_where_only_get_log_events_is_allowed(server: EmbeddedAws, api: LogsApi) -> None:
    await asyncio.to_thread(server.control.set_policy, ["logs:GetLogEvents"])
    run = Run(api, "get")
    await asyncio.to_thread(write, server, "get", 0, 40)
    drained = await run.end()
    assert run.sink.lines == LINES
    assert drained.complete
    ((level, text),) = run.said
    assert level == "warning"
    assert text.startswith("The permission logs:FilterLogEvents is missing")


async def test_a_run_without_permission_is_told_what_is_missing(server: EmbeddedAws, api: LogsApi) -> None:
    await asyncio.to_thread(server.control.set_policy, ["ecs:*"])
    run = Run(api, "none")
    drained = await run.end()
    assert drained.unreadable == ("main",)
    assert "logs:FilterLogEvents and logs:GetLogEvents are missing" in run.said[-1][1]


@pytest.mark.parametrize("kind", ["throttle", "http_503", "reset", "expired_token"])
async def test_faults_delay_the_log_and_lose_nothing(server: EmbeddedAws, api: LogsApi, kind: FaultKind) -> None:
    await asyncio.to_thread(server.control.add_faults, Fault("logs:FilterLogEvents", kind, count=3, skip=1))
    run = Run(api, kind)
    await asyncio.to_thread(write, server, kind, 0, 40)
    drained = await run.end()
    assert run.sink.lines == LINES
    assert drained.complete


async def test_a_missing_group_is_said(server: EmbeddedAws, api: LogsApi) -> None:
    run = Run(api, "any", group="/nowhere")
    drained = await run.end()
    assert drained.never_appeared == ("main",)
    assert run.said[0][1].startswith("The log group /nowhere does not exist in us-east-1")
