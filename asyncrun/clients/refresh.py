"""
Refresh of assumed credentials off the event loop.

The amazon provider's hook hands aiobotocore a refresh that calls STS synchronously: in the event loop it would stop
every trigger for as long as STS takes. Here it becomes a thread's work.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

REFRESH_LIMIT = 30.0
"""Seconds for one refresh: STS answers within one, or the call fails and is tried again."""
REFRESH_PAUSE = 5.0
"""Seconds after a failed refresh in which no other one is tried: every call would ask STS again."""


class RefreshFailed(Exception):
    """STS gave no answer, or one that cannot be read: an outage, which says nothing about the credentials."""


def refresh_in_threads(session: Any) -> None:
    """
    Put a ``ThreadedRefresh`` around the synchronous refresh of this session's credentials, if they have one.

    :param session: of aiobotocore, as the amazon provider's hook makes it.
    """
    credentials = getattr(session, "_credentials", None)
    refresh = getattr(credentials, "_refresh_using", None)
    if credentials is None or refresh is None or inspect.iscoroutinefunction(refresh):
        return
    credentials._refresh_using = ThreadedRefresh(refresh)  # noqa: SLF001 - there is no public way; a test holds it


class ThreadedRefresh:
    """
    A synchronous refresh of credentials as an awaitable one: in a thread, single-flight, with a time limit.

    aiobotocore calls it before the credentials expire (15 minutes before, then 10 as the last call); while they are
    valid, only the caller that happened to start it waits for it.

    :param refresh: returns the new credentials; blocks.
    :param limit: seconds to wait.
    """

    def __init__(self, refresh: Callable[[], Any], limit: float = REFRESH_LIMIT) -> None:
        self._refresh, self._limit = refresh, limit
        self._running: asyncio.Future[Any] | None = None
        self._failed_at = 0.0
        self._failure: BaseException | None = None

    async def __call__(self) -> Any:
        """
        The new credentials.

        :raises RefreshFailed: an outage of STS, or it took longer than ``limit``; then the thread goes on, and the
            next call joins it.
        :raises Exception: whatever else ``refresh`` raised. Again the same for ``REFRESH_PAUSE`` seconds.
        """
        if self._failure is not None and time.monotonic() - self._failed_at < REFRESH_PAUSE:
            raise _raisable(self._failure)
        if self._running is None:
            self._failure = None
            self._running = asyncio.get_running_loop().run_in_executor(None, _refreshed, self._refresh)
            self._running.add_done_callback(self._ended)
        running = self._running
        done, _ = await asyncio.wait({running}, timeout=self._limit)
        if not done:
            raise RefreshFailed(f"no answer in {self._limit:g} s")
        if running.cancelled():  # by the thread pool; as it is, it would look like a cancellation of the caller
            raise RefreshFailed("the event loop is ending")
        if (error := running.exception()) is not None:
            raise _raisable(error)
        return running.result()

    def _ended(self, running: asyncio.Future[Any]) -> None:
        self._running = None
        if not running.cancelled() and (error := running.exception()) is not None:
            self._failure, self._failed_at = error, time.monotonic()


def _refreshed(refresh: Callable[[], Any]) -> Any:
    """In the thread: the SDK's errors are imported here, which takes too long for the event loop."""
    from botocore.exceptions import ConnectionError as SdkConnectionError
    from botocore.exceptions import HTTPClientError
    from botocore.parsers import ResponseParserError

    try:
        return refresh()
    except (HTTPClientError, SdkConnectionError, ResponseParserError, OSError) as error:
        raise RefreshFailed(type(error).__name__) from error


def _raisable(error: BaseException) -> BaseException:
    """That error for one of several raisers."""
    if not isinstance(error, RefreshFailed):
        return error.with_traceback(None)
    mine = RefreshFailed(*error.args)
    mine.__cause__ = error.__cause__
    return mine
