"""Quantities as Kubernetes writes them: ``500m``, ``1.5``, ``256Mi``, ``1e3``."""

from __future__ import annotations

import re
from fractions import Fraction

_SUFFIXES = {
    "": Fraction(1),
    **{f"{letter}i": Fraction(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
    **{letter: Fraction(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    "m": Fraction(1, 1000),
    "u": Fraction(1, 10**6),
    "n": Fraction(1, 10**9),
}


_FORMAT = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,3})|([KMGTPE]i|[numkMGTPE]))?")
_WRONG = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse(text: str | float) -> Fraction:
    """
    The number.

    :raises ValueError: it is none; in the API server's words.
    """
    match = _FORMAT.fullmatch(str(text))
    if match is None:
        raise ValueError(_WRONG)
    number, exponent, suffix = match.groups()
    unit = Fraction(10) ** int(exponent) if exponent else _SUFFIXES[suffix or ""]
    return Fraction(number) * unit


def render(name: str, number: Fraction) -> str:
    """As Kubernetes writes a sum of that resource."""
    if name == "cpu":
        return str(number) if number.denominator == 1 else f"{-(-number * 1000 // 1)}m"
    for power, letter in reversed(list(enumerate("KMGTPE", 1))):
        unit = 1024**power
        if number and number.denominator == 1 and number % unit == 0:
            return f"{number // unit}{letter}i"
    return str(-(-number // 1))


def summed(parts: list[dict[str, str]]) -> dict[str, str]:
    """Sums by resource; what only one of them names stays as it was written."""
    found: dict[str, list[str]] = {}
    for part in parts:
        for name, text in part.items():
            found.setdefault(name, []).append(text)
    return {
        name: texts[0] if len(texts) == 1 else render(name, sum((parse(one) for one in texts), Fraction()))
        for name, texts in found.items()
    }
