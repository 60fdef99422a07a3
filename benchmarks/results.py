"""Measurements that were made, on disk: one JSON file for each series."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.figures import Figures
from benchmarks.measurement import Measurement

_ROOT = Path(__file__).resolve().parents[1]
FOLDER = Path(__file__).with_name("results")

# What a figure depends on: the harness with its servers, what it measures, and the releases that it runs on.
_HARNESS = ("analysis", "endings", "figures", "handover", "lines", "load", "loop_lag", "measurement", "pods", "runner",
            "steps", "supervise", "supervisor")  # fmt: skip
_BOTH = [*(f"benchmarks/{name}.py" for name in _HARNESS), "benchmarks/standin", "asyncrun/local/kube"]
_PARTS = {
    "ours": [*_BOTH, "asyncrun/model", "asyncrun/spec", "asyncrun/clients", "asyncrun/launch", "triggers",
             "constraints.txt"],
    "upstream": [*_BOTH, "benchmarks/upstream.txt"],
}  # fmt: skip


class Result(msgspec.Struct, kw_only=True):
    """
    One measurement that was made.

    :param code: fingerprint of what it depends on; with another one it is made again.
    :param commit: of the repository then, for people.
    :param at: UTC.
    :param machine: cores, kind, Python.
    :param took: seconds, in all.
    """

    what: Measurement
    code: str
    commit: str
    at: str
    machine: str
    took: float
    figures: Figures


def fingerprint(trigger: str) -> str:
    """Of the code that a measurement of that trigger depends on."""
    digest = hashlib.sha256()
    for part in _PARTS[trigger]:
        path = _ROOT / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(file.relative_to(_ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def result(what: Measurement, found: Figures, took: float) -> Result:
    """A measurement just made, of the code as it is now."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return Result(
        what=what,
        code=fingerprint(what.trigger),
        commit=_commit(),
        at=at,
        machine=machine,
        took=round(took),
        figures=found,
    )


def load(series: str, folder: Path = FOLDER) -> list[Result]:
    """
    Those of a series, in the order of their size; ours before upstream's.

    :raises msgspec.ValidationError: the file is of another release of the harness.
    """
    path = folder / f"{series}.json"
    if not path.exists():
        return []
    plain = json.loads(path.read_text())
    for one in plain:
        one["figures"] = _filled(one["figures"])
    found = msgspec.convert(plain, list[Result])
    return sorted(found, key=lambda one: (one.what.runs, one.what.lines, one.what.trigger))


def save(one: Result, folder: Path = FOLDER) -> None:
    """In the file of its series, in place of an older one of the same."""
    kept = [other for other in load(one.what.series, folder) if other.what != one.what]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{one.what.series}.json"
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode([*kept, one]), indent=1) + b"\n")
    fresh.replace(path)


def missing(wanted: Iterable[Measurement], folder: Path = FOLDER) -> list[Measurement]:
    """What has not been made of the code as it is now."""
    codes = {trigger: fingerprint(trigger) for trigger in _PARTS}
    found: dict[str, list[Result]] = {}
    out = []
    for what in wanted:
        series = found.setdefault(what.series, load(what.series, folder))
        if not any(one.what == what and one.code == codes[what.trigger] for one in series):
            out.append(what)
    return out


def outdated(found: Iterable[Result]) -> frozenset[Measurement]:
    """Those that are of other code than what is here now."""
    codes = {trigger: fingerprint(trigger) for trigger in _PARTS}
    return frozenset(one.what for one in found if one.code != codes[one.what.trigger])


def _filled(value: Any) -> Any:
    """JSON has no not-a-number, so it is null there; nothing else is."""
    if value is None:
        return math.nan
    if isinstance(value, dict):
        return {key: _filled(one) for key, one in value.items()}
    return [_filled(one) for one in value] if isinstance(value, list) else value


def _commit() -> str:
    """Of the repository; what is not committed is said, the results themselves apart."""
    code = ["--", "asyncrun", "triggers", "benchmarks", ":(exclude)benchmarks/results"]
    head = _git("rev-parse", "--short", "HEAD").stdout.strip()
    changed = _git("status", "--porcelain", *code).stdout.strip()
    return f"{head or '?'}{' and changes' if changed else ''}"


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)
