"""
Call budgets: how many calls of one API per second this process makes in one account and region, or of one cluster.

AWS limits calls per account and region, for everybody in the account together, and the SDK's own retries do not absorb
a stampede (measured: 264 of 400 simultaneous calls lost with ten attempts each). So every call takes a token first.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Hashable
from enum import StrEnum

import msgspec

from asyncrun.model.settings import Settings

CHANGE_RATE = 1.0
"""Calls/s that create, register or delete something: AWS allows one a second for most of them."""
BURST_SECONDS = 1.0
"""A bucket holds what flows in during that time: enough for a round, small against AWS's own bursts of 100 calls."""
SLOWDOWN = 0.5
"""A throttled answer leaves that share of the rate: other users of the account need the room."""
SLOWEST = 1 / 8
"""But never less than that share of the configured rate."""
SLOWDOWN_PAUSE = 1.0
"""Seconds in which further throttled answers count once: the calls of one burst are answered together."""
LONGEST_PAUSE = 30.0
"""Seconds: an answer that asks for a longer pause is believed to err, or not to mean kills."""
RECOVERY_SECONDS = 60.0
"""The rate grows evenly, from nothing to the configured rate in that time."""

_ALMOST_ONE = 1 - 1e-9  # sums of floats: 0.1 * 10 is below 1
_SHORTEST_SLEEP = 0.001  # a rounding error must not become a busy loop


class Group(StrEnum):
    """APIs that share one budget. AWS counts ECS reads together, and StopTask must wait for nothing else."""

    ECS_READS = "ecs-reads"
    RUN_TASK = "run-task"
    STOP_TASK = "stop-task"
    ECS_CHANGES = "ecs-changes"
    FILTER_LOG_EVENTS = "filter-log-events"
    GET_LOG_EVENTS = "get-log-events"
    KUBE = "kubernetes"
    """Questions to one API server: reading, listing and watching pods, reading events."""
    KUBE_CHANGES = "kubernetes-changes"
    """Creating, changing and deleting pods: launches and kills must not wait for questions, of which an API server that
    comes back is asked hundreds at once."""
    KUBE_LOGS = "kubernetes-logs"
    """Logs that are followed."""
    KUBE_LOG_READS = "kubernetes-log-reads"
    """Logs that are read at once, mostly at a container's end, which must not wait for logs that are followed again."""


def rate_of(group: Group, settings: Settings) -> float:
    """The configured calls/s of a group."""
    return {
        Group.ECS_READS: settings.describe_rate,
        Group.RUN_TASK: settings.launch_rate,
        Group.STOP_TASK: settings.stop_rate,
        Group.ECS_CHANGES: CHANGE_RATE,
        Group.FILTER_LOG_EVENTS: settings.filter_logs_rate,
        Group.GET_LOG_EVENTS: settings.get_logs_rate,
        Group.KUBE: settings.kube_rate,
        Group.KUBE_CHANGES: settings.kube_rate,
        Group.KUBE_LOGS: settings.kube_rate,
        Group.KUBE_LOG_READS: settings.kube_rate,
    }[group]


class BucketStatistics(msgspec.Struct, frozen=True):
    """
    What went through one bucket since the process started.

    :param calls: tokens taken, the SDK's own retries included.
    :param waited: seconds that callers waited for a token, in all.
    :param throttled: answers that said "too many calls".
    :param waiting: callers that wait now.
    :param rate: calls/s at the moment.
    """

    calls: int
    waited: float
    throttled: int
    waiting: int
    rate: float


_Queue = deque[asyncio.Future[None]]


