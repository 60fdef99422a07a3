"""Whether a pod carries the labels that a selector asks for."""

from __future__ import annotations

from collections.abc import Mapping


def matches(selector: str, labels: Mapping[str, str] | None) -> bool:
    """
    False also where the selector has another form than ours, ``name=value,name=value``: then the pod is polled, which
    is slower and never wrong.
    """
    carried = labels or {}
    for term in selector.split(","):
        name, equals, value = term.partition("=")
        if not equals or carried.get(name.strip()) != value.strip().removeprefix("=").strip():
            return False
    return True
