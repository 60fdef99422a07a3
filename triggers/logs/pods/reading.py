"""One request for a container's log, from its beginning to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

import msgspec

from asyncrun.clients.kube_api import LogStream, PodsApi
from asyncrun.model.errors import RemoteError
from asyncrun.model.logs import LogLine
from asyncrun.model.pod_log_text import PodLogText
from asyncrun.model.refs import PodRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.pods.instances import Instance
from asyncrun.triggers.logs.pods.intake import Intake, Request, Trouble
from asyncrun.triggers.logs.pods.quiet import Quiet
from asyncrun.triggers.logs.pods.slots import FollowSlots
from asyncrun.triggers.logs.run_log import RunLog

_WAY = 0.3  # s that a line usually takes at most from the container to us
# A follow ends 1-2 s after the last line (a3, a4); where it does not, it is ended, and the log read again.
_AFTER_END = 5.0  # s
# A log that is read and not followed comes at once, but for what the API server waits for a dead node: 30 s.
_READ_SILENCE = 40.0  # s
_TURN_SILENCE = 10.0  # s; for those that are read in turns: others wait for theirs
_FULL_WAIT = 0.1  # s
# One step of the event loop, some ms: a chunk may be 1 MiB (trace q), all of it lines that were seen already.
_LINES_AT_ONCE, _BYTES_AT_ONCE = 100, 1 << 15
# How far the containers of a run may drift apart, in the time of their lines, while old ones are read; and not further
# than one full batch of lines reaches: with five files in view Airflow's reader compares within 500 entries.
_STEP_MS = 30_000
_CAUGHT_UP_AFTER = 0.3  # s without a byte
_STUCK_AFTER = 5.0  # s; a request that is not answered by then is not worth waiting for


class Host(Protocol):
    """The run whose container it is."""

    pods: PodsApi
    ref: PodRef
    run_log: RunLog
    settings: Settings
    slots: FollowSlots

    def say_once(self, level: str, message: str) -> None:
        """Into the run's own task log."""

    def asked(self, container: str) -> None:
        """A request about that container is made: it waits for a token of our call budget, and for its answer."""

    def answered(self, container: str) -> None:
        """It was answered, by whatever."""

    def opened(self, container: str) -> None:
        """It was answered by the node: bytes of a log come."""

    def node_failed(self, container: str) -> None:
        """It was answered: the node does not answer."""

    def progress(self) -> None:
        """New lines of a container that has ended, or Airflow takes lines too slowly."""

    def changed(self) -> None:
        """Look again whether all was read."""

    async def in_step(self, container: str, time_ms: int) -> None:
        """Wait until no other container of the run is read at an earlier time than that."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of it.

    :param opened: whether the log began to come.
    :param whole: whether it was read until the server ended it cleanly.
    :param new: whether new lines came.
    :param lost: whether lines are missing between those that were read.
    :param words: what came without a stamp, and is not the container's.
    """

    request: Request
    opened: bool = False
    whole: bool = False
    new: bool = False
    lost: bool = False
    trouble: Trouble | None = None
    words: str = ""
    error: RemoteError | None = None


