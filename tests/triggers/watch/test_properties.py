"""Whatever happens in whatever order: the registry's invariant holds, and nobody misses the end."""

from __future__ import annotations

import asyncio
import math
import random
from typing import Any

import looptime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncrun.model.errors import AccessDenied, CredentialsExpired, MalformedAnswer, Throttled, Unavailable
from asyncrun.triggers.registry import Subscription
from asyncrun.triggers.watch.news import Broken, Gone, Seen
from tests.triggers.watch.conftest import Watch
from tests.triggers.watch.scripted_ecs import arn

KEY = ("ecs", "jobs")
NUMBERS = st.integers(0, 5)
FAULTS = [None, Throttled("t"), Unavailable("u"), AccessDenied("a"), CredentialsExpired("c"), MalformedAnswer("m")]
FAULTS += [ZeroDivisionError("a defect")]  # type: ignore[list-item]
STEPS = st.one_of(
    st.tuples(st.just("subscribe"), NUMBERS),
    st.tuples(st.just("close"), NUMBERS),
    st.tuples(st.just("change"), NUMBERS),
    st.tuples(st.just("stop"), NUMBERS),
    st.tuples(st.just("push"), NUMBERS),
    st.tuples(st.just("forget"), NUMBERS),
    st.tuples(st.just("refuse"), NUMBERS),
    st.tuples(st.just("fault"), st.sampled_from(FAULTS)),
    st.tuples(st.just("wait"), st.sampled_from([0.0, 0.05, 0.3, 1.0, 7.0, 90.0])),
)


class Play:
    def __init__(self) -> None:
        self.watch = Watch()
        self.open: list[Subscription[Any]] = []
        self.versions = 1
        for number in range(4):  # 4 and 5 do not exist
            self.watch.api.put(number)

    def check(self) -> None:
        alive = [task for task in asyncio.all_tasks() if task.get_name().startswith("asyncrun watcher")]
        assert len(alive) == (KEY in self.watch.registry)
        if self.open:
            assert alive

    def step(self, what: str, value: Any) -> None:
        api = self.watch.api
        match what:
            case "subscribe":
                self.open.append(self.watch.subscribe(arn(value)))
            case "close" if self.open:
                self.open.pop(value % len(self.open)).close()
            case "fault":
                api.fault = lambda arns: value
            case "forget":
                api.tasks.pop(arn(value), None)
            case "refuse":
                api.refused ^= {arn(value)}
            case "change" | "stop" | "push" if arn(value) in api.tasks:
                if api.tasks[arn(value)]["lastStatus"] != "STOPPED":
                    self.versions += 1
                    api.put(value, "RUNNING" if what == "change" else "STOPPED", self.versions)
                if what == "push" and self.watch.poller is not None:
                    self.watch.poller.offer(api.tasks[arn(value)])

    async def run(self, steps: list[tuple[str, Any]]) -> None:
        for what, value in steps:
            if what == "wait":
                await asyncio.sleep(value)
            else:
                self.step(what, value)
            self.check()
        self.watch.api.fault = lambda arns: None
        self.watch.api.refused.clear()
        for number in range(6):
            if arn(number) in self.watch.api.tasks:
                self.versions += 1
                self.watch.api.put(number, "STOPPED", self.versions)
        await asyncio.sleep(200)
        for subscription in self.open:
            await self.ends(subscription)
        self.check()
        await self.winds_up()

    async def ends(self, subscription: Subscription[Any]) -> None:
        async with asyncio.timeout(1):
            while not isinstance(news := await subscription.news(), Gone | Broken):
                if isinstance(news, Seen) and news.state.stopped:
                    break

    async def winds_up(self) -> None:
        calls = len(self.watch.api.calls)
        await asyncio.sleep(30)
        assert len(self.watch.api.calls) == calls  # everything is final
        for subscription in self.open:
            subscription.close()
        await asyncio.sleep(6)
        assert KEY not in self.watch.registry
        assert asyncio.all_tasks() == {asyncio.current_task()}


CRASH = [("subscribe", 1), ("wait", 1.0), ("fault", ZeroDivisionError("a defect")), ("wait", 7.0)]


@pytest.mark.expects_defect
@settings(max_examples=60, deadline=None)
@example(CRASH, 0)
@given(st.lists(STEPS, max_size=25), st.integers(0, 3))
def test_a_key_lives_with_its_watcher_and_nobody_misses_the_end(steps: list[tuple[str, Any]], seed: int) -> None:
    random.seed(seed)
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(_play(steps))


async def _play(steps: list[tuple[str, Any]]) -> None:
    await Play().run(steps)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 30, 150]), st.sampled_from([0.05, 0.4, 1.7])), min_size=1, max_size=8))
def test_no_round_makes_more_calls_than_its_tasks_need(arrivals: list[tuple[int, float]]) -> None:
    async def play() -> None:
        watch, number = Watch(), 0
        for more, pause in arrivals:
            for _ in range(more):
                watch.subscribe(watch.api.put(number))
                number += 1
            await asyncio.sleep(pause)
        by_time: dict[float, list[int]] = {}
        for time, asked in watch.api.calls:
            by_time.setdefault(time, []).append(len(asked))
        for sizes in by_time.values():
            assert len(sizes) == math.ceil(sum(sizes) / 100) <= math.ceil(number / 100)
        await watch.close()

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(play())
