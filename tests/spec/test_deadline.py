"""The limits that the waiting arguments set."""

from __future__ import annotations

import sys
from datetime import timedelta

import pytest

from asyncrun.spec.deadline import longest_wait


@pytest.mark.parametrize(
    ("delay", "attempts", "timeout", "seconds", "reason"),
    [
        (6, 10, None, 60, "waiter_delay=6 s x waiter_max_attempts=10"),
        (0.5, 10, timedelta(minutes=1), 5, "waiter_delay=0.5 s x waiter_max_attempts=10"),
        (6, 10, timedelta(minutes=1), 60, "execution_timeout=0:01:00"),
        (6, sys.maxsize, timedelta(minutes=1), 60, "execution_timeout=0:01:00"),
        (6, sys.maxsize, None, None, ""),
        (6, sys.maxsize, timedelta(days=36500), None, ""),  # Airflow could not store the date of the backstop
    ],
)
def test_the_shorter_limit_counts(
    delay: float, attempts: int, timeout: timedelta | None, seconds: float | None, reason: str
) -> None:
    limit = longest_wait(delay, attempts, timeout)
    assert limit == (seconds, reason)
    assert limit.after(1000.0) == (None if seconds is None else 1000.0 + seconds)