class Reader:
    """
    Reads one container's log, one request at a time, into the run's ``RunLog``.

    :param container: its name.
    """

    __slots__ = (
        "_active_at",
        "_container",
        "_host",
        "_intake",
        "_limit",
        "_opened",
        "_quiet",
        "_settings",
        "_waiting_since",
        "at_ms",
    )

    def __init__(self, host: Host, container: str) -> None:
        self._host, self._container, self._settings = host, container, host.settings
        self._intake: Intake | None = None
        self._limit: asyncio.Timeout | None = None
        self._opened = False
        self.at_ms = 0
        self._waiting_since: float | None = None
        self._active_at = float("-inf")
        self._quiet = Quiet(host.settings.log_slot / 1000 + _WAY, self._settle, self._caught_up)

    async def read(self, instance: Instance, before: Instance | None, request: Request) -> Answer:
        """
        Make a request and read what it brings.

        :param before: the instance before it, if it is known.
        """
        cursor, self._active_at, self._opened = instance.cursor, _now(), False
        intake = self._intake = Intake(instance, before, self._container, self._settings.log_line_limit)
        whole, error = False, None
        try:
            whole = await self._read(instance, intake, request)
        except RemoteError as failure:
            error = failure
        finally:
            self._quiet.stop()
            self._intake = None
        if intake.trouble is not Trouble.WORDS:
            for words in intake.words:
                self._host.say_once("warning", f"At the end of the log of container {self._container} came: {words}")
        return Answer(
            request=request,
            opened=self._opened,
            whole=whole,
            new=instance.cursor != cursor,
            lost=intake.lost,
            trouble=intake.trouble,
            words=" ".join(intake.words),
            error=error,
        )

    async def first_stamp(self) -> int | None:
        """
        The stamp of the first line of the present instance; None: it has written none.

        :raises RemoteError: it cannot be read.
        """
        text = PodLogText(keep=0)
        async with self._host.pods.log(
            self._host.ref.name, self._container, follow=False, silence=_READ_SILENCE
        ) as stream:
            while chunk := await stream.chunk():
                for line in text.feed(chunk):
                    if line.stamp is not None:
                        return line.stamp
        return None

    @property
    def has_begun(self) -> bool:
        """Whether there was a request."""
        return self._active_at > float("-inf")

    @property
    def is_busy(self) -> bool:
        """Whether lines are coming that were written before now, as far as can be seen."""
        if self._intake is None:
            return False
        if self._waiting_since is not None:
            return _now() - self._waiting_since < _CAUGHT_UP_AFTER
        return _now() - self._active_at < _STUCK_AFTER

    def end_soon(self) -> None:
        """The container is known to have ended: a connection that follows it has some seconds left."""
        if self._limit is not None and self._limit.when() is None:
            self._limit.reschedule(_now() + _AFTER_END)

    def give_up(self, instance: Instance) -> None:
        """Its log has vanished: a last line that was not certain is better than none."""
        lines = Intake(instance, None, self._container, self._settings.log_line_limit).unconfirmed()
        self._host.run_log.add(list(lines))

    def settle(self) -> None:
        """All lines of the last slot were read: its record goes out."""
        self._quiet.settled()
        self._settle()

    def end(self) -> None:
        """There will be no further request."""
        self._quiet.end()

    async def _read(self, instance: Instance, intake: Intake, request: Request) -> bool:
        silence = self._settings.pod_log_silence
        if not request.follow:
            silence = min(silence, _READ_SILENCE if request.final else _TURN_SILENCE)
        self._host.asked(self._container)
        async with self._host.pods.log(
            self._host.ref.name,
            self._container,
            follow=request.follow,
            silence=silence,
            since=instance.cursor.since,
            previous=request.previous,
        ) as stream:
            self._opened = True
            self._host.opened(self._container)
            while chunk := await self._chunk(stream, hurried=request.follow and instance.ended):
                self._host.opened(self._container)
                for begin in range(0, len(chunk), _BYTES_AT_ONCE):
                    await self._add(instance, intake.lines(chunk[begin : begin + _BYTES_AT_ONCE]))
                    await asyncio.sleep(0)  # bytes that have arrived are handed over without waiting
                    if intake.trouble is not None or not await self._has_room(request, instance):
                        return False
            if chunk is None:
                return False
            await self._add(instance, intake.last_lines(request))
            return intake.trouble is None

    async def _chunk(self, stream: LogStream, *, hurried: bool) -> bytes | None:
        """:return: None if the container has ended, and the connection does not."""
        self._quiet.waiting()
        self._waiting_since = _now()
        try:
            # Nobody but the run's end cancels this task, so no message of a cancellation can be lost.
            async with asyncio.timeout(_AFTER_END if hurried else None) as self._limit:
                return await stream.chunk()
        except TimeoutError:
            return None
        finally:
            self._limit = self._waiting_since = None
            self._active_at = _now()
            self._quiet.not_waiting()

    async def _add(self, instance: Instance, lines: Iterator[LogLine]) -> None:
        for some in _batches(lines):
            self.at_ms = some[0].time_ms  # before waiting: whoever is furthest behind waits for nobody
            reach_ms = some[-1].time_ms - self.at_ms if len(some) == _LINES_AT_ONCE else _STEP_MS
            await self._host.in_step(self._container, self.at_ms - reach_ms)
            self._host.run_log.add(some)
            self._active_at = _now()
            self._quiet.lines_came()
            if instance.ended:
                self._host.progress()

    async def _has_room(self, request: Request, instance: Instance) -> bool:
        """Wait while Airflow takes lines too slowly: what is not read yet fills the cluster's memory, not ours."""
        while self._host.run_log.full:
            if not request.follow and not request.final:
                return False  # others have their turn meanwhile
            if instance.ended:  # one that goes on might write for ever
                self._host.progress()
            await asyncio.sleep(_FULL_WAIT)
            self._active_at = _now()
        return True

    def _caught_up(self) -> bool:
        return self._intake is None or self._intake.caught_up

    def _settle(self) -> None:
        self._host.run_log.settle(self._container)


def _batches(lines: Iterator[LogLine]) -> Iterator[list[LogLine]]:
    some: list[LogLine] = []
    for line in lines:
        if some and (len(some) == _LINES_AT_ONCE or line.time_ms - some[0].time_ms > _STEP_MS):
            yield some
            some = []
        some.append(line)
    if some:
        yield some


def _now() -> float:
    return asyncio.get_running_loop().time()
