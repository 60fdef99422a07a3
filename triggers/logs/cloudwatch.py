"""
One reader per CloudWatch log group: few calls for the logs of all runs.

AWS allows 5-10 FilterLogEvents a second per account and region, and each can name 100 streams. So a round asks for all
followed streams of the group in batches. A batch with a stream that does not exist yet is refused as a whole: streams
are probed first, and a probe is a read, so nothing is asked twice. Where FilterLogEvents is denied, streams are read
one by one with GetLogEvents.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

import msgspec

from asyncrun.clients.api import LogEvent, LogsApi
from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.errors import RemoteError
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.batched import Batched
from asyncrun.triggers.logs.group import LogGroup
from asyncrun.triggers.logs.one_by_one import OneByOne
from asyncrun.triggers.logs.streams import Follower, Stream
from asyncrun.triggers.logs.turns import turns_for

log = logging.getLogger(__name__)

_TROUBLE_FIRST, _TROUBLE_LONGEST = 1.0, 5.0  # s between two tries while CloudWatch does not answer
_TROUBLE_SAID_AFTER = 30.0  # s
_SHORTEST_PAUSE = 0.1  # s
_TICK = 0.001  # s; a timer may run that much too early
_READ_AT_ONCE = 500  # events
_NEVER = float("inf")


class ReaderStatistics(msgspec.Struct, frozen=True):
    """
    :param group: name of the log group.
    :param found: streams that are known to exist.
    :param calls: of FilterLogEvents and GetLogEvents.
    :param failed: calls that were answered by an error, missing streams included.
    :param events: handed over.
    :param repeated: events that were read again.
    """

    region: str
    group: str
    streams: int
    found: int
    calls: int
    failed: int
    events: int
    repeated: int


class Following:
    """One stream's place in a reader."""

    __slots__ = ("_reader", "_stream")

    def __init__(self, reader: CloudWatchReader, stream: Stream) -> None:
        self._reader, self._stream = reader, stream

    def hurry(self) -> None:
        """Look soon: its container was seen to run."""
        self._reader.hurry(self._stream)

    def ended(self) -> None:
        """Its container has ended: look often."""
        self._stream.urgent = True
        self._reader.hurry(self._stream)

    def want_final(self) -> None:
        """Read once with a longer overlap; ``Follower.read`` tells with ``final`` when that is done."""
        self._stream.final_wanted = True
        self._reader.hurry(self._stream)

    def close(self) -> None:
        """Stop following. Harmless when repeated."""
        self._reader.leave(self._stream)


