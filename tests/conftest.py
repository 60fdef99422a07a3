"""
What every test must keep: no leaked task, no blocking call in the event loop, no warning (pyproject.toml), no defect.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from socketserver import BaseServer
from typing import Any

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from asyncrun.clients import budget

# looptime's plugin makes an event loop for a synchronous test that runs before the first asynchronous one, and nobody
# closes it.
asyncio.set_event_loop(None)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("a real cluster", "for tests/cluster, which otherwise has an embedded one")
    group.addoption("--kubeconfig", default="", help="file that leads to the cluster")
    group.addoption("--image", default="busybox", help="with sh and the usual small tools; nothing else is pulled")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "expects_defect: asyncrun says of itself that it has a defect; others must not")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.scheduling import OneAirflow

    return OneAirflow(config, log)


@pytest.fixture(autouse=True)
def blocking_calls_fail() -> Iterator[BlockBuster]:
    """A call of ours that blocks the event loop raises ``BlockingError``."""
    with blockbuster_ctx("asyncrun") as blockbuster:
        for function in blockbuster.functions.values():
            # An event loop of a thread's own, which nobody shares.
            function.can_block_in("asyncrun/clients/generation.py", "build")
        yield blockbuster


@pytest.fixture(autouse=True)
def fresh_budgets() -> None:
    """Call budgets are a process's; what one test was throttled for is nothing to the next, nor its settings."""
    budget._buckets.clear()


@pytest.fixture(autouse=True, scope="session")
def clients_that_hang_up_are_no_news() -> Iterator[None]:
    """Servers in the tests' own process print a traceback when a client has gone: that is what many tests are about."""

    def handle_error(server: BaseServer, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            printed(server, request, client_address)

    printed = BaseServer.handle_error
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseServer, "handle_error", handle_error)
        yield


class _Defects(logging.Handler):
    """What asyncrun says of defects of its own, which it outlives: a test would pass although nothing works."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "efect of asyncrun" in record.getMessage():
            self.said.append(self.format(record))


@pytest.fixture(autouse=True)
def defects_fail(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test in which asyncrun says that it has a defect fails, unless it is marked with ``expects_defect``."""
    handler, logger = _Defects(), logging.getLogger("asyncrun")
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    if request.node.get_closest_marker("expects_defect") is None:
        assert not handler.said, "\n".join(handler.said)
    else:
        assert handler.said, "no defect was said"


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """A test must not leave a task behind in its event loop."""
    before = asyncio.all_tasks()
    yield
    leaked = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
    assert not leaked, f"leaked tasks: {sorted(task.get_name() for task in leaked)}"


@pytest.fixture(autouse=True)
def _async_tests_leave_no_tasks(request: pytest.FixtureRequest) -> None:
    function = getattr(request, "function", None)
    if function is not None and inspect.iscoroutinefunction(function):
        request.getfixturevalue("no_leaked_tasks")
