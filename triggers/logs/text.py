"""
What a container wrote, made safe to show in Airflow's task log.

Airflow's UI (3.3.2, its bundled JavaScript) opens and closes a group wherever a rendered entry *contains*
``::group::`` or ``::endgroup::``, colours removed; nothing else, ``##[group]`` included, means anything to it.
"""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_MARKER = re.compile(r"::(?=(?:end)?group::)")
# C0 without tab and newline, DEL, C1 (U+009B starts a terminal sequence), and halves of surrogate pairs.
# An escape character stays where it begins a colour.
_CONTROL = re.compile(r"(?!\x1b\[[0-9;:]*m)[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\ud800-\udfff]")


def clean(text: str) -> str:
    """
    One line of output, safe to show: nothing in it can start a group, and control characters are visible.

    A carriage return inside (progress bars) becomes a line break, so that nothing is hidden; one at the end belongs
    to the line's end. Colours stay. Surrogates, which UTF-8 cannot carry, become U+FFFD.
    """
    if text.isprintable() and "::" not in text:
        return text
    if "\r" in text:
        text = text.rstrip("\r").replace("\r", "\n")
    text = _CONTROL.sub(_visible, text)
    if "\x1b" in text and _MARKER.search(_COLOUR.sub("", text)):
        text = _COLOUR.sub("", text)  # a marker may be written around colours, which the UI removes first
    return _MARKER.sub(": :", text)


def _visible(match: re.Match[str]) -> str:
    code = ord(match.group())
    return "�" if code > 0xFF else f"\\x{code:02x}"


def cut(text: str, limit: int) -> str:
    """
    At most ``limit`` bytes of UTF-8 of a line, and how much was cut.

    :param text: without surrogates.
    """
    size = size_of(text)
    if size <= limit:
        return text
    kept = text.encode()[:limit].decode(errors="ignore")
    return f"{kept} ... [{size - size_of(kept):,} more bytes of this line cut: [asyncrun] log_line_limit = {limit}]"


def size_of(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