class CloudWatchReader:
    """
    Reads all followed streams of one log group. Get it by ``reader_for``.

    Its task lives while streams are followed. No error of AWS ends it or reaches a follower as an exception.
    Invariant between awaits: a followed stream is read by one of ``Batched`` and ``OneByOne``, or it is refused.

    :param clock: seconds since the epoch.
    :param on_idle: called when the last stream has left.
    """

    def __init__(
        self,
        api: LogsApi,
        group: str,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.time,
        on_idle: Callable[[], None] = lambda: None,
    ) -> None:
        self._api, self._group = api, group
        self._on_idle = on_idle
        self._ticks = asyncio.get_running_loop().time  # for waiting; the wall clock may jump
        self._streams: set[Stream] = set()
        self._shared = LogGroup(api, group, settings, clock, self._give, self._answered)
        self._turns = turns_for(api.key, settings.filter_logs_rate)
        self._gets = OneByOne(self._shared, self._hand_back)
        self._batched = Batched(self._shared, self._gets.add)
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._troubled_since: float | None = None
        self._trouble_wait = 0.0
        self._events = self._in_one_step = 0

    def follow(self, stream_name: str, follower: Follower, since_ms: int, *, soon: bool = True) -> Following:
        """
        Hand the events of a stream to a follower, from ``since_ms`` on.

        The stream need not exist yet. Two followers of one stream are two streams to us.

        :param soon: False: it most likely does not exist before ``Following.hurry``.
        """
        stream = Stream(stream_name, follower, since_ms)
        self._streams.add(stream)
        if self._ticks() < self._batched.denied_until:
            self._gets.add(stream)
        else:
            self._batched.add(stream, soon=soon)
        if self._task is None or self._task.done():
            # An empty context: the reader must not log into the task log of whoever came first.
            self._task = asyncio.get_running_loop().create_task(
                self._run(), name=f"asyncrun-logs {self._group}", context=contextvars.Context()
            )
            _TASKS.add(self._task)
            self._task.add_done_callback(_TASKS.discard)
        self._wake.set()
        return Following(self, stream)

    def hurry(self, stream: Stream) -> None:
        """For ``Following``: look at this stream soon."""
        if stream in self._streams:
            self._batched.hurry(stream)
            self._wake.set()

    def leave(self, stream: Stream) -> None:
        """For ``Following``: the stream is not followed any more."""
        if stream not in self._streams:
            return
        self._streams.discard(stream)
        self._batched.remove(stream)
        self._gets.remove(stream)
        if not self._streams:
            task, self._task = self._task, None  # whoever follows next starts anew
            if task is not None:
                task.cancel()
            self._on_idle()

    def now(self) -> float:
        """AWS's time, as far as it is known: never later than it is. Seconds since the epoch."""
        return self._shared.now_ms() / 1000

    def statistics(self) -> ReaderStatistics:
        """Counts since the reader was made."""
        return ReaderStatistics(
            region=self._api.region,
            group=self._group,
            streams=len(self._streams),
            found=sum(stream.found for stream in self._streams),
            calls=self._shared.calls,
            failed=self._shared.failed,
            events=self._events,
            repeated=self._batched.repeated,
        )

    async def _run(self) -> None:
        while self._streams:
            self._wake.clear()
            try:
                looked = await self._look()
            except RemoteError as error:
                for stream in self._streams:
                    stream.refusal.unanswered()
                    stream.follower.unanswered()
                await asyncio.sleep(self._trouble(str(error)))
            except Exception as error:
                log.exception("Reading log group %s failed, a defect of asyncrun; it is tried again", self._group)
                await asyncio.sleep(self._trouble(f"internal error: {type(error).__name__}"))
            else:
                if not looked:
                    await self._pause()

    async def _look(self) -> bool:
        """Ask for what is due; whether anything was."""
        looked = False
        if self._batched.due_at() <= self._ticks() + _TICK:
            async with self._turns.turn(self._batched.need):
                looked = await self._batched.look()
        if self._gets.due_at() <= self._ticks():
            looked = await self._gets.round() or looked
        return looked

    async def _pause(self) -> None:
        """Until something is due, or somebody is in a hurry."""
        due = min(self._batched.due_at(), self._gets.due_at())
        # Finding out what is due costs a look at all streams, so there is a shortest pause even if much is due.
        seconds = max(_SHORTEST_PAUSE, due - self._ticks())
        try:
            async with asyncio.timeout(None if seconds == _NEVER else seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_SHORTEST_PAUSE)

    def _hand_back(self, stream: Stream) -> None:
        self._batched.add(stream)

    async def _give(self, stream: Stream, events: Sequence[LogEvent], read: int) -> None:
        """
        Hand events over in small steps: a page may hold 10,000, and one event 1 MB.

        :param read: how many were read for them; each costs the event loop some 15 us, even if it was seen before.
        """
        if events and stream in self._streams:
            self._events += len(events)
            try:
                for _ in stream.follower.events(list(events)):
                    await asyncio.sleep(0)
                    if stream not in self._streams:
                        return
            except Exception:
                # One run's data must not stop the logs of the others.
                log.exception("Lines of log stream %s could not be taken; it is not read on", stream.name)
                stream.follower.unreadable()
                self.leave(stream)
        self._in_one_step += read
        if self._in_one_step >= _READ_AT_ONCE:
            self._in_one_step = 0
            await asyncio.sleep(0)

    def _answered(self) -> None:
        """A call was answered, be it by a refusal: whatever kept CloudWatch from answering is over."""
        self._troubled_since, self._trouble_wait = None, 0.0

    def _trouble(self, why: str) -> float:
        """Note that CloudWatch does not answer; how long to wait before the round goes on where it stopped."""
        now = self._ticks()
        if self._troubled_since is None:
            self._troubled_since = now
        self._trouble_wait = min(_TROUBLE_LONGEST, max(_TROUBLE_FIRST, self._trouble_wait * 2))
        if now - self._troubled_since >= _TROUBLE_SAID_AFTER:
            for stream in list(self._streams):
                stream.say_once(
                    "trouble",
                    "warning",
                    f"CloudWatch Logs in {self._api.region} has not answered for {now - self._troubled_since:.0f} s: "
                    f"lines arrive late, the container run itself goes on ({why})",
                )
        return self._trouble_wait * random.uniform(0.5, 1)  # noqa: S311 - jitter, not cryptography


_TASKS: set[asyncio.Task[None]] = set()  # asyncio itself keeps only weak references
_Readers: TypeAlias = dict[tuple[Hashable, str], CloudWatchReader]
_readers: PerLoop[_Readers] = PerLoop(dict)


def reader_for(
    api: LogsApi, group: str, settings: Settings, *, clock: Callable[[], float] = time.time
) -> CloudWatchReader:
    """
    The reader of a log group in the running event loop, shared by all who reach it with the same credentials.

    It is kept while streams are followed.
    """
    readers = _readers()
    key = (api.key, group)
    if (reader := readers.get(key)) is None:
        reader = CloudWatchReader(api, group, settings, clock=clock, on_idle=lambda: _forget(readers, key))
        readers[key] = reader
    return reader


def reader_statistics() -> dict[tuple[Hashable, str], ReaderStatistics]:
    """Every reader of the running event loop."""
    return {key: reader.statistics() for key, reader in _readers().items()}


def _forget(readers: _Readers, key: tuple[Hashable, str]) -> None:
    readers.pop(key, None)
