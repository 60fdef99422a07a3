"""Which pods are to be asked for by a call, and when. No I/O, no clock."""

from __future__ import annotations

import heapq
import itertools

from asyncrun.triggers.watch.pods.row import PodRow


class Agenda:
    """Rows by the time when they are due. A row is in it while its ``due`` is set."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, PodRow]] = []  # entries whose time is not their row's are stale
        self._numbers = itertools.count()

    def at(self, row: PodRow, due: float) -> None:
        """Ask for it then, instead of when it was due before."""
        if row.due != due:
            row.due = due
            heapq.heappush(self._heap, (due, next(self._numbers), row))

    def drop(self, row: PodRow) -> None:
        """There is no need to ask for it."""
        row.due = None

    def next_due(self) -> float | None:
        """When the next one is due that is not being asked for at the moment."""
        while self._heap:
            due, _, row = self._heap[0]
            if row.due == due and not row.looking:
                return due
            heapq.heappop(self._heap)
        return None

    def take(self, now: float) -> PodRow | None:
        """The next row that is due; it counts as being asked for until ``done``."""
        due = self.next_due()
        if due is None or due > now:
            return None
        row = heapq.heappop(self._heap)[2]
        row.due, row.looking = None, True
        return row

    def done(self, row: PodRow) -> None:
        """The call for it is over."""
        row.looking = False
        if row.due is not None:
            heapq.heappush(self._heap, (row.due, next(self._numbers), row))
