"""Containers of a run in step, where a trigger that takes over reads again what they wrote before."""

from __future__ import annotations

from collections.abc import Iterable

from asyncrun.model.logs import LogLine
from asyncrun.triggers.logs.text import size_of

# Bytes of one container that wait for the others: beyond it no more is read.
_MOST_HELD = 1 << 18
_AT_ONCE = 1000  # lines; one step of the event loop, some ms
_PATIENCE = 20.0  # s in which the one that is behind does not get on, as where its log is refused
_EVER = float("inf")


class Merging:
    """
    Lines of several containers by time, up to the moment when this trigger began; later ones as they come.

    Airflow's reader drops equal entries of two triggerers' files only while the files are in step: within 2,500
    entries, shared among the files. The first trigger wrote the containers side by side, as they went on. CloudWatch's
    answers have thousands of lines of one and then of the other, so the next trigger holds a container's lines back
    until the others are read as far. That only delays.

    Invariant: what is held was written later than what some other container is read to, or is about to be shown.

    :param containers: those that are read.
    :param until_ms: when the trigger began, AWS's time.
    :param now: seconds of any clock that does not jump, as in all methods.
    """

    __slots__ = ("_ending", "_held", "_moved_at", "_read_to", "_sizes", "_until_ms", "over")

    def __init__(self, containers: Iterable[str], until_ms: int, now: float) -> None:
        self._read_to: dict[str, float] = dict.fromkeys(containers, -_EVER)
        self._held: dict[str, list[LogLine]] = {name: [] for name in self._read_to}
        self._sizes = dict.fromkeys(self._read_to, 0)
        self._until_ms, self._moved_at = until_ms, now
        self._ending = False
        self.over = len(self._read_to) < 2
        """Whether lines are shown as they come from now on."""

    def is_full(self, container: str, now: float) -> bool:
        """Whether no more of that container should be read for now."""
        self._be_patient(now)
        return not self.over and self._sizes[container] > _MOST_HELD

    def add(self, container: str, lines: list[LogLine], now: float) -> list[LogLine]:
        """
        Take lines of a container, in its order.

        :return: what is to be shown now; more may be ready, see ``ready``.
        """
        if self.over or not lines:
            return lines
        if not self._held[container] and lines[0].time_ms >= self._until_ms:
            return lines
        self._held[container] += lines
        self._sizes[container] += sum(size_of(line.text) + 1 for line in lines)
        self.read(container, lines[-1].time_ms, now)
        return self.ready()

    def read(self, container: str, to_ms: float, now: float) -> None:
        """All that the container wrote up to then was taken; infinity: nothing more of it is waited for."""
        behind = min(self._read_to.values())
        self._read_to[container] = max(self._read_to[container], to_ms)
        if min(self._read_to.values()) > behind:
            self._moved_at = now
        self._be_patient(now)

    def end(self) -> None:
        """Hold nothing any more: all is ready."""
        self._ending = True

    def ready(self) -> list[LogLine]:
        """Some of the lines that are to be shown now, by time; empty if there are none."""
        if self.over:
            return []
        limit = _EVER if self._ending else min(self._read_to.values())
        out: list[LogLine] = []
        taken = dict.fromkeys(self._held, 0)
        while len(out) < _AT_ONCE:
            heads = [(held[taken[name]], name) for name, held in self._held.items() if taken[name] < len(held)]
            line, name = min(heads, key=lambda head: head[0].time_ms, default=(None, ""))
            if line is None or line.time_ms > limit:
                break
            out.append(line)
            taken[name] += 1
            self._sizes[name] -= size_of(line.text) + 1
        for name, count in taken.items():
            del self._held[name][:count]
        self.over = self._ending and not any(self._held.values())
        return out

    def _be_patient(self, now: float) -> None:
        if min(self._read_to.values()) >= self._until_ms or now - self._moved_at > _PATIENCE:
            self._ending = True
            self.over = self.over or not any(self._held.values())
