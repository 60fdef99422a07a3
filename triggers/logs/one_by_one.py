"""Log streams read with GetLogEvents, where FilterLogEvents is denied: one call for each stream and look."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from asyncrun.clients.api import LogEvent, LogPage, LogsApi
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
)
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.streams import Stream, Way, is_about_group

_CALLS_PER_ROUND = 8
_THROTTLED_CALLS = 3  # tries of one call within a round; the call budget slows them down
_MISSING_FIRST, _MISSING_LONGEST, _MISSING_URGENT = 1.0, 15.0, 2.0  # s between two looks for a missing stream


def give_up(stream: Stream, why: str) -> None:
    """Say that a stream cannot be read, and leave it at that."""
    stream.way = Way.REFUSED
    stream.say_once("given up", "error", f"{why}. The container run goes on without this log")
    stream.follower.unreadable()


class OneByOne:
    """
    The streams of a group that are read one by one, in turn.

    There are no event ids: what was read is known by the token alone, so a stream is read forward from its start.

    :param clock: seconds since the epoch.
    :param give: hands events to the stream's follower.
    :param answered: told of each call that was answered, be it by a refusal.
    """

    def __init__(
        self,
        api: LogsApi,
        group: str,
        settings: Settings,
        clock: Callable[[], float],
        give: Callable[[Stream, Sequence[LogEvent]], Awaitable[None]],
        answered: Callable[[], None],
    ) -> None:
        self._api, self._group, self._settings, self._clock = api, group, settings, clock
        self._give, self._answered = give, answered
        self._ticks = asyncio.get_running_loop().time  # for waiting; the wall clock may jump
        self._turns: deque[Stream] = deque()
        self.calls = 0
        self.failed = 0

    def add(self, stream: Stream) -> None:
        """Read this stream from its start."""
        stream.way = Way.GET
        stream.probe_at, stream.probe_wait = 0.0, 0.0
        self._turns.append(stream)

    def remove(self, stream: Stream) -> None:
        """Read it no more. Harmless when repeated."""
        if stream in self._turns:
            self._turns.remove(stream)

    def due_at(self) -> float:
        """When the next stream is due; infinity if none is read."""
        return min((stream.probe_at for stream in self._turns), default=float("inf"))

    async def round(self) -> None:
        """
        Look at some of the streams that are due.

        :raises RemoteError: CloudWatch does not answer, or there are no valid credentials.
        """
        left = _CALLS_PER_ROUND
        for _ in range(len(self._turns)):
            if not left or not self._turns:
                return
            stream = self._turns[0]
            self._turns.rotate(-1)
            if stream.probe_at <= self._ticks() and not stream.follower.full:
                left -= 1
                await self._read(stream)

    async def _read(self, stream: Stream) -> None:
        began = int(self._clock() * 1000)
        try:
            page = await self._asked(stream)
        except CredentialsExpired:
            raise
        except NotFound as error:
            self._answered()
            if stream in self._turns:
                self._missing(stream, error, began)
        except (AccessDenied, RequestRefused, MalformedAnswer) as error:
            self._answered()
            if stream in self._turns:
                self._turns.remove(stream)
                missing = "; the permissions logs:FilterLogEvents and logs:GetLogEvents are missing"
                hint = missing if isinstance(error, AccessDenied) else ""
                give_up(stream, f"The log stream {stream.name} of group {self._group} cannot be read{hint} ({error})")
        else:
            self._answered()
            if stream in self._turns:
                await self._got(stream, page, began)

    async def _asked(self, stream: Stream) -> LogPage:
        for attempt in range(1, _THROTTLED_CALLS + 1):
            self.calls += 1
            try:
                return await self._api.get_log_events(
                    self._group, stream.name, start_ms=stream.since_ms, next_token=stream.token
                )
            except Throttled:
                self.failed += 1
                if attempt == _THROTTLED_CALLS or stream not in self._turns:
                    raise
            except RemoteError:
                self.failed += 1
                raise
        raise AssertionError("unreachable")

    def _missing(self, stream: Stream, error: NotFound, began: int) -> None:
        if is_about_group(error):
            stream.say_once(
                "group", "warning", f"The log group {self._group} does not exist in {self._api.region} ({error})"
            )
        longest = _MISSING_URGENT if stream.urgent else _MISSING_LONGEST
        stream.probe_wait = min(longest, max(_MISSING_FIRST, stream.probe_wait * 2))
        stream.probe_at = self._ticks() + stream.probe_wait
        stream.tell_read(began, final=stream.final_wanted)

    async def _got(self, stream: Stream, page: LogPage, began: int) -> None:
        stream.tell_found()
        at_end = page.next_token == stream.token
        stream.token = page.next_token
        fresh = [event for event in page.events if event.time_ms >= stream.since_ms]
        if fresh:
            await self._give(stream, fresh)
        if at_end and stream in self._turns:
            settings = self._settings
            quiet = not fresh and not stream.urgent
            stream.probe_at = self._ticks() + (settings.logs_poll_idle if quiet else settings.logs_poll_interval)
            stream.tell_read(began, final=stream.final_wanted)
