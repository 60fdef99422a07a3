"""The log of one ECS run: its containers' CloudWatch streams, in Airflow's task log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from asyncrun.clients.api import LogEvent, LogsApi
from asyncrun.model.logs import LogLine, level_of
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.cloudwatch import Following, reader_for
from asyncrun.triggers.logs.drain import Ask, DrainRule, End
from asyncrun.triggers.logs.merging import Merging
from asyncrun.triggers.logs.run_log import RunLog
from asyncrun.triggers.wakeup import Wakeup

# What CloudWatch took in together becomes readable together, or nearly: a pass that began that long after is complete.
_SETTLED_MS = 500
# One step of the event loop, some ms: one event may be 1 MB, all of it ends of lines or control characters.
_LINES_AT_ONCE, _SIZE_AT_ONCE = 500, 1 << 18


class LogStream(msgspec.Struct, frozen=True):
    """
    Where one container's output goes.

    :param container: its name in the task definition.
    :param api: CloudWatch Logs of the stream's region.
    """

    container: str
    group: str
    api: LogsApi
    stream: str

    @property
    def where(self) -> str:
        """For the user: where the full log can be read."""
        return f"CloudWatch log group {self.group}, stream {self.stream}, region {self.api.region}"


class Drained(msgspec.Struct, frozen=True):
    """
    How the reading of a log ended.

    :param complete: whether it was read until nothing more came.
    :param never_appeared: containers whose stream does not exist, as far as CloudWatch answered.
    :param unreadable: containers whose log could not be read.
    :param waited: seconds.
    """

    complete: bool
    never_appeared: tuple[str, ...]
    unreadable: tuple[str, ...]
    waited: float


class EcsLog:
    """
    The log source of one run: reads its streams through the shared readers into its ``RunLog``.

    Nothing here fails a run: what cannot be read is said in the task log.

    :param streams: in the order of the task definition.
    :param say: writes a line of ours (level, message) into the run's own task log.
    :param since_ms: when the run was created, or some seconds before: nothing older is read.
    :param running: whether the containers were seen to run: before that there is most likely no stream to be asked for.
    :param clock: ours, seconds since the epoch.
    """

    def __init__(
        self,
        streams: Sequence[LogStream],
        run_log: RunLog,
        say: Callable[[str, str], None],
        settings: Settings,
        *,
        since_ms: int,
        running: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._run_log, self._say, self._settings = run_log, say, settings
        self._said: set[str] = set()
        self._changed = Wakeup()
        self._rule: DrainRule | None = None
        self._parts = [_Part(self, stream) for stream in streams]
        self._followings: list[Following] = []
        for part in self._parts:
            reader = reader_for(part.stream.api, part.stream.group, settings, clock=clock)
            self._clock = reader.now  # in AWS's time everything that is compared here is told
            self._followings.append(reader.follow(part.stream.stream, part, since_ms, soon=running))
        self._merging = Merging([part.stream.container for part in self._parts], self.now_ms(), _now())
        self._showing: asyncio.Handle | None = None

    def started(self) -> None:
        """The containers were seen to run: streams that do not exist yet are looked for again soon."""
        for following in self._followings:
            following.hurry()

    async def drain(self, ended_at: float | None) -> Drained:
        """
        Read on until the log is complete, and say what is missing.

        It takes at most about ``logs_drain_limit`` while CloudWatch answers, and ``logs_outage_limit`` more while it
        does not.

        :param ended_at: when the last container ended, by AWS's clock, seconds since the epoch; None if that is not
            known.
        """
        settings, began = self._settings, self._clock()
        self._rule = DrainRule(
            began,
            ended_at,
            quiet=settings.logs_quiet_period,
            limit=settings.logs_drain_limit,
            patience=settings.logs_outage_limit,
        )
        for following in self._followings:
            following.ended()
        asked_final = False
        while True:
            if self._run_log.full:
                self._rule.held_back(self._clock())
            alive = [part for part in self._parts if part.readable]
            decision = self._rule.decide(
                self._clock(),
                min((part.read_to for part in alive), default=None),
                final=asked_final and all(part.final for part in alive),
            )
            if decision.ask is Ask.NOTHING:
                await self._show_the_rest()
                return self._drained(self._rule, decision.end, self._clock() - began)
            if decision.ask is Ask.WAIT:
                asked_final = False  # it brought news: what else a driver held back is found by the next one only
            elif not asked_final:
                asked_final = True
                for part, following in zip(self._parts, self._followings, strict=True):
                    part.final = False
                    following.want_final()
            await self._changed.wait(decision.wait)

    def close(self) -> None:
        """Stop reading at once. Harmless when repeated."""
        for following in self._followings:
            following.close()
        if self._showing is not None:
            self._showing.cancel()
        self._parts, self._followings = [], []  # which refer to us: such cycles only the garbage collector would free

    def show(self, container: str, lines: list[LogLine]) -> None:
        """For its parts: lines came, to be shown in step with those of the others."""
        merging = not self._merging.over
        self._run_log.add(self._merging.add(container, lines, _now()))
        if merging:
            self._show_what_waited()

    def read(self, container: str, to_ms: float) -> None:
        """For its parts: all was taken that was readable then; infinity: nothing can be read."""
        if not self._merging.over:
            self._merging.read(container, to_ms, _now())
            self._show_what_waited()
        self._changed.set()

    def _show_what_waited(self) -> None:
        """Some lines now, and the rest in further steps of the event loop: nothing else may ever ask for them."""
        if self._showing is not None:
            self._showing.cancel()
            self._showing = None
        if lines := self._merging.ready():
            self._run_log.add(lines)
            self._showing = asyncio.get_running_loop().call_soon(self._show_what_waited)

    def is_full(self, container: str) -> bool:
        """For its parts: whether no more should be read for now."""
        return self._run_log.full or self._merging.is_full(container)

    @property
    def is_sparing(self) -> bool:
        """For its parts: whether little should be read at a time."""
        return self._run_log.sparing

    def settle(self, container: str) -> None:
        """For its parts: what was taken in together was read to its end."""
        if self._merging.over:  # else some of it is held
            self._run_log.settle(container)

    async def _show_the_rest(self) -> None:
        self._merging.end()
        while lines := self._merging.ready():
            self._run_log.add(lines)
            await asyncio.sleep(0)

    def say_once(self, level: str, message: str) -> None:
        """For its parts: streams of one group have the same to say."""
        if message not in self._said:
            self._said.add(message)
            self._say(level, message)

    def news(self, newest_ms: int, taken_in_ms: int) -> None:
        """For its parts: lines came."""
        if self._rule is not None:
            self._rule.news(self._clock(), newest_ms / 1000, taken_in_ms / 1000 if taken_in_ms else None)
            self._changed.set()

    def unanswered(self) -> None:
        """For its parts: CloudWatch does not answer."""
        if self._rule is not None:
            self._rule.unanswered()

    def now_ms(self) -> int:
        """For its parts: AWS's time, milliseconds since the epoch."""
        return int(self._clock() * 1000)

    def _drained(self, rule: DrainRule, end: End | None, waited: float) -> Drained:
        missing = [part for part in self._parts if part.readable and not part.found]
        absent = [part for part in missing if rule.was_looked_at(part.read_to)]
        for part in missing:
            container, where = part.stream.container, part.stream.where
            if part in absent:
                text = "its stream never appeared, most likely because it wrote nothing or never ran"
            else:
                text = "whether it wrote anything is not known, because CloudWatch did not say so after the end"
            self._say("info", f"No log of container {container}: {text} ({where})")
        if end in (End.LIMIT, End.UNANSWERED):
            places = "; ".join(part.stream.where for part in self._parts)
            self._say("warning", f"The log may be incomplete: {_UNSURE[end].format(waited)}. The full log: {places}")
        unreadable = tuple(part.stream.container for part in self._parts if not part.readable)
        complete = end not in (End.LIMIT, End.UNANSWERED) and not unreadable
        return Drained(complete, tuple(part.stream.container for part in absent), unreadable, waited)


