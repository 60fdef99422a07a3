"""Log streams read with FilterLogEvents, up to a hundred in one call."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from asyncrun.clients.api import LogEvent, LogPage, LogsApi
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
)
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.one_by_one import give_up
from asyncrun.triggers.logs.probing import Prober
from asyncrun.triggers.logs.streams import Pass, Stream, Way, batches, is_about_group

_PAGES_PER_TURN = 4  # of one pass, then the next one has its turn
_PROBES_PER_ROUND = 3  # they share the calls with the streams that are known
_PROBE_FIRST, _PROBE_LONGEST, _PROBE_URGENT = 1.0, 15.0, 2.0  # s between two questions for a missing stream
_DENIED_FOR = 300.0  # s until a new run tries a denied FilterLogEvents again
_FULL_WAIT = 0.5  # s until a follower that was full is looked at again
_THROTTLED_CALLS = 3  # tries of one call within a round; the call budget slows them down
_SLOWER_BY = 1.5  # a quiet group is asked less and less often


class Batched:
    """
    The streams of a group that are read in batches.

    Invariant between awaits: a stream of ours stands in exactly one of: known, a pass, the prober.

    :param clock: seconds since the epoch.
    :param give: hands events to the stream's follower.
    :param hand_to_get: takes a stream for which FilterLogEvents is denied.
    :param answered: told of each call that was answered, be it by a refusal.
    """

    def __init__(
        self,
        api: LogsApi,
        group: str,
        settings: Settings,
        clock: Callable[[], float],
        give: Callable[[Stream, Sequence[LogEvent]], Awaitable[None]],
        hand_to_get: Callable[[Stream], None],
        answered: Callable[[], None],
    ) -> None:
        self._api, self._group, self._settings, self._clock = api, group, settings, clock
        self._give, self._hand_to_get, self._answered = give, hand_to_get, answered
        self._ticks = asyncio.get_running_loop().time  # for waiting; the wall clock may jump
        self._overlap = int(settings.logs_overlap * 1000)
        self._known: set[Stream] = set()
        self._passes: deque[Pass] = deque()
        self._prober = Prober(first_wait=_PROBE_FIRST, longest_wait=_PROBE_LONGEST, urgent_wait=_PROBE_URGENT)
        self._interval = settings.logs_poll_interval
        self._next_batches = 0.0
        self._news = False
        self.denied_until = 0.0
        self.calls = self.failed = self.repeated = 0

    def add(self, stream: Stream) -> None:
        """Read this stream; it need not exist yet."""
        self._prober.add(stream, self._ticks())

    def remove(self, stream: Stream) -> None:
        """Read it no more. Harmless when repeated."""
        self._known.discard(stream)
        self._prober.forget(stream)
        for one in self._passes:
            if stream in one.streams:
                one.streams.remove(stream)

    def hurry(self, stream: Stream) -> None:
        """Look at this stream soon."""
        self._prober.hurry(stream, self._ticks())
        self._interval = self._settings.logs_poll_interval
        self._next_batches = min(self._next_batches, self._ticks() + self._interval)

    def due_at(self) -> float:
        """When there is something to ask; infinity if nothing is read."""
        due = min(self._next_batches if self._known else float("inf"), self._prober.due_at())
        if self._passes:
            due = min(due, self._ticks() + (_FULL_WAIT if all(one.waits for one in self._passes) else 0.0))
        return due

    async def round(self) -> None:
        """
        Read on in every pass, begin new ones, and look for missing streams.

        :raises RemoteError: CloudWatch does not answer, or there are no valid credentials.
        """
        if self._ticks() >= self._next_batches:
            self._form_batches()
        for _ in range(len(self._passes)):
            if not self._passes:
                break
            self._passes.rotate(-1)
            await self._turn(self._passes[-1])
        await self._probe()

    async def _probe(self) -> None:
        """Look for missing streams: a few calls, and more while they find what they ask for."""
        left = _PROBES_PER_ROUND
        while left and (group := self._prober.next_group(self._ticks())):
            probe = Pass(group, self._now_ms(), self._overlap)
            self._passes.append(probe)
            await self._turn(probe)
            left -= not all(stream.found for stream in group)

    def _form_batches(self) -> None:
        settings, now = self._settings, self._now_ms()
        able = [stream for stream in self._known if not stream.follower.full]
        hurried = self._news or len(able) < len(self._known) or any(stream.urgent for stream in self._known)
        slower = min(settings.logs_poll_idle, self._interval * _SLOWER_BY)
        self._interval = settings.logs_poll_interval if hurried else max(settings.logs_poll_interval, slower)
        self._next_batches = self._ticks() + self._interval
        self._news = False
        for batch in batches(able, self._overlap):
            self._known.difference_update(batch)
            self._passes.append(Pass(batch, now, self._overlap))

    async def _turn(self, one: Pass) -> None:
        """Read on in a pass, some pages at a time."""
        for _ in range(_PAGES_PER_TURN):
            if one.waits:
                return
            if not one.streams:
                self._drop(one)
                return
            page = await self._filter(one)
            if page is None or one not in self._passes:
                return
            self._found(one)
            await self._hand_over(one, page)
            if page.next_token is None:
                self._done(one)
                return
            one.token = page.next_token
            self._set_full_apart(one, page)

    async def _filter(self, one: Pass) -> LogPage | None:
        """The next page; None if the pass is over because it was refused, or its streams were left meanwhile."""
        try:
            page = await self._asked(one)
        except CredentialsExpired:
            raise
        except (NotFound, AccessDenied, RequestRefused) as error:
            self._answered()
            self._drop(one)
            if isinstance(error, NotFound):
                self._missing(one, error)
            elif isinstance(error, AccessDenied):
                self._filter_denied(one, error)
            else:
                self._refused(one, error)
            return None
        if page is not None:
            self._answered()
        return page

    async def _asked(self, one: Pass) -> LogPage | None:
        """One call, repeated where it is throttled: others of the account take turns, and we need not start anew."""
        for attempt in range(1, _THROTTLED_CALLS + 1):
            self.calls += 1
            try:
                return await self._api.filter_log_events(
                    self._group, one.names, start_ms=one.start_ms, next_token=one.token
                )
            except Throttled:
                self.failed += 1
                if attempt == _THROTTLED_CALLS:
                    raise
                if not one.streams:
                    return None
            except RemoteError:
                self.failed += 1
                raise
        raise AssertionError("unreachable")

    def _drop(self, one: Pass) -> None:
        if one in self._passes:
            self._passes.remove(one)

    def _found(self, one: Pass) -> None:
        new = [stream for stream in one.streams if not stream.found]
        if new:
            self._prober.present(one.streams)
        for stream in new:
            stream.tell_found()

    async def _hand_over(self, one: Pass, page: LogPage) -> None:
        by_name: dict[str, list[LogEvent]] = {}
        for event in page.events:
            by_name.setdefault(event.stream, []).append(event)
        for stream in list(one.streams):
            if events := by_name.get(stream.name):
                fresh = stream.take(events)
                self.repeated += len(events) - len(fresh)
                if fresh:
                    self._news = True
                    stream.way = Way.FILTER
                    await self._give(stream, fresh)

    def _set_full_apart(self, one: Pass, page: LogPage) -> None:
        """Who cannot take more leaves the pass, and does not stop the others in it. Pages are sorted by time."""
        if len(one.streams) < 2 or not page.events:
            return
        for stream in [stream for stream in one.streams if stream.follower.full]:
            one.streams.remove(stream)
            stream.heavy = True
            stream.position_ms = max(stream.position_ms, page.events[-1].time_ms)
            stream.last_deep_ms = 0
            self._known.add(stream)

    def _done(self, one: Pass) -> None:
        self._drop(one)
        for stream in list(one.streams):
            stream.pass_done(one.began_ms, self._overlap, deep=one.deep)
            self._known.add(stream)
            stream.tell_read(one.began_ms, final=stream in one.finals)

    def _missing(self, one: Pass, error: NotFound) -> None:
        if not one.streams:
            return
        if is_about_group(error):
            for stream in list(one.streams):
                stream.say_once(
                    "group",
                    "warning",
                    f"The log group {self._group} does not exist in {self._api.region}: its lines will show here once "
                    f"it does. Check awslogs-group and awslogs-region of the task definition ({error})",
                )
                self._prober.wait(stream, self._ticks())
                stream.tell_read(one.began_ms, final=stream in one.finals)
        elif self._prober.refused(one.streams, self._ticks()):
            one.streams[0].tell_read(one.began_ms, final=bool(one.finals))

    def _refused(self, one: Pass, error: RemoteError) -> None:
        if one.token is not None and not any(stream.refused_later for stream in one.streams):
            for stream in one.streams:  # tokens expire: read the batch again from where it stands, once
                stream.refused_later = True
                self._known.add(stream)
        elif len(one.streams) > 1:
            self._prober.refused(one.streams, self._ticks())
        else:
            for stream in one.streams:
                give_up(stream, f"The log stream {stream.name} of group {self._group} cannot be read: {error}")

    def _filter_denied(self, one: Pass, error: AccessDenied) -> None:
        self.denied_until = self._ticks() + _DENIED_FOR
        for stream in list(one.streams):
            if stream.way is Way.FILTER:
                # GetLogEvents has no event ids: what it gives cannot be told from what was read.
                stream.say_once(
                    "withdrawn",
                    "error",
                    "The permission logs:FilterLogEvents was taken away while this log was read: lines are missing "
                    f"until it is given back ({error})",
                )
                self._prober.wait(stream, self._ticks())
                stream.tell_read(one.began_ms, final=stream in one.finals)
            else:
                stream.say_once(
                    "denied",
                    "warning",
                    "The permission logs:FilterLogEvents is missing: each log stream is read by itself with "
                    f"logs:GetLogEvents, and with many runs lines arrive late ({error})",
                )
                self._hand_to_get(stream)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
