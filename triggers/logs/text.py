"""
What a container wrote, made safe to show in Airflow's task log.

Airflow's UI (3.3.2, its bundled JavaScript) opens and closes a group wherever a rendered entry *contains*
``::group::`` or ``::endgroup::``, colours removed; nothing else, ``##[group]`` included, means anything to it.
"""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_MARKER = re.compile(r"::(?=(?:end)?group::)")
_ESCAPE = "\x1b"
# C0 without tab and newline, DEL, C1 (U+009B starts a terminal sequence). An escape character stays where it begins a
# colour.
_NO_COLOUR = re.compile(r"\x1b(?!\[[0-9;:]*m)")
_VISIBLE = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in ("\t", "\n", _ESCAPE)
}
_SURROGATES = re.compile("[\ud800-\udfff]")


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
    text = text.translate(_VISIBLE)
    if _ESCAPE in text:
        text = _NO_COLOUR.sub(r"\\x1b", text)
        if _MARKER.search(_COLOUR.sub("", text)):
            text = _COLOUR.sub("", text)  # a marker may be written around colours, which the UI removes first
    return _MARKER.sub(": :", _SURROGATES.sub("\ufffd", text))


def shown(text: str, limit: int) -> str:
    """
    A line as the task log shows it: clean, at most ``limit`` bytes of UTF-8, and how much was cut.

    Cut first: a line may be 1 MB, and cleaning that would hold up the event loop.
    """
    if len(text) <= limit and text.isascii() and text.isprintable() and "::" not in text:
        return text
    cleaned = clean(text[:limit])  # a character is a byte at least
    beyond = text[limit:]
    more = len(beyond) if beyond.isascii() else len(beyond.encode(errors="replace"))
    return cut(cleaned, limit, more)


def cut(text: str, limit: int, more: int = 0) -> str:
    """
    At most ``limit`` bytes of UTF-8 of a line, and how much was cut.

    It is cut at a blank where there is one not far before the limit: Airflow masks the secrets that it knows in what is
    written, and would not know a part of one.

    :param text: without surrogates.
    :param more: bytes that were cut already.
    """
    size = size_of(text)
    if size <= limit and not more:
        return text
    kept = text if size <= limit else text.encode()[:limit].decode(errors="ignore")
    if (blank := kept.rfind(" ", len(kept) * 3 // 4)) > 0:
        kept = kept[:blank]
    more += size - size_of(kept)
    return f"{kept} ... [{more:,} more bytes of this line cut: [asyncrun] log_line_limit = {limit}]"


def size_of(text: str) -> int:
    """Bytes of the text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())