_UNSURE = {
    End.LIMIT: "CloudWatch was read for {:.0f} s after the end, and it was not yet certain that nothing more comes",
    End.UNANSWERED: "for {:.0f} s after the end CloudWatch could not be read, or not often enough",
}


class _Part:
    """One container's stream: what its reader tells (a ``Follower``)."""

    __slots__ = ("_owner", "_settled_at_ms", "final", "found", "read_to", "readable", "stream")

    def __init__(self, owner: EcsLog, stream: LogStream) -> None:
        self._owner, self.stream = owner, stream
        self.read_to = float("-inf")
        self._settled_at_ms = 0
        self.found = False
        self.final = False
        self.readable = True

    @property
    def full(self) -> bool:
        return self._owner.is_full(self.stream.container)

    @property
    def sparing(self) -> bool:
        return self._owner.is_sparing

    def events(self, events: Sequence[LogEvent]) -> Iterator[None]:
        now_ms = self._owner.now_ms()
        newest = max(event.time_ms for event in events)
        taken_in = max(event.ingested_ms for event in events)
        self._settled_at_ms = min(taken_in or now_ms, now_ms) + _SETTLED_MS
        self._owner.news(newest, taken_in)
        lines: list[LogLine] = []
        size = 0
        for event in events:
            for line in lines_of(event, self.stream.container):
                lines.append(line)
                size += len(line.text)
                if len(lines) >= _LINES_AT_ONCE or size >= _SIZE_AT_ONCE:
                    self._owner.show(self.stream.container, lines)
                    lines, size = [], 0
                    yield
        self._owner.show(self.stream.container, lines)

    def read(self, began_ms: int, *, final: bool) -> None:
        self.read_to = began_ms / 1000
        self.final = self.final or final
        # Not sooner: the next page may go on with the same batch, and what is joined must not depend on pages.
        if began_ms >= self._settled_at_ms:
            self._owner.settle(self.stream.container)
        self._owner.read(self.stream.container, began_ms)

    def exists(self) -> None:
        self.found = True

    def unanswered(self) -> None:
        self._owner.unanswered()

    def unreadable(self) -> None:
        self.readable = False
        self._owner.read(self.stream.container, float("inf"))

    def say(self, level: str, message: str) -> None:
        self._owner.say_once(level, message)


def lines_of(event: LogEvent, container: str) -> Iterator[LogLine]:
    """
    The lines of one event.

    With ``awslogs-datetime-format`` or ``awslogs-multiline-pattern`` one event holds several lines: they are one
    message, so all have the level that the first one states.
    """
    message, level, first = event.message, "", 0
    end = _end_of(message)
    while first <= end:
        last = message.find("\n", first, end)
        last = end if last < 0 else last
        text = message[first:last].rstrip("\r")
        level = level or level_of(text)
        yield LogLine(event.time_ms, container, level, text, event.ingested_ms)
        first = last + 1


def _now() -> float:
    return asyncio.get_running_loop().time()


def _end_of(message: str) -> int:
    """Where the last line ends: nothing comes after the last end of a line."""
    last = message.rfind("\n")
    return last if last >= 0 and not message[last + 1 :].strip("\r") else len(message)
