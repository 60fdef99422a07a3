"""Containers of a run in step, where a trigger that takes over reads again what they wrote before."""

from __future__ import annotations

from collections.abc import Iterable

from asyncrun.model.logs import LogLine
from asyncrun.triggers.logs.text import size_of

# Bytes of one container that wait for the others: beyond it no more is read.
_MOST_HELD = 1 << 18
_AT_ONCE = 1000  # lines; one step of the event loop, some ms
_PATIENCE = 20.0  # s in which the one that is behind does not get on, as where its log is refused
# Of a longer time without any reading only that much counts, s: it is Airflow's log channel that is slow, and not the
# one that is behind.
_LONGEST_PAUSE = 5.0
_EVER = float("inf")


class Merging:
    """
    Lines of several containers by time, up to the moment when this trigger began; later ones as they come.

    Airflow's reader drops equal entries of two triggerers' files only while the files are in step: within 2,500
    entries, shared among the files. The first trigger wrote the containers side by side, as they went on. CloudWatch's
    answers have thousands of lines of one and then of the other, so the next trigger holds a container's lines back
    until the others are read as far. That only delays, as long as the one that is behind gets on.

    Invariant: what is held was written later than what some other container is read to, or ``ready`` gives it.

    :param containers: those that are read.
    :param until_ms: when the trigger began, AWS's time.
    :param now: seconds of any clock that does not jump, as in all methods.
    """

    __slots__ = ("_ending", "_held", "_read_at", "_read_to", "_sizes", "_until_ms", "_waited")

    def __init__(self, containers: Iterable[str], until_ms: int, now: float) -> None:
        self._read_to: dict[str, float] = dict.fromkeys(containers, -_EVER)
        self._held: dict[str, list[LogLine]] = {name: [] for name in self._read_to}
        self._sizes = dict.fromkeys(self._read_to, 0)
        self._until_ms, self._read_at, self._waited = until_ms, now, 0.0
        self._ending = len(self._read_to) < 2

    @property
    def over(self) -> bool:
        """Whether nothing is held, now and from now on."""
        return self._ending and not any(self._held.values())

    def is_full(self, container: str) -> bool:
        """Whether no more of that container should be read before others are: never of the one that is behind."""
        if self._ending or self._sizes[container] <= _MOST_HELD:
            return False
        return self._read_to[container] > min(self._read_to.values())

    def add(self, container: str, lines: list[LogLine], now: float) -> list[LogLine]:
        """
        Take lines of a container, in its order.

        :return: those that wait for nobody; the others are given by ``ready``, now or later.
        """
        held = self._held[container]
        if not lines or (not held and (self._ending or lines[0].time_ms >= self._until_ms)):
            return lines
        held += lines
        self._sizes[container] += sum(size_of(line.text) + 1 for line in lines)
        self.read(container, lines[-1].time_ms, now)
        return []

    def read(self, container: str, to_ms: float, now: float) -> None:
        """All that the container wrote up to then was taken; infinity: nothing more of it is waited for."""
        behind = min(self._read_to.values())
        self._read_to[container] = max(self._read_to[container], to_ms)
        now_behind = min(self._read_to.values())
        self._waited = 0.0 if now_behind > behind else self._waited + min(_LONGEST_PAUSE, now - self._read_at)
        self._read_at = now
        self._ending = self._ending or now_behind >= self._until_ms or self._waited > _PATIENCE

    def end(self) -> None:
        """Hold nothing any more: all is ready."""
        self._ending = True

    def ready(self) -> list[LogLine]:
        """Some of the lines that are to be shown now, by time; empty if there are none: call it until then."""
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
        return out