class TokenBucket:
    """
    At most ``rate * t + burst`` calls in any ``t`` seconds; first come, first served within an event loop.

    Works across event loops and threads: the clock of every asyncio loop is the system's monotonic clock. Tokens are
    common, but each loop queues by itself: one that stands still (a worker's, while a signal handler waits for the
    thread in which it stops the task) or was closed holds up no other.

    Invariant: a loop has a queue exactly while somebody waits in it; only the head of a queue sleeps for a token, and
    whoever leaves the head, served or cancelled, wakes the next.

    :param rate: calls per second when nothing is throttled.
    :param burst: calls that may be made at once after a pause.
    """

    def __init__(self, rate: float, burst: float) -> None:
        # Reentrant: the garbage collector may close a waiter of a dead loop while this thread holds it.
        self._lock = threading.RLock()
        self._full_rate = self._rate = rate
        self._burst = self._tokens = max(1.0, burst)
        self._filled_at: float | None = None
        self._slowed_at: float | None = None
        self._resumes_at = 0.0
        self._queues: dict[asyncio.AbstractEventLoop, _Queue] = {}
        self._calls = self._throttled = 0
        self._waited = 0.0

    async def take(self) -> None:
        """Wait for a token and take it. A cancelled waiter takes none, and the next one moves up at once."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        turn = loop.create_future()
        with self._lock:
            if loop not in self._queues and self._take_now(started):
                return
            self._queue_up(loop, turn)
        try:
            await turn
            while True:
                pause = self._serve(loop.time())
                if not pause:
                    return
                await asyncio.sleep(pause)
        finally:
            self._leave(loop, turn, loop.time() - started)

    def charge(self, tokens: int) -> None:
        """Count calls that were made without asking, as the SDK's own retries are: the next callers wait for them."""
        if tokens > 0:
            with self._lock:
                self._calls += tokens
                self._tokens -= tokens

    def throttled(self, pause: float = 0.0) -> None:
        """
        The answer was "too many calls": slow down for a while (see the constants of this module).

        :param pause: seconds without any call, as the answer asks for; at most ``LONGEST_PAUSE``.
        """
        now = asyncio.get_running_loop().time()
        with self._lock:
            self._fill(now)
            self._resumes_at = max(self._resumes_at, now + min(pause, LONGEST_PAUSE))
            self._throttled += 1
            if self._slowed_at is None or now - self._slowed_at >= SLOWDOWN_PAUSE:
                self._slowed_at = now
                self._rate = max(self._rate * SLOWDOWN, self._full_rate * SLOWEST)
            self._tokens = min(self._tokens, 0.0)

    def statistics(self) -> BucketStatistics:
        """Counts since the process started."""
        with self._lock:
            waiting = sum(len(queue) for queue in self._queues.values())
            return BucketStatistics(self._calls, self._waited, self._throttled, waiting, self._rate)

    def _serve(self, now: float) -> float:
        """Take a token: 0, or the seconds until there may be one."""
        with self._lock:
            if self._take_now(now):
                return 0.0
            return max(_SHORTEST_SLEEP, (1 - self._tokens) / self._rate, self._resumes_at - now)

    def _take_now(self, now: float) -> bool:
        self._fill(now)
        if self._tokens < _ALMOST_ONE or now < self._resumes_at:
            return False
        self._tokens -= 1
        self._calls += 1
        return True

    def _fill(self, now: float) -> None:
        """Tokens for the time that passed, at a rate that meanwhile grew back towards the configured one."""
        passed = 0.0 if self._filled_at is None else max(0.0, now - self._filled_at)
        self._filled_at = now if self._filled_at is None else max(now, self._filled_at)
        slope = self._full_rate / RECOVERY_SECONDS
        growing = min(passed, (self._full_rate - self._rate) / slope)
        grown = self._rate + slope * growing
        gained = growing * (self._rate + grown) / 2 + (passed - growing) * self._full_rate
        self._rate = min(grown, self._full_rate)
        self._tokens = min(self._burst, self._tokens + gained)

    def _queue_up(self, loop: asyncio.AbstractEventLoop, turn: asyncio.Future[None]) -> None:
        for other in [one for one in self._queues if one.is_closed()]:  # with waiters that will never leave
            del self._queues[other]
        self._queues.setdefault(loop, deque()).append(turn)
        self._wake_head(loop)

    def _leave(self, loop: asyncio.AbstractEventLoop, turn: asyncio.Future[None], waited: float) -> None:
        with self._lock:
            self._waited += waited
            queue = self._queues.get(loop)
            if queue is None:  # the loop was closed with us in it
                return
            queue.remove(turn)
            if not queue:
                del self._queues[loop]
            elif not loop.is_closed():
                self._wake_head(loop)

    def _wake_head(self, loop: asyncio.AbstractEventLoop) -> None:
        head = self._queues[loop][0]
        if not head.done():
            head.set_result(None)


_buckets: dict[tuple[Hashable, str, Group], TokenBucket] = {}
_buckets_lock = threading.Lock()


def bucket_for(scope: Hashable, region: str, group: Group, settings: Settings) -> TokenBucket:
    """
    The process's one bucket for these calls.

    :param scope: the account number, or what stands for it where it is not known.
    :param settings: whoever is the first to ask decides the rate; a process has one configuration.
    """
    rate = rate_of(group, settings)
    with _buckets_lock:
        bucket = _buckets.get((scope, region, group))
        if bucket is None:
            bucket = _buckets[scope, region, group] = TokenBucket(rate, rate * BURST_SECONDS)
    return bucket


def forget(scope: Hashable) -> None:
    """What stood for an account stands for it no more: whoever waits in its buckets is still served by them."""
    with _buckets_lock:
        for key in [key for key in _buckets if key[0] == scope]:
            del _buckets[key]


def statistics() -> dict[tuple[Hashable, str, Group], BucketStatistics]:
    """Statistics of every bucket of the process, by (scope, region, group)."""
    with _buckets_lock:
        return {key: bucket.statistics() for key, bucket in _buckets.items()}
