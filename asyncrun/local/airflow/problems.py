"""Trouble in the components' own output: what a healthy Airflow does not write."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

LOCKED = "database is locked"

_TROUBLE = re.compile(
    rf"{LOCKED}|^\s*Traceback \(most recent call last\)|\[(?:error|critical)\s*\]"
    r"|Task (?:exception was never retrieved|was destroyed but it is pending)|was never awaited",
    re.MULTILINE,
)

_AIRFLOWS_OWN = (
    # A log server sends a file of the size that it had when the request came; a line written meanwhile breaks the
    # answer.
    # The reader says so, and the next read is whole.
    r"Error reading log stream: .*IncompleteRead",
    r"Exception in ASGI application(?s:.*)Response content (?:longer|shorter) than Content-Length",
)
"""Records of Airflow 3.3.2 that look like trouble and are none."""

_OWN_RECORD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
"""Beginning of a component's record: a T between date and time."""

_TASK_RECORD = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+\+00:00 ")
"""Beginning of a task's record, which the LocalExecutor repeats in the scheduler's output: a failing task is no
trouble."""

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_BLOCKED = re.compile(r"async thread was blocked for ([\d.]+) seconds")


@dataclass(frozen=True)
class Problem:
    """A record of a component, with the lines that belong to it.

    :ivar line: number of its first line in the component's output
    """

    component: str
    line: int
    text: str

    def __str__(self) -> str:
        """One line: where, the first line and, of a traceback, the last."""
        first, *rest = [line for line in self.text.splitlines() if line.strip()]
        return f"{self.component}:{self.line}: {first[:300]}" + (f" ... {rest[-1].strip()[:200]}" if rest else "")


def scan(logs: Mapping[str, Path], ignore: Iterable[str] = ()) -> list[Problem]:
    """Suspicious records in the components' output files.

    :param ignore: regular expressions; a record (all its lines) in which one is found is expected, such as the errors
        after a component was killed
    """
    expected = [re.compile(pattern) for pattern in (*_AIRFLOWS_OWN, *ignore)]
    return [
        Problem(component, number, text)
        for component, path in logs.items()
        for number, text in records(path.read_text(errors="replace"))
        if _TROUBLE.search(text) and not any(pattern.search(text) for pattern in expected)
    ]


def loop_blocks(output: str) -> list[float]:
    """Seconds for which a trigger blocked the triggerer's event loop, each time that the triggerer complained of it."""
    return [float(seconds) for seconds in _BLOCKED.findall(output)]


def records(output: str) -> Iterator[tuple[int, str]]:
    """The component's own records, each with the number of its first line and all lines up to the next record.

    Of records that tasks wrote, only those about a locked database are told.
    """
    number, lines, of_task = 1, list[str](), False

    def ended() -> Iterator[tuple[int, str]]:
        text = "\n".join(lines)
        if lines and (not of_task or LOCKED in text):
            yield number, text

    for position, raw in enumerate(output.splitlines(), start=1):
        line = _ANSI.sub("", raw)
        starts_task = bool(_TASK_RECORD.match(line))
        if starts_task or _OWN_RECORD.match(line):
            yield from ended()
            number, lines, of_task = position, [line], starts_task
        else:
            lines.append(line)
    yield from ended()
