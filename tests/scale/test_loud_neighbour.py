"""One container that writes as fast as it can, beside two hundred that write a line a second."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import datetime
from typing import Any

import pytest

from benchmarks.load import Load, Raw
from benchmarks.pods import Pods
from benchmarks.runner import measure
from benchmarks.standin import TaskSpec

pytestmark = [pytest.mark.scale, pytest.mark.timeout(400)]

_QUIET, _SECONDS = 200, 60
_LOUD_RATE = 50_000
_LOUD = f"r{_QUIET + 1:05d}"
_LINE = re.compile(r"^r\d+ (\d+)", re.MULTILINE)
_SKIPPED = re.compile(r"^([\d,]+) lines? skipped here: this run wrote more than \[asyncrun\] log_rate = 200 lines/s")


def _by_container(raw: Raw) -> dict[str, list[tuple[float, dict[str, Any]]]]:
    """Records of the measured runs, with the time when Airflow's supervisor had them, without asyncrun's own words."""
    out = defaultdict(list)
    for at, text in raw.records:
        record = json.loads(text)
        if record.get("trigger_id") in raw.added and record.get("logger", "").startswith("r"):
            out[record["logger"]].append((at, record))
    return out


def _numbers(records: list[tuple[float, dict[str, Any]]]) -> list[int]:
    return [int(number) for _, record in records for number in _LINE.findall(record["event"])]


def _lag(at: float, record: dict[str, Any]) -> float:
    return at - datetime.fromisoformat(record["timestamp"]).timestamp()


def test_a_container_that_writes_50_000_lines_a_second_hurts_nobody() -> None:
    quiet = TaskSpec(lifetime=_SECONDS, startup=1.0)
    loud = TaskSpec(lifetime=_SECONDS, startup=1.0, lines_per_second=_LOUD_RATE)
    load = Load(
        trigger="ours",
        platform="pods",
        groups=[(_QUIET, quiet), (1, loud)],
        stagger=5,
        warm=True,
        settle=8.0,
        limit=300,
    )
    with Pods() as pods:
        raw = measure(load, pods)
        assert pods.errors() == ""
    found = _by_container(raw)
    loud_records = found.pop(_LOUD)
    lags = sorted(_lag(at, record) for records in found.values() for at, record in records)
    idle = min(rss for at, _, rss in raw.samples if at <= raw.started)
    peak = max(rss for at, _, rss in raw.samples if at >= raw.started)
    (_, before, _), (_, after, _) = [
        min(raw.samples, key=lambda one: abs(one[0] - at)) for at in (raw.started, raw.ended)
    ]
    notices = [record["event"] for _, record in loud_records if _SKIPPED.match(record["event"])]
    skipped = sum(int(_SKIPPED.match(text)[1].replace(",", "")) for text in notices)  # type: ignore[index]
    shown = _numbers(loud_records)
    print(f"""
{_QUIET} quiet runs: line lag median {lags[len(lags) // 2]:.2f} s, 99 % {lags[len(lags) * 99 // 100]:.2f} s, longest {lags[-1]:.2f} s
triggerer: memory {idle >> 20} -> {peak >> 20} MiB, CPU {after - before:.1f} s in {raw.ended - raw.started:.0f} s, longest step {max(one["lag"] for one in raw.lags):.2f} s
the loud one: {len(shown):,} lines shown, {skipped:,} skipped in {len(notices)} places; load of the machine {raw.machine_load}
{notices[-1]}""")  # noqa: E501 - as it is printed
    assert raw.complete
    assert raw.broken == []
    assert len(found) == _QUIET
    for records in found.values():
        assert _numbers(records) == list(range(_SECONDS))
    assert len(shown) + skipped == _SECONDS * _LOUD_RATE
    assert shown == sorted(set(shown))
    assert shown[-200:] == list(range(_SECONDS * _LOUD_RATE - 200, _SECONDS * _LOUD_RATE))
    assert f"kubectl logs -n airflow bench-{_QUIET + 1} -c {_LOUD}" in notices[-1]
    assert peak - idle < 64 << 20
