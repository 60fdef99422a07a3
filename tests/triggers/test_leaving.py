"""What a run has entered is left in reverse order, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from asyncrun.triggers.leaving import Leaving


class Story:
    """What was entered and left."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @contextmanager
    def block(self, name: str, *, breaks: bool = False) -> Iterator[str]:
        self.told.append(f"enter {name}")
        try:
            yield name
        except BaseException as error:
            self.told.append(f"{name} sees {error}")
            raise
        finally:
            self.told.append(f"leave {name}")
            if breaks:
                raise RuntimeError(f"{name} is broken")

    @asynccontextmanager
    async def slow_block(self, name: str) -> AsyncIterator[str]:
        with self.block(name):
            await asyncio.sleep(0)
            yield name
            await asyncio.sleep(0)

    async def last(self, name: str) -> None:
        await asyncio.sleep(0)
        self.told.append(f"last {name}")


async def test_blocks_and_callbacks_are_left_in_reverse_order() -> None:
    story = Story()
    async with Leaving() as leaving:
        leaving.callback(lambda: story.told.append("call"))
        assert await leaving.enter_async_context(story.slow_block("a")) == "a"
        assert leaving.enter_context(story.block("b")) == "b"
        leaving.callback(lambda: story.last("c"))
    assert story.told == ["enter a", "enter b", "last c", "leave b", "leave a", "call"]


async def test_each_block_sees_the_error_and_none_swallows_it() -> None:
    story = Story()

    class Swallows:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> bool:
            return True

    async def run() -> None:
        async with Leaving() as leaving:
            await leaving.enter_async_context(story.slow_block("a"))
            leaving.enter_context(Swallows())
            leaving.enter_context(story.block("b"))
            raise asyncio.CancelledError("killed")

    with pytest.raises(asyncio.CancelledError, match="killed"):
        await run()
    assert story.told == ["enter a", "enter b", "b sees killed", "leave b", "a sees killed", "leave a"]


async def test_a_block_that_fails_does_not_keep_the_others() -> None:
    story = Story()

    async def run() -> None:
        async with Leaving() as leaving:
            leaving.callback(lambda: story.last("c"))
            leaving.enter_context(story.block("a"))
            leaving.enter_context(story.block("b", breaks=True))

    with pytest.raises(RuntimeError, match="b is broken"):
        await run()
    assert story.told == ["enter a", "enter b", "leave b", "leave a", "last c"]


@pytest.mark.parametrize("slow", [False, True], ids=["with", "async with"])
async def test_a_block_that_cannot_be_entered_is_not_left(slow: bool) -> None:
    story = Story()

    class Refuses:
        def __enter__(self) -> None:
            raise ValueError("no")

        def __exit__(self, *_: object) -> None:
            story.told.append("leave what was not entered")

    class RefusesSlowly:
        async def __aenter__(self) -> None:
            await asyncio.sleep(0)
            raise ValueError("no")

        async def __aexit__(self, *_: object) -> None:
            story.told.append("leave what was not entered")

    async def run() -> None:
        async with Leaving() as leaving:
            leaving.enter_context(story.block("a"))
            if slow:
                await leaving.enter_async_context(RefusesSlowly())
            else:
                leaving.enter_context(Refuses())

    with pytest.raises(ValueError, match="no"):
        await run()
    assert story.told == ["enter a", "a sees no", "leave a"]
