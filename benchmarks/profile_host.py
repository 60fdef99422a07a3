"""The supervisor's process of ``benchmarks.profile``: ``python -m benchmarks.profile_host ADDRESS FOLDER``."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from benchmarks import pods
from benchmarks.handover import our_task
from benchmarks.standin import Control, TaskSpec
from benchmarks.supervisor import BenchSupervisor

_PROBE = 1_000_000
_WARM, _KEEPER = 900_000, 900_001  # a run that ends, and one that keeps the shared parts
_WARM_LIMIT = 60.0  # s
_SETTLE = 5.0  # s
_SPARE = {
    "memory": 90.0,
    "garbage": 15.0,
    "cpu": 15.0,
    "steps": 15.0,
}  # s that the runs last longer: looking takes time
_GIVE_UP = 300.0  # s
_FIRST_WORDS = 5.0  # s after the last one has started
Made = tuple[str, dict[str, Any]]


class Sleep(BaseTrigger):
    """The floor: a trigger that does nothing."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> Made:
        """As every trigger."""
        return "benchmarks.profile_host.Sleep", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Sleep."""
        await asyncio.sleep(self.seconds)
        yield TriggerEvent({})


def main() -> None:
    """Start, idle, runs, ends; a report after each."""
    address, name = sys.argv[1:]
    folder = Path(name)
    plan = json.loads((folder / "plan.json").read_text())
    supervisor = BenchSupervisor.start(capacity=100_000, loop_cost=0.01)
    try:
        _play(_Play(supervisor, address, folder, plan))
    finally:
        supervisor.kill(escalation_delay=5, force=True)


class _Play:
    def __init__(self, supervisor: BenchSupervisor, address: str, folder: Path, plan: dict[str, Any]) -> None:
        self.supervisor, self.address, self.folder, self.plan = supervisor, address, folder, plan
        self._seen = self._started = 0

    def turn_for(self, seconds: float) -> None:
        self.turn_until(lambda: False, seconds)

    def turn_until(self, done: Callable[[], bool], seconds: float) -> None:
        until = time.time() + seconds
        while time.time() < until and not done() and self.supervisor.is_alive():
            self.supervisor.turn()

    def order(self, verb: str) -> None:
        path = self.folder / "now.order"
        (self.folder / "now.part").write_text(f"{verb} {self.plan['runs']}")
        (self.folder / "now.part").rename(path)
        self.turn_until(lambda: not path.exists(), _GIVE_UP)

    def started(self) -> int:
        """Runs whose triggers Airflow has started."""
        fresh = self.supervisor.records[self._seen :]
        self._seen += len(fresh)
        self._started += sum(b"starting" in line and b"bench/bench/run_" in line for _, line in fresh)
        return self._started - 3  # the probe, and those that went before

    def rss(self) -> float:
        return self.supervisor.samples[-1][2] / 1024

    def cpu(self) -> float:
        return self.supervisor.samples[-1][1]


def _play(play: _Play) -> None:
    plan, supervisor = play.plan, play.supervisor
    supervisor.add(_PROBE, "benchmarks.profile_probe.Probe", {"folder": str(play.folder), "what": plan["what"]})
    lifetime = plan["stagger"] + plan["steady"] + _SPARE[plan["what"]]
    for number, lasts in ((_WARM, 2.0), (_KEEPER, lifetime + _WARM_LIMIT)):
        supervisor.add(number, *next(_made(play, number, 1, lasts)))
    play.turn_until(lambda: _WARM in supervisor.finished, _WARM_LIMIT)
    play.turn_for(_SETTLE)
    idle, before = play.rss(), play.cpu()
    play.order("begin")
    began = time.time()
    for number, made in enumerate(_made(play, 1, plan["runs"], lifetime), 1):
        supervisor.add(number, *made)
    play.turn_until(lambda: play.started() >= plan["runs"], _GIVE_UP)  # a machine that is busy takes its time
    play.turn_for(max(_FIRST_WORDS, began + plan["stagger"] + 10.0 - time.time()))
    if plan["what"] != "memory":
        play.order("phase-1-started")
    started, at = play.cpu(), time.time()
    rss = play.rss()
    play.turn_for(plan["steady"])
    lasted, used = time.time() - at, play.cpu() - started
    play.order("phase-2-steady")
    print(f"outside: idle {idle / 1024:.1f} MiB; started: {(rss - idle) / plan['runs']:.1f} KiB of RSS and "
          f"{(started - before) * 1000 / plan['runs']:.1f} ms of CPU per run; then {used / lasted:.3f} cores and "
          f"{(play.rss() - idle) / plan['runs']:.1f} KiB per run", flush=True)  # fmt: skip
    if plan["no_end"]:
        return
    _end(play, idle)
    play.order("phase-3-ended")


def _end(play: _Play, idle: float) -> None:
    runs, used = play.plan["runs"], play.cpu()
    play.turn_until(lambda: sum(one < _WARM for one in play.supervisor.finished) >= runs, _GIVE_UP)
    count = sum(one < _WARM for one in play.supervisor.finished)
    peak = max(one[2] for one in play.supervisor.samples) / 1024 - idle
    print(f"outside: {count} ended, {len(play.supervisor.broken)} broken; {(play.cpu() - used) * 1000 / runs:.1f} ms "
          f"of CPU per run; peak {peak / runs:.1f} KiB per run", flush=True)  # fmt: skip


def _made(play: _Play, first: int, count: int, lifetime: float) -> Iterator[Made]:
    plan = play.plan
    lines = plan["lines"]
    spec = TaskSpec(lifetime=lifetime, lines_per_second=lines or 1e-9, startup=1.0)
    stagger = plan["stagger"] if count > 1 else 0.0
    if plan["backend"] == "pods":
        yield from _evenly(play, _pods(play, first, count, spec, stagger), count, stagger)
    elif plan["backend"] == "ecs":
        if not lines:
            _register_without_log(play.address)
        tasks = Control(play.address).create(count, spec)
        yield from _evenly(play, map(our_task, tasks), count, stagger)
    else:
        sleep = ("benchmarks.profile_host.Sleep", {"seconds": lifetime + stagger})
        yield from _evenly(play, itertools.repeat(sleep, count), count, stagger)


def _pods(play: _Play, first: int, count: int, spec: TaskSpec, stagger: float) -> Iterator[Made]:
    """They end together."""
    began = time.time()
    with pods.Hands(play.address) as hands:
        for number in range(first, first + count):
            longer = max(0.0, stagger - (time.time() - began))
            pod = hands.create(number, spec, spec.lifetime + longer)
            yield pods.ours(pod, {}, logs=bool(play.plan["lines"]))


def _evenly(play: _Play, made: Iterable[Made], count: int, seconds: float) -> Iterator[Made]:
    began = time.time()
    for number, one in enumerate(made):
        play.turn_for(max(0.0, began + seconds * number / count - time.time()))
        yield one


def _register_without_log(address: str) -> None:
    """The definition that the stand-in's tasks are of."""
    container = {"name": "main", "image": "busybox", "cpu": 0, "essential": True}
    body = {"family": "bench-main", "containerDefinitions": [container], "networkMode": "awsvpc"}
    target = "AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition"
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"}
    request = urllib.request.Request(address, data=json.dumps(body).encode(), headers=headers)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
        answer.read()


if __name__ == "__main__":
    main()
