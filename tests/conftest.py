"""What every test must keep: no leaked task, no blocking call in the event loop, no warning (pyproject.toml)."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

# looptime's plugin makes an event loop for a synchronous test that runs before the first asynchronous one, and nobody
# closes it.
asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def blocking_calls_fail() -> Iterator[BlockBuster]:
    """A call of ours that blocks the event loop raises ``BlockingError``."""
    with blockbuster_ctx("asyncrun") as blockbuster:
        for function in blockbuster.functions.values():
            # An event loop of a thread's own, which nobody shares.
            function.can_block_in("asyncrun/clients/generation.py", "build")
        yield blockbuster


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
