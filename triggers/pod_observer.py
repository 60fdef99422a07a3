"""User code that is told how a pod goes on: only in a worker, where the DAG file is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, cast

from asyncrun.model.logs import LogLine
from asyncrun.model.pod import Pod
from asyncrun.triggers.logs.run_log import RunLog


class PodObserver(Protocol):
    """Its methods may block: they are called in a worker's event loop, which nobody shares."""

    def started(self, pod: Pod) -> None:
        """The pod has started."""

    def lines(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """These lines were read; what is returned is shown in their place."""


def observed(run_log: RunLog, observer: PodObserver) -> RunLog:
    """That log for a source that writes into it: each line goes through the user's code first."""
    return cast("RunLog", _Observed(run_log, observer))


class _Observed:
    """The part of a ``RunLog`` that sources use."""

    def __init__(self, run_log: RunLog, observer: PodObserver) -> None:
        self._run_log, self._observer = run_log, observer
        self.settle = run_log.settle

    def add(self, lines: Iterable[LogLine]) -> None:
        self._run_log.add(self._observer.lines(list(lines)))

    @property
    def full(self) -> bool:
        return self._run_log.full
