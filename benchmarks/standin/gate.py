"""What stands between a call and its answer: quotas, faults, latency; and the book of all calls."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from benchmarks.standin.options import Options

READ, LAUNCH, FILTER, GET, REGISTER = "ecs-read", "ecs-launch", "logs-filter", "logs-get", "ecs-register"

# Burst and calls per second of one account and region, in the strict regions (facts/aws.md section 1).
_BUCKETS = {READ: (100, 20), LAUNCH: (100, 40), FILTER: (5, 5), GET: (10, 10), REGISTER: (20, 1)}
_GROUPS = {
    "DescribeTasks": READ,
    "ListTasks": READ,
    "DescribeTaskDefinition": READ,
    "DescribeClusters": READ,
    "RunTask": LAUNCH,
    "StopTask": LAUNCH,
    "FilterLogEvents": FILTER,
    "GetLogEvents": GET,
    "RegisterTaskDefinition": REGISTER,
}


class Refused(Exception):
    """
    A call is answered by an error.

    :param code: as botocore shows it.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class _Bucket:
    def __init__(self, burst: int, rate: float) -> None:
        self.burst, self.rate, self.tokens, self.at = burst, rate, float(burst), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Gate:
    """Lets calls through, or refuses them."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._buckets = {name: _Bucket(*figures) for name, figures in _BUCKETS.items()}
        self._random = random.Random(options.seed)

    async def enter(self, operation: str) -> None:
        """
        Pass after the latency.

        :raises Refused: throttled, or the server is "down".
        """
        options = self.options
        if options.latency:
            await asyncio.sleep(options.latency)
        if options.refuse_from <= time.time() < options.refuse_until:
            raise Refused("ServiceUnavailableException", "Service Unavailable", 503)
        eligible = not options.throttle_operations or operation in options.throttle_operations
        if options.throttle and eligible and self._random.random() < options.throttle:
            raise Refused("ThrottlingException", "Rate exceeded")
        group = _GROUPS.get(operation)
        if options.quotas and group and not self._buckets[group].take():
            raise Refused("ThrottlingException", "Rate exceeded")

    def chance(self, share: float) -> bool:
        """True in that share of all cases."""
        return bool(share) and self._random.random() < share


class Book:
    """Every call: when, what, how many objects asked for, bytes answered, error code, milliseconds of work."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, str, int, int, str, float]] = []
        self.rounds: list[dict[str, Any]] = []
        self._round: set[str] = set()

    def note(self, operation: str, asked: int, answered: int, error: str, began: float, work: float) -> None:
        """One call that has been answered."""
        self.calls.append((round(began, 4), operation, asked, answered, error, round(work * 1000, 2)))

    def describe(self, arns: list[str], now: float) -> None:
        """A DescribeTasks call that was let through: a new round begins where a task is asked for again."""
        if not self.rounds or not self._round.isdisjoint(arns):
            self._round = set()
            self.rounds.append({"at": now, "calls": 0, "tasks": 0})
        self._round.update(arns)
        self.rounds[-1]["calls"] += 1
        self.rounds[-1]["tasks"] = len(self._round)

    def counts(self) -> dict[str, dict[str, int]]:
        """Calls and errors per operation."""
        out: dict[str, dict[str, int]] = {}
        for _, operation, _, _, error, _ in self.calls:
            one = out.setdefault(operation, {"calls": 0, "errors": 0})
            one["calls"] += 1
            one["errors"] += bool(error)
        return out
