"""What each event loop has of its own goes with the loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from asyncrun.clients import airflow, aws
from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.settings import Settings
from asyncrun.triggers.definitions import definitions
from asyncrun.triggers.logs.cloudwatch import _readers, reader_for
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.metrics.reporter import reporter
from asyncrun.triggers.registry import registry
from tests.triggers.logs.fakes import CloudWatch


def use_reader() -> None:
    reader_for(CloudWatch(lambda: 0.0), "group", Settings())


@pytest.mark.parametrize(
    ("use", "value"),
    [
        (emitter, emitter),
        (definitions, definitions),
        (registry, registry),
        (reporter, reporter),
        (use_reader, _readers),
        (aws._registry, aws._registry),
        (aws._closing, aws._closing),
        (airflow._permits, airflow._permits),
    ],
)
def test_a_loop_that_was_closed_is_not_kept_by_what_it_shared(use: Callable[[], Any], value: PerLoop[Any]) -> None:
    async def hold() -> None:
        """What is shared in this loop refers to it, as its tasks and futures do."""
        use()
        _hold_loop(value(), asyncio.get_running_loop())

    loop = asyncio.new_event_loop()
    loop.run_until_complete(hold())
    loop.close()
    seen = weakref.ref(loop)
    del loop
    asyncio.run(_use(value))
    gc.collect()
    assert seen() is None


def _hold_loop(value: Any, loop: asyncio.AbstractEventLoop) -> None:
    if isinstance(value, dict):
        value["loop"] = loop
    elif isinstance(value, set):
        value.add(loop)
    else:
        value.loop = loop


async def _use(value: PerLoop[Any]) -> None:
    value()


def test_each_loop_has_its_own_also_in_another_thread() -> None:
    made = PerLoop(object)
    values: list[object] = []

    async def twice() -> None:
        first = made()
        assert made() is first
        values.append(first)

    asyncio.run(twice())
    thread = threading.Thread(target=lambda: asyncio.run(twice()))
    thread.start()
    thread.join()
    assert len({id(value) for value in values}) == 2


def test_outside_of_a_loop_there_is_none() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        PerLoop(list)()
