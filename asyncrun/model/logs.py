"""A line that a container wrote."""

from __future__ import annotations

import re

import msgspec

LEVELS = ("critical", "error", "warning", "info", "debug")

# The level that a line states near its beginning, in the usual spellings: "ERROR:", "[warn]", "level=error",
# '"level":"info"', "2026-01-02 03:04:05,678 - name - WARNING - text".
_LEVEL = re.compile(
    r"""(?<![\w./-])(?:level["']?\s*[=:]\s*["']?)?"""
    r"""(CRITICAL|FATAL|ERROR|WARNING|WARN|INFO|DEBUG|TRACE|critical|fatal|error|warning|warn|info|debug|trace)"""
    r"""(?=["']?(?:\s*[\]:|,}>-]|\s*$|\s{2,})|\s)"""
)
_LOWER_NEEDS_MARK = re.compile(r"""(?:level["']?\s*[=:]\s*["']?|[\[<|])\s*$""")
_ALIASES = {"fatal": "critical", "warn": "warning", "trace": "debug"}
_SEARCHED = 120


def level_of(text: str) -> str:
    """
    The level that a line states, ``info`` where it states none.

    Only the beginning of a line is looked at, and a lower-case word counts only where it is marked as a level
    (``level=error``, ``[warn]``): "an error occurred" in prose is not a level.
    """
    head = text[:_SEARCHED]
    for match in _LEVEL.finditer(head):
        word = match.group(1)
        marked = match.group(0).startswith("level") or _LOWER_NEEDS_MARK.search(head[: match.start(1)])
        if word.islower() and not marked:
            continue
        return _ALIASES.get(word.lower(), word.lower())
    return "info"


class LogLine(msgspec.Struct, frozen=True, gc=False):
    """
    One line of a container's output.

    :param time_ms: when the container wrote it, milliseconds since the epoch, as the source says.
    :param container: its name, as in the task definition or pod spec.
    :param level: one of ``LEVELS``, as the line states it.
    :param text: without the line's end.
    :param batch: which lines the source took in together, if it says so (CloudWatch: the ingestion time). Lines of two
        batches never share a record, so that the last line of one need not wait for the next.
    """

    time_ms: int
    container: str
    level: str
    text: str
    batch: int = 0
