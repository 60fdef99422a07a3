"""Log streams read with FilterLogEvents, up to a hundred in one call."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from asyncrun.clients.api import LogEvent, LogPage
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
)
from asyncrun.triggers.logs.choosing import DUE, Choice, Now, choose, due_at, set_pace
from asyncrun.triggers.logs.group import FULL_WAIT, LogGroup
from asyncrun.triggers.logs.passes import Pass
from asyncrun.triggers.logs.probing import Prober
from asyncrun.triggers.logs.streams import Stream, Way, is_about_group

_PAGES_PER_TURN = 4  # of one pass, then the next one has its turn
_PROBE_FIRST, _PROBE_LONGEST, _PROBE_URGENT = 1.0, 15.0, 2.0  # s between two questions for a missing stream
_DENIED_FOR = 300.0  # s until a new run tries a denied FilterLogEvents again
_TAKEN_AT_ONCE = 500  # events


class Batched:
    """
    The streams of a group that are read in batches.

    Invariant between awaits: a stream of ours stands in exactly one of: known, a pass, the prober.

    :param hand_to_get: takes a stream for which FilterLogEvents is denied.
    """

    def __init__(self, group: LogGroup, hand_to_get: Callable[[Stream], None]) -> None:
        self._group, self._hand_to_get = group, hand_to_get
        self._ticks, self._settings = group.ticks, group.settings
        self._overlap = int(self._settings.logs_overlap * 1000)
        self._known: set[Stream] = set()
        self._passes: deque[Pass] = deque()
        self._prober = Prober(first_wait=_PROBE_FIRST, longest_wait=_PROBE_LONGEST, urgent_wait=_PROBE_URGENT)
        self.denied_until = 0.0
        self.repeated = 0

    @property
    def _shortest(self) -> float:
        """The interval of streams that write: the more streams share the calls, the longer. Seconds."""
        return self._settings.logs_round(len(self._known) + sum(len(one.streams) for one in self._passes))

    def add(self, stream: Stream, *, soon: bool = True) -> None:
        """
        Read this stream, once its refusal, if any, is to be tried again; it need not exist yet.

        :param soon: it may exist by now, and is looked for at once.
        """
        stream.looked_at = self._ticks()
        stream.interval = self._shortest
        first = 0.0 if soon else _PROBE_LONGEST
        self._prober.add(stream, max(self._ticks() + first, stream.refusal.retry_at))

    def remove(self, stream: Stream) -> None:
        """Read it no more. Harmless when repeated."""
        self._known.discard(stream)
        self._prober.forget(stream)
        for one in self._passes:
            if stream in one.streams:
                one.streams.remove(stream)

    def hurry(self, stream: Stream) -> None:
        """Look at this stream soon."""
        stream.interval = self._shortest
        self._prober.hurry(stream, self._ticks())

    def due_at(self) -> float:
        """When there is something to ask; infinity if nothing is read."""
        ticks, shortest = self._ticks(), self._shortest
        due = self._prober.due_at()
        for stream in self._known:
            ready = max(due_at(stream, shortest), stream.refusal.retry_at)
            due = min(due, ticks + FULL_WAIT if stream.follower.full else ready)
        for one in self._passes:
            due = min(due, ticks + (FULL_WAIT if one.waits else 0.0))
        return due

    def need(self) -> float:
        """How much the next call is needed, see ``choosing``; nothing is due where it is less than 1."""
        ticks, shortest, choice = self._ticks(), self._shortest, self._choice()
        reading = max((one.need(ticks, shortest) for one in self._passes if not one.waits), default=0.0)
        return max(reading, self._prober.need(ticks), choice.need if choice else 0.0)

    async def look(self) -> bool:
        """
        Make the most needed call, and some more if the answer goes on.

        :return: whether anything was due.
        :raises RemoteError: CloudWatch does not answer, or there are no valid credentials.
        """
        ticks, shortest = self._ticks(), self._shortest
        ready = (one for one in self._passes if not one.waits)
        one = max(ready, key=lambda one: one.need(ticks, shortest), default=None)
        reading = 0.0 if one is None else one.need(ticks, shortest)
        choice, probing = self._choice(), self._prober.need(ticks)
        if choice is not None and choice.need >= max(DUE, reading, probing):
            self._known.difference_update(choice.streams)
            one = self._begin(choice.streams, choice.start_ms)
        elif probing >= max(DUE, reading):
            group = self._prober.next_group(ticks)
            one = self._begin(group, min(stream.full_start_ms for stream in group))
        if one is None:
            return False
        await self._turn(one)
        return True

    def _choice(self) -> Choice | None:
        ticks = self._ticks()
        now = Now(ticks, self._group.now_ms(), self._overlap, self._shortest)
        return choose([one for one in self._known if one.refusal.retry_at <= ticks and not one.follower.full], now)

    def _begin(self, streams: list[Stream], start_ms: int) -> Pass:
        for stream in streams:
            stream.looked_at = self._ticks()
        one = Pass(streams, start_ms, self._group.clock(), self._group.there_ms)
        self._passes.append(one)
        return one

    async def _turn(self, one: Pass) -> None:
        """Read on in a pass, some pages at a time."""
        one.turn_at = self._ticks()
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
            if page.next_token in one.tokens:
                self._runs_in_a_circle(one)
                return
            if self._set_full_apart(one):
                return
            one.go_on(page.next_token)

    async def _filter(self, one: Pass) -> LogPage | None:
        """The next page; None if the pass is over because it was refused, or its streams were left meanwhile."""
        group, could_read = self._group, self._group.could_read

        def call() -> Awaitable[LogPage]:
            limit = group.page_limit(one.streams)
            return group.api.filter_log_events(
                group.name, one.names, start_ms=one.start_ms, next_token=one.token, limit=limit
            )

        try:
            return await group.ask(call, lambda: bool(one.streams))
        except CredentialsExpired:
            raise
        except NotFound as error:
            self._drop(one)
            self._missing(one, error)
        except AccessDenied as error:
            self._drop(one)
            self._filter_denied(one, error)
        except RequestRefused as error:
            self._drop(one)
            self._refused(one, error)
        except MalformedAnswer as error:
            if not could_read:  # nothing can be read: that is no matter of the streams that are asked for
                raise
            self._drop(one)
            self._odd(one, error)
        return None

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
        began_ms = one.began_ms
        by_name: dict[str, list[LogEvent]] = {}
        for event in page.events:
            # What came after the first page was read may have left lines behind it, on a page that is past; and what
            # follows it must not come before it.
            if one.first_page or (event.ingested_ms <= began_ms and event.stream not in one.left_out):
                by_name.setdefault(event.stream, []).append(event)
            else:
                one.left_out.add(event.stream)
        for stream in list(one.streams):
            if events := by_name.get(stream.name):
                if stream in one.unconnected:
                    stream.awake = True
                else:
                    await self._give(one, stream, events)

    async def _give(self, one: Pass, stream: Stream, events: list[LogEvent]) -> None:
        now_ms, shown_ms = self._group.now_ms(), self._shown_ms(one)
        for first in range(0, len(events), _TAKEN_AT_ONCE):
            if stream not in one.streams:
                return
            some = events[first : first + _TAKEN_AT_ONCE]
            fresh = stream.take(some, now_ms, shown_ms)
            self.repeated += len(some) - len(fresh)
            if fresh:
                stream.way = Way.FILTER
                stream.goes_on()
            await self._group.give(stream, fresh, len(some))

    def _set_full_apart(self, one: Pass) -> bool:
        """
        Who cannot take more is read alone from now on, and does not stop the others of its pass.

        They are asked for anew: a page's token belongs to the streams that were asked for.
        """
        full = [stream for stream in one.streams if stream.follower.full]
        if len(one.streams) < 2 or not full:
            return False
        self._drop(one)
        self._known.update(one.streams)
        for stream in full:
            stream.alone = True
        return True

    def _shown_ms(self, one: Pass) -> int:
        """What CloudWatch took in by then was surely shown when this pass began."""
        return one.began_ms - self._overlap

    def _done(self, one: Pass) -> None:
        began_ms, shortest = one.began_ms, self._shortest
        self._drop(one)
        for stream in list(one.streams):
            self._known.add(stream)
            if stream.awake and stream in one.unconnected:
                continue  # there is more than was handed over
            set_pace(stream, shortest, self._settings.logs_poll_idle)
            stream.pass_done(one.start_ms, began_ms, self._shown_ms(one))
            stream.tell_read(began_ms, final=stream in one.finals and stream.name not in one.left_out)

    def _runs_in_a_circle(self, one: Pass) -> None:
        """A page leads to one that was read before: read the batch again from where it stands, and once only."""
        if any(stream.rereads for stream in one.streams):
            self._done(one)
        else:
            self._drop(one)
            self._again_later(one)

    def _again_later(self, one: Pass) -> None:
        for stream in one.streams:
            stream.rereads += 1
            self._known.add(stream)

    def _missing(self, one: Pass, error: NotFound) -> None:
        if not one.streams:
            return
        began_ms = one.began_ms
        if is_about_group(error):
            for stream in list(one.streams):
                self._group.say_missing(stream, error)
                self._prober.wait(stream, self._ticks())
                stream.tell_read(began_ms, final=stream in one.finals)
        elif self._prober.refused(one.streams, self._ticks()):
            one.streams[0].tell_read(began_ms, final=bool(one.finals))

    def _refused(self, one: Pass, error: RemoteError) -> None:
        if one.token is not None and not any(stream.rereads for stream in one.streams):
            self._again_later(one)  # tokens expire: read the batch again from where it stands, once
        else:
            self._odd(one, error)

    def _odd(self, one: Pass, error: RemoteError) -> None:
        """Find out which stream it is; that one is asked by itself, for ``access_grace``."""
        streams = one.streams
        if len(streams) > 1:
            half = len(streams) // 2
            for some in (streams[:half], streams[half:]):
                self._begin(some, min(stream.full_start_ms for stream in some))
            return
        for stream in list(streams):
            stream.alone = True
            if not self._group.refused(stream, error, _PROBE_LONGEST):
                self._known.add(stream)

    def _filter_denied(self, one: Pass, error: AccessDenied) -> None:
        self.denied_until = self._ticks() + _DENIED_FOR
        for stream in list(one.streams):
            if stream.way is Way.FILTER:
                # GetLogEvents has no event ids: what it gives cannot be told from what was read.
                self._group.say_withdrawn(stream, error)
                if not self._group.refused(stream, error, _PROBE_LONGEST):
                    self._known.add(stream)
            else:
                self._group.say_denied(stream, error)
                self._hand_to_get(stream)
