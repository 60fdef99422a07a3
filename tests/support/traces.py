"""The recorded exchanges with a real Kubernetes: tests/kubernetes/traces, as they were recorded."""

from __future__ import annotations

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "kubernetes" / "traces"


def names() -> list[str]:
    """Of all traces."""
    return sorted(path.name.removesuffix(".jsonl.xz") for path in FOLDER.glob("*.jsonl.xz"))


@cache
def trace(name: str) -> list[dict[str, Any]]:
    """
    Every recorded exchange, in order: ``kind`` request, watch-open, watch, watch-end, log-open, log-chunk, log-end,
    note.

    :param name: of the trace, ``a_success``.
    """
    with lzma.open(FOLDER / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def watched(name: str) -> list[str]:
    """The raw lines of the trace's watches."""
    return [one["line"] for one in trace(name) if one["kind"] == "watch"]
