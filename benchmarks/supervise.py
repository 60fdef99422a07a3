"""
The supervisor's process: ``python -m benchmarks.supervise ADDRESS DIRECTORY``. ``runner.measure`` starts it.

Nothing here, and nothing it imports for upstream's triggers, may import asyncrun.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.handover import handed_over, warming
from benchmarks.load import Load, Raw

_LAG_TRIGGER, _WARMING_TRIGGER = 1_000_000, 999_999
_WARMING_LIMIT = 60.0  # s
_QUIET = 2.0  # s without a record after the last event: the log channel is empty then


def main() -> None:
    """Read what to do, do it, write down what was noted."""
    address, name = sys.argv[1:]
    home = Path(name)
    load = msgspec.json.decode((home / "load.json").read_bytes(), type=Load)
    raw = _supervise(load, address, home)
    (home / "raw.json").write_bytes(msgspec.json.encode(raw))


def _supervise(load: Load, address: str, home: Path) -> Raw:
    from benchmarks.supervisor import BenchSupervisor

    supervisor = BenchSupervisor.start(capacity=100_000, loop_cost=load.loop_cost)
    raw = Raw()
    try:
        lag = {"path": str(home / "lag.json"), "blocked_after": load.blocked_after}
        supervisor.add(_LAG_TRIGGER, "benchmarks.loop_lag.LoopLag", lag)
        if load.warm:
            _warm_up(load, address, supervisor)
        until = time.time() + load.settle
        while time.time() < until and supervisor.is_alive():
            supervisor.turn()
        used = time.process_time()
        for number, run in enumerate(handed_over(load, address, supervisor.turn), start=1):
            raw.started = raw.started or time.time()
            raw.arns[number], raw.names[number], raw.added[number] = run.arn, run.name, time.time()
            supervisor.add(number, run.classpath, run.kwargs)
        _watch(load, supervisor, raw)
        raw.supervisor_cpu = round(time.process_time() - used, 2)
    finally:
        supervisor.kill(escalation_delay=5, force=True)
    raw.records = [(at, line.decode(errors="replace")) for at, line in supervisor.records]
    raw.fired, raw.broken, raw.finished = supervisor.fired, supervisor.broken, supervisor.finished
    raw.samples, raw.questions = supervisor.samples, supervisor.questions
    if (home / "lag.json").exists():
        raw.lags = [msgspec.json.decode(line) for line in (home / "lag.json").read_bytes().splitlines()]
    if (home / "lag.json.stacks").exists():
        raw.stacks = (home / "lag.json.stacks").read_text()
    return raw


def _warm_up(load: Load, address: str, supervisor: Any) -> None:
    give_up_at = time.time() + _WARMING_LIMIT
    run = warming(load, address, _WARMING_TRIGGER)
    supervisor.add(_WARMING_TRIGGER, run.classpath, run.kwargs)
    while _WARMING_TRIGGER not in supervisor.finished and time.time() < give_up_at:
        supervisor.turn()


def _watch(load: Load, supervisor: Any, raw: Raw) -> None:
    """Until every run has ended and the log channel is silent."""
    give_up, quiet_since, seen = time.time() + load.limit, time.time(), 0
    while time.time() < give_up and supervisor.is_alive():
        supervisor.turn()
        ended = {one for _, one, _ in supervisor.fired} | {one for _, one, _ in supervisor.broken}
        over = raw.arns.keys() <= ended & supervisor.finished.keys()
        if len(supervisor.records) != seen or not over:
            quiet_since, seen = time.time(), len(supervisor.records)
        elif time.time() - quiet_since > _QUIET:
            raw.complete = True
            break
    raw.ended, raw.machine_load = time.time(), round(os.getloadavg()[0], 1)


if __name__ == "__main__":
    main()
