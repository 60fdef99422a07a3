"""Token buckets under virtual time."""

from __future__ import annotations

import asyncio
import bisect
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncrun.clients.budget import Group, TokenBucket, bucket_for, rate_of, statistics
from asyncrun.model.settings import Settings

looptime = pytest.mark.looptime


def virtual(scenario: object) -> None:
    """Run a coroutine function in a loop of virtual time (hypothesis runs many within one test)."""
    import looptime as package

    loop = package.new_event_loop()  # type: ignore[attr-defined]
    try:
        loop.run_until_complete(scenario())  # type: ignore[operator]
    finally:
        loop.close()


def assert_within_budget(times: list[float], rate: float, burst: float) -> None:
    """Never more than rate*t + burst calls in any window."""
    for first, start in enumerate(times):
        for last in range(first, len(times)):
            allowed = rate * (times[last] - start) + burst + 1e-6
            assert last - first + 1 <= allowed, (start, times[last], last - first + 1, allowed)


@settings(max_examples=60, deadline=None)
@given(
    rate=st.floats(0.1, 40),
    burst=st.floats(1, 20),
    arrivals=st.lists(st.floats(0, 5), min_size=1, max_size=40),
    cancels=st.lists(st.tuples(st.integers(0, 39), st.floats(0, 5)), max_size=10),
    throttles=st.lists(st.floats(0, 10), max_size=4),
)
def test_no_window_has_more_calls_than_rate_and_burst_allow_and_nobody_is_forgotten(
    rate: float, burst: float, arrivals: list[float], cancels: list[tuple[int, float]], throttles: list[float]
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        bucket = TokenBucket(rate, burst)
        taken: list[float] = []

        async def call(at: float) -> None:
            await asyncio.sleep(at)
            await bucket.take()
            taken.append(loop.time() - start)

        tasks = [asyncio.create_task(call(at)) for at in arrivals]
        for at in throttles:
            loop.call_later(at, bucket.throttled)
        for index, at in cancels:
            if index < len(tasks):
                loop.call_later(at, tasks[index].cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        assert bucket.statistics().calls == len(taken) == results.count(None)
        assert bucket.statistics().waiting == 0
        assert_within_budget(sorted(taken), rate, burst)

    virtual(scenario)


@looptime
async def test_rate_is_used_up_and_order_is_kept() -> None:
    loop = asyncio.get_running_loop()
    start, bucket, order = loop.time(), TokenBucket(rate=5, burst=2), []

    async def call(number: int) -> None:
        await bucket.take()
        order.append((number, round(loop.time() - start, 2)))

    await asyncio.gather(*(call(number) for number in range(7)))
    assert order == [(0, 0), (1, 0), (2, 0.2), (3, 0.4), (4, 0.6), (5, 0.8), (6, 1.0)]
    assert bucket.statistics().waited == pytest.approx(3.0, abs=0.05)


@looptime
async def test_cancelled_waiters_cost_the_others_nothing() -> None:
    loop = asyncio.get_running_loop()
    bucket = TokenBucket(rate=1, burst=1)
    await bucket.take()
    waiters = [asyncio.create_task(bucket.take()) for _ in range(50)]
    last = asyncio.create_task(bucket.take())
    await asyncio.sleep(0.5)
    for waiter in waiters:
        waiter.cancel()
    start = loop.time()
    await last
    assert loop.time() - start == pytest.approx(0.5, abs=0.01)
    await asyncio.gather(*waiters, return_exceptions=True)
    await asyncio.sleep(1)
    start = loop.time()
    await bucket.take()
    assert loop.time() == start, "no token leaked"


@looptime
async def test_throttling_halves_the_rate_once_a_second_and_it_grows_back() -> None:
    bucket = TokenBucket(rate=8, burst=8)
    await bucket.take()
    for _ in range(20):
        bucket.throttled()
    assert bucket.statistics().rate == 4
    assert bucket.statistics().throttled == 20
    for _ in range(8):
        await asyncio.sleep(1)
        bucket.throttled()
    assert bucket.statistics().rate >= 1, "never below an eighth"
    await asyncio.sleep(60)
    await bucket.take()
    assert bucket.statistics().rate == 8


@looptime
async def test_after_throttling_fewer_calls_go_out() -> None:
    loop = asyncio.get_running_loop()
    bucket, times = TokenBucket(rate=10, burst=10), []
    bucket.throttled()
    start = loop.time()
    while loop.time() - start < 5:
        await bucket.take()
        times.append(loop.time() - start)
    assert 20 <= bisect.bisect(times, 5) <= 30, "half of 50, and a little recovery"


@looptime
async def test_retries_of_the_sdk_are_paid_by_later_callers() -> None:
    loop = asyncio.get_running_loop()
    bucket = TokenBucket(rate=2, burst=1)
    await bucket.take()
    bucket.charge(3)
    start = loop.time()
    await bucket.take()
    assert loop.time() - start == pytest.approx(2.0, abs=0.01)
    assert bucket.statistics().calls == 5


async def test_loop_that_was_closed_with_a_waiter_does_not_block_the_rest() -> None:
    bucket = TokenBucket(rate=50, burst=1)
    await bucket.take()

    def abandon() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(bucket.take())
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False
        loop.close()

    thread = threading.Thread(target=abandon)
    thread.start()
    await asyncio.to_thread(thread.join)
    async with asyncio.timeout(5):
        await bucket.take()


async def test_loop_that_stands_still_with_a_waiter_does_not_block_the_rest() -> None:
    """A worker's loop, interrupted by a signal's handler that waits for the thread in which it stops the task."""
    bucket = TokenBucket(rate=50, burst=1)
    await bucket.take()
    waiting, go_on = threading.Event(), threading.Event()

    async def stand_still() -> None:
        turn = asyncio.create_task(bucket.take(), name="turn")
        await asyncio.sleep(0)
        waiting.set()
        go_on.wait(20)
        await turn

    thread = threading.Thread(target=lambda: asyncio.run(stand_still()))
    thread.start()
    await asyncio.to_thread(waiting.wait)
    try:
        async with asyncio.timeout(5):
            await bucket.take()
    finally:
        go_on.set()
        await asyncio.to_thread(thread.join)
    assert bucket.statistics().waiting == 0


async def test_two_loops_together_keep_the_rate_and_both_get_on() -> None:
    bucket, ended = TokenBucket(rate=100, burst=1), []

    async def take_many() -> None:
        await asyncio.gather(*(bucket.take() for _ in range(20)))
        ended.append(time.monotonic())

    started = time.monotonic()
    await asyncio.gather(*(asyncio.to_thread(lambda: asyncio.run(take_many())) for _ in range(2)))
    assert max(ended) - started >= 39 / 100 * 0.99
    assert bucket.statistics().calls == 40
    assert bucket.statistics().waiting == 0


@settings(max_examples=10, deadline=None)
@given(cancelled=st.sets(st.integers(0, 999), max_size=900), after=st.floats(0, 5))
def test_of_a_thousand_waiters_those_that_are_not_cancelled_are_served_in_order(
    cancelled: set[int], after: float
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        bucket, served = TokenBucket(rate=40, burst=10), []

        async def call(number: int) -> None:
            await bucket.take()
            served.append((number, loop.time() - start))

        tasks = [asyncio.create_task(call(number)) for number in range(1000)]
        await asyncio.sleep(after)
        for number in cancelled:
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        numbers = [number for number, _ in served]
        assert numbers == sorted(numbers)
        assert set(range(1000)) - cancelled <= set(numbers)
        assert bucket.statistics().waiting == 0
        assert bucket.statistics().calls == len(served)
        assert served[-1][1] <= len(served) / 40 + 0.1, "who was cancelled cost the others nothing"

    virtual(scenario)


def test_buckets_are_shared_by_account_region_and_group_only() -> None:
    settings = Settings()
    one = bucket_for("111111111111", "eu-west-1", Group.ECS_READS, settings)
    assert bucket_for("111111111111", "eu-west-1", Group.ECS_READS, settings) is one
    others = {
        id(bucket_for(scope, region, group, settings))
        for scope in ("111111111111", "222222222222")
        for region in ("eu-west-1", "us-east-1")
        for group in Group
    }
    assert len(others) == 4 * len(Group), "StopTask has a bucket of its own everywhere"
    assert ("111111111111", "eu-west-1", Group.ECS_READS) in statistics()
    assert rate_of(Group.ECS_READS, settings) == 5
    assert rate_of(Group.FILTER_LOG_EVENTS, settings) == 2


@looptime
async def test_stopping_does_not_queue_behind_polling() -> None:
    loop = asyncio.get_running_loop()
    reads = bucket_for("333333333333", "eu-west-1", Group.ECS_READS, Settings())
    polls = [asyncio.create_task(reads.take()) for _ in range(100)]
    await asyncio.sleep(0)
    start = loop.time()
    await bucket_for("333333333333", "eu-west-1", Group.STOP_TASK, Settings()).take()
    assert loop.time() == start
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
