"""Lines of containers' instances in memory, and their times."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime

START = 1_790_000_000
SECOND = 10**9


def stamp_at(seconds: float) -> int:
    """Nanoseconds since the epoch, of that moment of the loop's time."""
    return START * SECOND + round(seconds * 1e9)


def spelled(stamp: int) -> bytes:
    """A stamp as the kubelet writes it."""
    return f"{datetime.fromtimestamp(stamp // SECOND, UTC):%Y-%m-%dT%H:%M:%S}.{stamp % SECOND:09d}Z".encode()


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Line:
    at: float
    stamp: int
    text: bytes
    feed: bytes = b"\n"


@dataclass(eq=False)
class Instance:
    """One instance of a container: its lines become readable at their times, in order; ``rotated`` of them no more."""

    ident: str
    rotated: int = 0
    lines: list[Line] = field(default_factory=list)
    ended_at: float | None = None
    exit_code: int = 0
    gone: bool = False
    in_place: bytes = b""


@dataclass
class Cut:
    """How one connection ends early: after so many bytes or seconds, whichever is first; cleanly or not."""

    after_bytes: float = float("inf")
    after: float = float("inf")
    clean: bool = False
