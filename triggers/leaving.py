"""What a run leaves when it ends, in reverse order: ``AsyncExitStack`` for the thousands that are open at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
_Left = Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], Any]


class Leaving:
    """
    Blocks that were entered and what was to be called, left together; one that fails does not keep the others.

    Unlike ``contextlib.AsyncExitStack``, whose queue and closures cost 2 KiB, it swallows no exception, whatever a
    block's end returns.
    """

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: list[Any] = []

    async def enter_async_context(self, block: AbstractAsyncContextManager[T]) -> T:
        """Enter it; it is left with the others."""
        entered = await block.__aenter__()
        self._blocks.append(block)
        return entered

    def enter_context(self, block: AbstractContextManager[T]) -> T:
        """The same of one without ``async``."""
        entered = block.__enter__()
        self._blocks.append(block)
        return entered

    def callback(self, last: Callable[[], Awaitable[object] | None]) -> None:
        """That is called, and awaited if it is to be."""
        self._blocks.append(last)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if not self._blocks:
            return
        block = self._blocks.pop()
        try:
            if hasattr(block, "__aexit__"):
                await block.__aexit__(kind, error, at)
            elif hasattr(block, "__exit__"):
                block.__exit__(kind, error, at)
            elif (waits := block()) is not None:
                await waits
        finally:
            await self.__aexit__(kind, error, at)
