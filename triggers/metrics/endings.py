"""How runs ended, counted by the event loop that saw it."""

from __future__ import annotations

from collections import Counter, deque

from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.outcome import Verdict

_KEPT = 1000  # lags between two sendings; no triggerer sees more ends in that time


class Endings:
    """Verdicts, and how late they were known."""

    def __init__(self) -> None:
        self.verdicts: Counter[Verdict] = Counter()
        self._lags: deque[float] = deque(maxlen=_KEPT)

    def note(self, verdict: Verdict, lag: float | None) -> None:
        """
        A run ended.

        :param lag: seconds from its end to our knowing; None where it ended while nobody watched.
        """
        self.verdicts[verdict] += 1
        if lag is not None:
            self._lags.append(max(0.0, lag))

    def take_lags(self) -> list[float]:
        """The lags since the last call."""
        lags = list(self._lags)
        self._lags.clear()
        return lags


endings = PerLoop(Endings)
"""``endings()`` is those of ECS tasks in the running event loop."""
pod_endings = PerLoop(Endings)
"""The same of pods."""
