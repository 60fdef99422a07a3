"""What a scripted pod does, its log, and the timers of all."""

from __future__ import annotations

import asyncio
import heapq
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_type_hints

import msgspec

from asyncrun.local.kube.changes import Json

ANNOTATION = "asyncrun.local/script"
_STAMP = 30


@dataclass(frozen=True, slots=True)
class Script:
    """
    What a pod does, from its annotation (JSON with these names).

    :param start: seconds from the pod's creation until its containers run.
    :param lines: how many each container writes.
    :param interval: seconds between two lines (bursts).
    :param size: bytes of a line's text.
    :param text: of every line; empty: the container's name and the line's number, filled up to ``size``.
    :param burst: lines written at once.
    :param exit_code: of every container.
    :param run: seconds the containers run; None: until the last line.
    :param status_delay: seconds from a container's end until the status says so (real: 0.2 to 2).
    :param final_delay: seconds from that until the phase is final (real: 1 to 2).
    :raises ValueError: that cannot be played: a value of another type, bursts of no line.
    """

    start: float = 0.1
    lines: int = 10
    interval: float = 1.0
    size: int = 60
    text: str = ""
    burst: int = 1
    exit_code: int = 0
    run: float | None = None
    status_delay: float = 0.2
    final_delay: float = 0.5

    def __post_init__(self) -> None:
        for name, kind in _types().items():
            try:
                msgspec.convert(getattr(self, name), kind)
            except msgspec.ValidationError as error:
                raise ValueError(f"{name} of a script: {error}") from error
        if self.burst < 1:
            raise ValueError(f"burst of a script: {self.burst} is less than 1")

    @classmethod
    def of(cls, pod: Json, usual: Script) -> Script:
        """A pod's; what the annotation leaves out is as usual, and so is everything if it cannot be read."""
        text = (pod["metadata"].get("annotations") or {}).get(ANNOTATION, "{}")
        try:
            return replace(usual, **json.loads(text))
        except (ValueError, TypeError):
            return usual

    @property
    def duration(self) -> float:
        """Seconds that a container runs."""
        if self.run is not None:
            return self.run
        return max(0, (self.lines - 1) // self.burst) * self.interval


@cache
def _types() -> dict[str, Any]:
    return get_type_hints(Script)


class ScriptedLog:
    """
    A log that is computed where it is read: all its lines have the same length.

    :param started: UNIX time of the container's start.
    """

    def __init__(self, wheel: Wheel, script: Script, name: str, started: float) -> None:
        self.container_id = f"containerd://{uuid.uuid4().hex}{uuid.uuid4().hex}"
        self._wheel, self._script, self._name, self._started = wheel, script, name, started
        self._text = script.text.encode()
        self._line = _STAMP + 1 + (len(self._text) or max(script.size, 12)) + 1
        self._ended: float | None = None

    def end(self, moment: float) -> None:
        """Nothing is written from then on (UNIX time). The first end counts."""
        if self._ended is None:
            self._ended = moment

    @property
    def ended(self) -> float | None:
        """When the container ended, UNIX time."""
        return self._ended

    def stamps(self) -> list[float]:
        """When each line so far was written, UNIX time."""
        return [self._written_at(at) / 1e9 for at in range(self._written())]

    def _written_at(self, at: int) -> int:
        """Nanoseconds since the epoch."""
        script = self._script
        return int((self._started + at // script.burst * script.interval) * 1e9) + at % script.burst

    def _written(self) -> int:
        script, moment = self._script, time.time()
        if self._ended is not None:
            moment = min(moment, self._ended)
        passed = moment - self._started
        if passed < 0 or not script.lines:
            return 0
        bursts = int(passed / script.interval) + 1 if script.interval > 0 else script.lines
        return min(script.lines, bursts * script.burst)

    def size(self) -> int:
        """Bytes so far."""
        return self._written() * self._line

    def read(self, offset: int, size: int) -> bytes:
        """Some of them; empty at the end."""
        end = min(offset + size, self.size())
        if end <= offset:
            return b""
        first, last = offset // self._line, (end - 1) // self._line
        text = b"".join(self._line_at(at) for at in range(first, last + 1))
        begin = first * self._line
        return text[offset - begin : end - begin]

    def _line_at(self, at: int) -> bytes:
        script = self._script
        seconds, fraction = divmod(self._written_at(at), 1_000_000_000)
        moment = datetime.fromtimestamp(seconds, UTC)
        size = max(script.size, 12)
        text = self._text or f"{self._name} {at}".ljust(size, ".")[:size].encode()
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z ".encode() + text + b"\n"

    async def grown(self, offset: int) -> bool:
        """True: there is more; False: never again."""
        while self.size() <= offset:
            if self._ended is not None and time.time() >= self._ended:
                return False
            await self._wheel.pause(self._next(offset))
        return True

    def _next(self, offset: int) -> float:
        """Seconds until the next line, or until somebody should look again whether the container has ended."""
        script, at = self._script, offset // self._line
        if at >= script.lines:
            return 0.2
        due = self._started + at // script.burst * script.interval - time.time()
        return min(max(due, 0.001), 1.0)


class Wheel:
    """One task for all timers."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._changed = asyncio.Event()

    def at(self, seconds: float, called: Callable[[], None]) -> None:
        """Call something after that many seconds."""
        self._count += 1
        entry = (asyncio.get_running_loop().time() + seconds, self._count, called)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._changed.set()

    async def pause(self, seconds: float) -> None:
        """Sleep without a timer of one's own."""
        waiter = asyncio.get_running_loop().create_future()
        self.at(seconds, lambda: None if waiter.done() else waiter.set_result(None))
        await waiter

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            while self._heap and self._heap[0][0] <= loop.time():
                heapq.heappop(self._heap)[2]()
            self._changed.clear()
            due = self._heap[0][0] if self._heap else None
            try:
                async with asyncio.timeout_at(due):
                    await self._changed.wait()
            except TimeoutError:
                continue
