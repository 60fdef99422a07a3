"""The beginning of a pod: what keeps it from starting is said as it becomes known, and has an end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asyncrun.model.pod import Pod, PodEvent
from asyncrun.model.pod_start import StartTrouble, has_started, is_scheduled, node_trouble, start_trouble
from asyncrun.model.pod_watch import PodWatch

_SLOW = 10.0  # s; most pods have started by then, so their events are never asked for
_BETWEEN_EVENTS = 15.0  # s between two readings of the events of a pod that has not started


class PodStart:
    """
    Watches one pod's start.

    :param say: writes a line of ours (level, message) into the task log.
    :param clock: seconds since the epoch.
    """

    __slots__ = (
        "_clock",
        "_events_at",
        "_is_hopeless",
        "_not_before",
        "_say",
        "_scheduled_at",
        "_watch",
        "started",
        "trouble",
    )

    def __init__(self, watch: PodWatch, say: Callable[[str, str], None], clock: Callable[[], float]) -> None:
        self._watch, self._say, self._clock = watch, say, clock
        self.started = False
        self.trouble: StartTrouble | None = None
        """What keeps it from starting, or from going on, as was said last."""
        self._is_hopeless = False  # by the state that was seen last
        self._scheduled_at: float | None = None
        self._not_before = 0.0
        self._events_at = watch.launched_at + _SLOW

    def look(self, pod: Pod, events: Sequence[PodEvent] | None) -> bool:
        """Take in a state of the pod, or news of its events. Returns whether it has started."""
        self.started = self.started or has_started(pod, self._watch.base)
        if not self.started and self._scheduled_at is None and is_scheduled(pod):
            self._scheduled_at = self._when_scheduled(pod)
        trouble = node_trouble(pod) or start_trouble(pod, events)
        if trouble is not None and trouble.is_news(self.trouble):
            self._say("warning" if trouble.is_problem else "info", f"Pod {self._watch.ref}: {trouble.sentence}")
            self.trouble = trouble
        # What is no news is what was said; what is over keeps nothing from starting.
        self._is_hopeless = trouble is not None and self.trouble is not None and self.trouble.permanent
        return self.started

    def _when_scheduled(self, pod: Pod) -> float:
        """By the cluster's clock, but never later than now: another triggerer may have watched the pod before us."""
        condition, now = pod.condition("PodScheduled"), self._clock()
        at = condition.last_transition_time if condition is not None else None
        return now if at is None else min(now, max(at.timestamp(), self._watch.launched_at))

    @property
    def _due(self) -> float:
        """When it is too late, seconds since the epoch."""
        if self._scheduled_at is None:
            return max(self._not_before, self._watch.launched_at + self._watch.schedule_timeout)
        return max(self._not_before, self._scheduled_at + self._watch.startup_timeout)

    def left(self) -> float | None:
        """Seconds until there is something to do here; None: never again."""
        due = self._not_before if self._is_hopeless else self._due
        return None if self.started else min(due, self._events_at) - self._clock()

    def postpone(self, seconds: float) -> None:
        """It is not too late yet, for that long."""
        self._not_before = self._clock() + seconds

    def wants_events(self) -> bool:
        """Whether the events of the pod are to be read now, because it is slow to start."""
        if self.started or self._clock() < self._events_at:
            return False
        self._events_at = self._clock() + _BETWEEN_EVENTS
        return True

    def failure(self) -> str:
        """Why it is given up, in words; empty while it is not."""
        if self.started:
            return ""
        if self._is_hopeless and self._clock() >= self._not_before:
            return "waiting will not help"
        if self._clock() < self._due:
            return ""
        if self._scheduled_at is None:
            return f"no node was found for it within schedule_timeout_seconds={self._watch.schedule_timeout:g}"
        return f"it did not start within startup_timeout_seconds={self._watch.startup_timeout:g}"
