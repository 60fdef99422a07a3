"""Log streams read with GetLogEvents, where FilterLogEvents is denied: one call for each stream and look."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from asyncrun.clients.api import LogPage
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
)
from asyncrun.triggers.logs.group import FULL_WAIT, LogGroup
from asyncrun.triggers.logs.streams import Stream, Way, is_about_group

_CALLS_PER_ROUND = 8
_MISSING_FIRST, _MISSING_LONGEST, _MISSING_URGENT = 1.0, 15.0, 2.0  # s between two looks for a missing stream
_REFUSED_LONGEST = 15.0  # s between two looks for a stream whose reading is refused


class OneByOne:
    """
    The streams of a group that are read one by one, in turn.

    There are no event ids: what was read is known by the token alone, so a stream is read forward from its start.

    :param hand_back: takes a stream for which GetLogEvents is denied before anything was read of it: perhaps
        FilterLogEvents, which was denied when it came, is allowed again.
    """

    def __init__(self, group: LogGroup, hand_back: Callable[[Stream], None]) -> None:
        self._group, self._hand_back = group, hand_back
        self._turns: deque[Stream] = deque()

    def add(self, stream: Stream) -> None:
        """Read this stream from its start."""
        stream.probe_at, stream.probe_wait = 0.0, 0.0
        self._turns.append(stream)

    def remove(self, stream: Stream) -> None:
        """Read it no more. Harmless when repeated."""
        if stream in self._turns:
            self._turns.remove(stream)

    def due_at(self) -> float:
        """When the next stream is due; infinity if none is read."""
        later = self._group.ticks() + FULL_WAIT
        return min((later if one.follower.full else one.probe_at for one in self._turns), default=float("inf"))

    async def round(self) -> bool:
        """
        Look at some of the streams that are due.

        :return: whether there was any.
        :raises RemoteError: CloudWatch does not answer, or there are no valid credentials.
        """
        left = _CALLS_PER_ROUND
        for _ in range(len(self._turns)):
            if not left or not self._turns:
                break
            stream = self._turns[0]
            self._turns.rotate(-1)
            if stream.probe_at <= self._group.ticks() and not stream.follower.full:
                left -= 1
                await self._read(stream)
        return left < _CALLS_PER_ROUND

    async def _read(self, stream: Stream) -> None:
        began_at, could_read = self._group.clock(), self._group.could_read
        try:
            page = await self._group.ask(lambda: self._page(stream), lambda: stream in self._turns)
        except CredentialsExpired:
            raise
        except NotFound as error:
            if stream in self._turns:
                self._missing(stream, error, self._group.there_ms(began_at))
        except MalformedAnswer as error:
            if not could_read:  # nothing can be read: that is no matter of this stream
                raise
            self._refused(stream, error)
        except (AccessDenied, RequestRefused) as error:
            self._refused(stream, error)
        else:
            if page is not None and stream in self._turns:
                stream.refusal.over()
                await self._got(stream, page, self._group.there_ms(began_at))

    async def _page(self, stream: Stream) -> LogPage:
        return await self._group.api.get_log_events(
            self._group.name,
            stream.name,
            start_ms=stream.since_ms,
            next_token=stream.token,
            limit=self._group.page_limit([stream]),
        )

    def _refused(self, stream: Stream, error: RemoteError) -> None:
        if stream not in self._turns:
            return
        if isinstance(error, AccessDenied):
            error = error.advising("Both logs:FilterLogEvents and logs:GetLogEvents are missing")
        if self._group.refused(stream, error, _REFUSED_LONGEST):
            self._turns.remove(stream)
        elif isinstance(error, AccessDenied) and stream.way is Way.OPEN:
            self._turns.remove(stream)
            self._hand_back(stream)
        else:
            stream.probe_at = stream.refusal.retry_at

    def _missing(self, stream: Stream, error: NotFound, began_ms: int) -> None:
        if is_about_group(error):
            self._group.say_missing(stream, error)
        longest = _MISSING_URGENT if stream.urgent else _MISSING_LONGEST
        stream.probe_wait = min(longest, max(_MISSING_FIRST, stream.probe_wait * 2))
        stream.probe_at = self._group.ticks() + stream.probe_wait
        stream.tell_read(began_ms, final=stream.final_wanted)

    async def _got(self, stream: Stream, page: LogPage, began_ms: int) -> None:
        stream.tell_found()
        at_end = page.next_token == stream.token
        stream.token = page.next_token
        fresh = [event for event in page.events if event.time_ms >= stream.since_ms]
        if fresh:
            stream.way = Way.GET
            await self._group.give(stream, fresh, len(fresh))
        if at_end and stream in self._turns:
            settings = self._group.settings
            quiet = not fresh and not stream.urgent
            stream.probe_at = self._group.ticks() + (settings.logs_poll_idle if quiet else settings.logs_poll_interval)
            stream.tell_read(began_ms, final=stream.final_wanted)
