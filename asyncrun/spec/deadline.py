"""How long something may take, by the operators' arguments. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

# Beyond this, arguments mean "no limit" (people write sys.maxsize), and Airflow cannot store the date.
_LONGEST = 10 * 365 * 86400.0


class Limit(NamedTuple):
    """
    The longest time that something may take.

    :param seconds: None: no limit.
    :param reason: which argument says so, for a message.
    """

    seconds: float | None
    reason: str

    def after(self, started: float) -> float | None:
        """The moment at which the time is up."""
        return None if self.seconds is None else started + self.seconds


def limit_of(seconds: float, reason: str = "") -> Limit:
    """That limit, or none where it is meant to be none."""
    return Limit(None, "") if seconds > _LONGEST else Limit(seconds, reason)


def longest_wait(waiter_delay: float, waiter_max_attempts: int, execution_timeout: timedelta | None) -> Limit:
    """
    The shorter of upstream's two limits.

    :param waiter_delay: seconds between the polls that upstream makes.
    :param waiter_max_attempts: how many polls upstream makes; their product is its limit.
    """
    waiter = float(waiter_delay) * int(waiter_max_attempts)
    if execution_timeout is not None and execution_timeout.total_seconds() <= waiter:
        return limit_of(execution_timeout.total_seconds(), f"execution_timeout={execution_timeout}")
    return limit_of(waiter, f"waiter_delay={waiter_delay:g} s x waiter_max_attempts={waiter_max_attempts}")
