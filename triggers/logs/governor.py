"""How much of a container's output is shown: decided from content and source time alone, so that a replay agrees."""

from __future__ import annotations

import msgspec

from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.text import size_of

# A start-up banner or a traceback may come at once; a rate is meant over seconds.
BURST_SECONDS = 10
# Once lines are skipped, go on skipping until this share of the burst is free again: a notice per gap, not per line.
RESUME_SHARE = 0.5
# Bytes of last lines that are held back, unless that were very few: a thousand containers may write long ones at once.
HELD_BYTES, FEWEST_HELD = 1 << 17, 10


class Shown(msgspec.Struct, frozen=True, gc=False):
    """A line that is shown, or (``notice``) our own word about lines that are not."""

    time_ms: int
    level: str
    text: str
    batch: int = 0
    notice: bool = False


class Governor:
    """
    Rate and size limit of one container's output.

    Limits are per run, and its containers have an even share each: what one may show must not depend on when the lines
    of another arrive, or a replay would show other lines. While lines are skipped the last ``log_last_lines`` of them
    are held back, and shown when lines flow again or the log ends: the last lines of a log are always complete. They
    come on top of the size limit.

    :param containers: how many share the run's limits.
    :param where: where the full log can be read; may be empty.
    :param name: of the container.
    """

    __slots__ = (
        "_burst",
        "_containers",
        "_gap",
        "_held",
        "_held_bytes",
        "_limit",
        "_most_held",
        "_name",
        "_rate",
        "_rate_limit",
        "_room",
        "_time",
        "_tokens",
        "_where",
        "skipped",
    )

    def __init__(self, settings: Settings, containers: int = 1, where: str = "", name: str = "") -> None:
        self._containers, self._name = containers, name
        self._rate = settings.log_rate / containers / 1000  # lines per millisecond
        self._burst = max(1.0, BURST_SECONDS * settings.log_rate / containers)
        self._room = settings.log_size_limit // containers
        self._rate_limit, self._limit, self._where = settings.log_rate, settings.log_size_limit, where
        self._tokens = self._burst
        self._time: int | None = None
        self._held: list[Shown] = []  # mostly empty, where a deque has 0.7 KiB
        self._held_bytes, self._most_held = 0, settings.log_last_lines
        self._gap = 0  # lines of the present gap, held ones included
        self.skipped = 0

    def admit(self, time_ms: int, level: str, text: str, batch: int = 0) -> list[Shown]:
        """What is shown now that this line was read: usually the line itself."""
        self._refill(time_ms)
        line = Shown(time_ms, level, text, batch)
        if self._gap:
            self._hold(line)
            if self._room > 0 and self._tokens >= max(1.0, self._burst * RESUME_SHARE):
                return self._resume()
            return []
        if self._room <= 0 or self._tokens < 1:
            self._hold(line)
            return []
        self._spend(line)
        return [line]

    def finish(self) -> list[Shown]:
        """What is shown at the end of the log: the lines that were held back."""
        return self._resume() if self._gap else []

    def _refill(self, time_ms: int) -> None:
        if self._time is None or time_ms > self._time:
            passed = 0 if self._time is None else time_ms - self._time
            self._tokens = min(self._burst, self._tokens + passed * self._rate)
            self._time = time_ms

    def _spend(self, line: Shown) -> None:
        self._tokens -= 1
        self._room -= size_of(line.text) + 1

    def _hold(self, line: Shown) -> None:
        self._gap += 1
        self._held.append(line)
        self._held_bytes += size_of(line.text)
        while len(self._held) > self._most_held or (self._held_bytes > HELD_BYTES and len(self._held) > FEWEST_HELD):
            self._held_bytes -= size_of(self._held.pop(0).text)

    def _resume(self) -> list[Shown]:
        lines = list(self._held)
        lost = self._gap - len(lines)
        self._held.clear()
        self._held_bytes = self._gap = 0
        self.skipped += lost
        over = self._room <= 0
        for line in lines:
            self._spend(line)
        if not lost:
            return lines
        return [Shown(lines[0].time_ms, "warning", self._notice(lost, over), notice=True), *lines]

    def _notice(self, lost: int, over: bool) -> str:
        limit = f"log_size_limit = {self._limit:,} bytes" if over else f"log_rate = {self._rate_limit:,} lines/s"
        if self._containers == 1:
            why = f"this run wrote more than [asyncrun] {limit}"
        else:
            share = f"{self._limit // self._containers:,} bytes" if over else f"{self._rate * 1000:,.4g} lines/s"
            why = (
                f"container {self._name} wrote more than {share}, its share of [asyncrun] {limit} among the run's "
                f"{self._containers} containers"
            )
        full = f"; the full log: {self._where}" if self._where else ""
        return f"{lost:,} line{'s' if lost > 1 else ''} skipped here: {why}{full}"
