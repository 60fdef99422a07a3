"""One subscriber's share of a watcher."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, Self

from asyncrun.triggers.wakeup import Wakeup, is_due
from asyncrun.triggers.watch.feed import Feed
from asyncrun.triggers.watch.news import Latest, News, Recovered, Remark, S, Trouble


class SubscriptionClosed(RuntimeError):
    """News was asked of a subscription that is closed, or whose watcher was ended with the event loop."""


class Subscription(Generic[S]):
    """
    One subscriber's share of a watcher; a context manager that closes itself.

    One task at a time may wait in ``news()``. Cancelling it there loses nothing: the next call returns what it would
    have returned.
    """

    __slots__ = ("_closed", "_leave", "_remark", "_sequence", "_told", "_waits", "_wakeup", "feed")

    def __init__(self, feed: Feed[S], leave: Callable[[Subscription[S]], None]) -> None:
        self.feed, self._leave = feed, leave
        self._sequence = 0
        self._told: Trouble | None = None
        self._remark: Remark | None = None
        self._wakeup = Wakeup()
        self._waits = False
        self._closed = False
        feed.listeners.append(self)

    @property
    def ident(self) -> str:
        """What it is subscribed to."""
        return self.feed.ident

    @property
    def latest(self) -> Latest[S] | None:
        """The latest word on the object, read or not; None before the first."""
        return self.feed.latest

    @property
    def trouble(self) -> Trouble | None:
        """Why the object cannot be seen now, None if it can."""
        return self.feed.trouble

    async def news(self, seconds: float | None = None) -> News[S] | None:
        """
        Wait for something newer than what this subscription returned last.

        What is overtaken before it is fetched is never returned; a final word is never overtaken. News is
        in the order of time. Nothing comes after a final word.

        :param seconds: the longest wait; None: no limit.
        :return: None if the time was up first.
        :raises SubscriptionClosed: it is closed, or closed meanwhile.
        """
        if self._waits:
            raise RuntimeError(f"two tasks wait for news of {self.ident} on one subscription")
        give_up_at = None if seconds is None else asyncio.get_running_loop().time() + seconds
        self._waits = True
        try:
            while not self._closed:
                if (news := self._unread()) is not None:
                    return news
                if give_up_at is not None and is_due(give_up_at):
                    return None
                await self._wakeup.wait(None if give_up_at is None else give_up_at - asyncio.get_running_loop().time())
        finally:
            self._waits = False
        raise SubscriptionClosed(f"the subscription to {self.ident} is closed")

    def _unread(self) -> News[S] | None:
        feed, told = self.feed, self._told
        state_is_new = feed.sequence != self._sequence
        if told is not None and feed.trouble is None and (state_is_new or not feed.final):
            self._told = None
            return Recovered(told, feed.recovered_at)
        if feed.remark is not self._remark and (state_is_new or not feed.final):
            self._remark = feed.remark
            return feed.remark
        if state_is_new:
            self._sequence = feed.sequence
            return feed.latest
        if feed.trouble is not None and feed.trouble is not told and not feed.final:
            self._told = feed.trouble
            return feed.trouble
        return None

    def wake(self) -> None:
        """Look at the feed again; called by the feed."""
        self._wakeup.set()

    def listening(self, hear: Callable[[], None]) -> Listening:
        """
        Beside whoever waits in ``news()``: inside, ``hear`` is called soon after each change, and once now.

        :param hear: looks at ``latest``; must not block, nor raise.
        """
        return Listening(self.feed, hear)

    def close(self) -> None:
        """Leave; whoever waits in ``news()`` is told by ``SubscriptionClosed``. May be called again."""
        if not self._closed:
            self._closed = True
            self.feed.listeners.remove(self)
            self._leave(self)
            self.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class Listening:
    """Calls back inside of its block, once for any number of changes in one step of the event loop."""

    __slots__ = ("_called", "_feed", "_hear", "_over")

    def __init__(self, feed: Feed[Any], hear: Callable[[], None]) -> None:
        self._feed, self._hear = feed, hear
        self._called = self._over = False

    def __enter__(self) -> None:
        self._feed.listeners.append(self)
        self.wake()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._feed.listeners.remove(self)
        self._over = True

    def wake(self) -> None:
        if not self._called:
            self._called = True
            asyncio.get_running_loop().call_soon(self._call)

    def _call(self) -> None:
        self._called = False
        if not self._over:
            self._hear()
