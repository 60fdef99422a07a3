"""Full garbage collections leave out what has survived one, and memory stays bounded all the same."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Iterator

import pytest

from asyncrun.triggers import heap as heaps
from asyncrun.triggers.heap import LONG, Heap


class Clock:
    """Moves on by ``step`` with each look."""

    def __init__(self) -> None:
        self.now, self.step = 0.0, 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


class Thing:
    """Garbage in a cycle, once nobody has it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def heap(clock: Clock) -> Iterator[Heap]:
    made = Heap(clock)
    was_enabled = gc.isenabled()
    gc.disable()  # collections happen where this test makes them
    yield made
    made.release()
    if was_enabled:
        gc.enable()
    gc.collect()


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is frozen is counted each time."""
    monkeypatch.setattr(heaps, "_COUNT_EVERY", 1)


def is_known(thing: object) -> bool:
    """Whether the garbage collector would look at it."""
    return any(one is thing for one in gc.get_objects())


def test_what_is_there_is_left_out_from_then_on_and_garbage_is_not_kept(heap: Heap) -> None:
    thing, garbage = Thing(), Thing()
    gone = weakref.ref(garbage)
    del garbage
    heap.keep()
    assert gone() is None
    assert not is_known(thing)


def test_what_survives_a_long_collection_is_left_out_of_the_next_ones(heap: Heap, clock: Clock) -> None:
    heap.keep()
    thing = Thing()
    gc.collect()
    assert is_known(thing), "a short one"
    clock.step = LONG * 2
    gc.collect(1)
    assert is_known(thing), "one of the young only"
    gc.collect()
    assert not is_known(thing)
    assert heap.longest == pytest.approx(LONG * 2)


def test_what_is_frozen_is_freed_when_nobody_has_it(heap: Heap) -> None:
    thing = Thing()
    heap.keep()
    thing.me = None  # type: ignore[assignment]
    gone = weakref.ref(thing)
    del thing
    assert gone() is None


async def test_where_objects_grow_in_number_they_are_collected_soon_in_a_step_of_the_loop(heap: Heap) -> None:
    heap.keep()
    for _ in range(2):
        thing, garbage = Thing(), Thing()
        gone = weakref.ref(garbage)
        gc.collect(0)
        del garbage
        await asyncio.sleep(0)
        assert is_known(thing)
        gc.collect(1)
        assert is_known(thing), "not within somebody else's step"
        await asyncio.sleep(0.01)
        assert not is_known(thing)
        assert gone() is None, "garbage is not frozen"


def test_where_the_event_loop_has_ended_nothing_is_collected_early(heap: Heap, monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep() -> None:
        heap.keep()

    errors: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda error: errors.append(error.exc_value))
    asyncio.run(keep())
    thing = Thing()
    for _ in range(5):
        gc.collect(1)
    assert is_known(thing)
    assert errors == []


async def test_what_one_step_of_the_loop_makes_in_great_number_is_left_out_without_having_been_looked_at(
    heap: Heap, clock: Clock
) -> None:
    heap.keep()
    clock.step = LONG * 2
    thing = Thing()
    for _ in range(4):
        assert is_known(thing)
        gc.collect(1)
    assert not is_known(thing)
    await asyncio.sleep(0.01)
    assert heap.longest == 0, "there was no full collection"


@pytest.mark.usefixtures("often")
def test_garbage_among_what_is_frozen_is_freed_when_three_times_as_much_is_there(heap: Heap, clock: Clock) -> None:
    heap.keep()
    alive, clock.step = gc.get_freeze_count(), LONG * 2
    garbage = Thing()
    gone = weakref.ref(garbage)
    gc.collect()
    del garbage
    many = [[index] for index in range(alive)]
    gc.collect()
    gc.collect()
    assert (heap.thaws, gone() is None) == (0, False), "twice as much"
    many += [[index] for index in range(alive + 1000)]
    gc.collect()
    assert heap.thaws == 1
    assert gc.get_freeze_count() == 0
    clock.step = 0
    gc.collect()
    assert gone() is None
    assert gc.get_freeze_count() >= len(many), "however short that collection was"
    clock.step = LONG * 2
    many += [[index] for index in range(alive)]
    gc.collect()
    assert heap.thaws == 1, "what was looked at is alive: that is the new measure"


def test_it_is_kept_once_however_often_it_is_asked_for(heap: Heap) -> None:
    heap.keep()
    callbacks = len(gc.callbacks)
    heap.keep()
    assert len(gc.callbacks) == callbacks


def test_nothing_of_it_is_left_after_its_release(heap: Heap, clock: Clock) -> None:
    callbacks = list(gc.callbacks)
    heap.keep()
    heap.release()
    heap.release()
    clock.step = LONG * 2
    gc.collect()
    assert (gc.callbacks, gc.get_freeze_count()) == (callbacks, 0)
