"""What time it is at a service: our own clock may be minutes off, and what the service tells is in its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any

_SECOND = 1.0  # HTTP's Date is cut to whole seconds (RFC 9110, 5.6.7)


class RemoteClock:
    """
    How far a service's clock is ahead of ours, learned from the ``Date`` of its answers.

    Never more than it really is, as far as the answers tell: who waits by it waits a second or so too long, rather
    than too short.

    :param clock: ours, seconds since the epoch.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._ahead: float | None = None

    @property
    def ahead(self) -> float:
        """Seconds, negative if it is behind; 0 while nothing is known."""
        return self._ahead or 0.0

    def now(self) -> float:
        """Our own clock's time, for ``heard``."""
        return self._clock()

    def heard(self, answer: Any, asked_at: float) -> None:
        """
        An answer came just now.

        :param answer: as the SDK gives it, be it an error's; without a date in it nothing is learned.
        :param asked_at: our own clock's time when the call was made.
        """
        dated = _date_of(answer)
        if dated is None:
            return
        least, most = dated - self._clock(), dated + _SECOND - asked_at
        # Where it exceeds the most that is possible one of the clocks was set meanwhile.
        self._ahead = least if self._ahead is None or self._ahead > most else max(self._ahead, least)


def _date_of(answer: Any) -> float | None:
    meta = answer.get("ResponseMetadata") if isinstance(answer, dict) else None
    headers = meta.get("HTTPHeaders") if isinstance(meta, dict) else None
    date = headers.get("date") if isinstance(headers, dict) else None
    if not isinstance(date, str):
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
