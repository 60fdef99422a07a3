"""Ends are paced where each costs Airflow's supervisor an upload. Virtual time."""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import Any

import looptime
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from asyncrun.model.settings import Settings
from asyncrun.triggers.ends import Ends
from tests.support.model_triggerer import ModelTriggerer

pytestmark = pytest.mark.looptime

HEALTHY = 30.0  # s; Airflow's triggerer_health_check_threshold
SETTINGS = Settings()
_VirtualLoop = looptime.make_event_loop_class(asyncio.SelectorEventLoop)


class Scene:
    """Triggers that end by turns in a model of a triggerer."""

    def __init__(self, upload: float = 0.2, settings: Settings = SETTINGS) -> None:
        self.upload, self.settings = upload, settings
        self.model = ModelTriggerer(lambda: self.upload)
        self.ends = Ends(lambda: True, self.model.supervisor_turn)
        self.ended: list[int] = []

    async def end(self, number: int) -> None:
        await self.ends.turn(self.settings)
        self.ended.append(number)

    def add(self, count: int) -> list[int]:
        return [self.model.add(self.end(number)) for number in range(count)]


async def test_a_thousand_that_end_at_once_leave_the_supervisor_its_heartbeat() -> None:
    began = asyncio.get_running_loop().time()
    scene = Scene()
    async with scene.model:
        scene.add(1000)
        await scene.model.all_told()
    assert scene.model.longest <= 12 * 0.2 + 0.1
    assert scene.model.told == 1000
    assert scene.ended == sorted(scene.ended), "first come, first served"
    assert asyncio.get_running_loop().time() - began < 1.6 * 1000 * 0.2, "it is not much slower than the uploads"


async def test_without_a_sign_a_fixed_pace_would_lose_the_heartbeat() -> None:
    """The reason for all this: what ends during uploads is the next, larger load."""
    scene = Scene()
    scene.ends = Ends(lambda: False, scene.model.supervisor_turn)
    async with scene.model:
        scene.add(1000)
        await scene.model.all_told()
    assert scene.model.longest > HEALTHY


@pytest.mark.parametrize("slow", [1.0, 2.0])
async def test_uploads_that_become_slow_all_at_once_are_survived(slow: float) -> None:
    scene = Scene(0.05)
    async with scene.model:
        scene.add(200)
        await asyncio.sleep(10)
        scene.upload = slow
        await asyncio.sleep(40)
        first, scene.model.turns = scene.model.turns, []
        await scene.model.all_told()
    assert 12 * slow <= max(took for _, _, took in first) < HEALTHY, "the first, which nobody could know"
    assert scene.model.longest <= 5 + slow, "then so many as the supervisor manages within 5 s"
    assert len(scene.ended) == 200


async def test_uploads_that_become_fast_again_are_followed() -> None:
    scene = Scene(4.0)
    async with scene.model:
        scene.add(300)
        await asyncio.sleep(60)
        assert scene.ends.statistics().at_once == 1
        scene.upload = 0.01
        await asyncio.sleep(60)
    assert len(scene.ended) == 300


async def test_uploads_slow_from_the_start_cost_no_heartbeat() -> None:
    """A refused one takes 14 s with all its retries."""
    scene = Scene(14.0)
    async with scene.model:
        scene.add(20)
        await scene.model.all_told()
    assert scene.model.longest < HEALTHY


async def test_fast_uploads_are_held_back_by_the_rate_only() -> None:
    began = asyncio.get_running_loop().time()
    scene = Scene(0.0, Settings(ends_per_second=5))
    async with scene.model:
        scene.add(100)
        await scene.model.all_told()
    assert 19 < asyncio.get_running_loop().time() - began < 25


async def test_what_was_learned_long_ago_is_forgotten() -> None:
    scene = Scene(0.01)
    async with scene.model:
        scene.add(100)
        await scene.model.all_told()
        assert scene.ends.statistics().at_once == 12
        await asyncio.sleep(61)
        scene.upload, scene.model.turns = 2.0, []
        scene.add(50)
        await scene.model.all_told()
    assert scene.model.longest < 7


async def test_who_waits_for_long_says_so() -> None:
    said: list[tuple[str, str]] = []

    async def end() -> None:
        await scene.ends.turn(scene.settings, lambda level, text: said.append((level, text)))

    scene = Scene()
    async with scene.model:
        for _ in range(2):
            scene.model.add(end())
        await scene.model.all_told()
        assert said == []
        for _ in range(100):
            scene.model.add(end())
        await scene.model.all_told()
    assert 40 < len(said) < 90
    assert said[0][0] == "info"
    assert "wait for theirs" in said[0][1]


async def test_one_killed_while_it_waits_disturbs_nobody() -> None:
    scene = Scene()
    async with scene.model:
        numbers = scene.add(100)
        await asyncio.sleep(3)
        for number in numbers[50:]:
            scene.model.kill(number)
        await scene.model.all_told()
    assert scene.ended == list(range(50))
    assert scene.ends.statistics().waiting == scene.ends.statistics().under_way == 0


async def test_one_killed_in_its_turn_leaves_its_place() -> None:
    scene = Scene(settings=Settings(ends_per_second=0.1))
    async with scene.model:
        numbers = scene.add(9)
        await asyncio.sleep(5)
        for number in numbers[1:3]:  # both are under way, and wait for the rate
            scene.model.kill(number)
        await scene.model.all_told()
    assert scene.ended == [0, 3, 4, 5, 6, 7, 8]


async def test_where_the_runner_keeps_the_tasks_a_time_limit_takes_the_place_of_the_sign() -> None:
    scene = Scene(1.0)
    scene.model.keeps_tasks = True
    async with scene.model:
        scene.add(60)
        await scene.model.all_told()
    assert len(scene.ended) == 60
    assert scene.model.longest < HEALTHY


async def test_a_supervisor_that_was_away_for_long_is_told_no_more_at_once() -> None:
    """It was: it made its API client for 40 s. The runner waited for it, and could notice nothing."""
    scene = Scene(14.0)
    async with scene.model:
        await asyncio.sleep(0.5)
        busy = asyncio.create_task(scene.model.away(40.0), name="another message")
        await asyncio.sleep(30.3)  # the runner has asked, and waits; the end is overdue right when it is answered
        scene.add(10)
        await scene.model.all_told()
        await busy
    ended = [took for _, count, took in scene.model.turns if count]
    assert len(scene.ended) == 10
    assert max(ended) < HEALTHY


async def test_an_end_that_the_runner_could_not_notice_is_not_over_before_it_was_uploaded() -> None:
    """The supervisor is away for far longer than it takes until an end is overdue."""
    scene = Scene(14.0)
    async with scene.model:
        await asyncio.sleep(0.5)
        busy = asyncio.create_task(scene.model.away(60.0), name="another message")
        await asyncio.sleep(4.5)
        scene.add(3)
        await scene.model.all_told()
        await busy
    assert [count for _, count, _ in scene.model.turns if count] == [1, 1, 1]


async def test_where_the_supervisor_never_answers_the_rate_is_all_there_is() -> None:
    began = asyncio.get_running_loop().time()
    scene = Scene(0.0)
    scene.model.silent = True
    async with scene.model:
        scene.add(200)
        await scene.model.all_told()
    assert scene.model.questions == 1, "it is asked no more"
    assert asyncio.get_running_loop().time() - began < 180 + 10 + 10


async def test_a_supervisor_that_did_not_answer_is_asked_again_after_ten_minutes() -> None:
    scene = Scene(0.2)
    scene.model.silent = True
    async with scene.model:
        scene.add(2)
        await scene.model.all_told()
        await asyncio.sleep(500)
        scene.add(2)
        await scene.model.all_told()
        assert scene.model.questions == 1
        scene.model.silent = False
        await asyncio.sleep(150)
        scene.model.turns.clear()
        scene.add(100)
        await scene.model.all_told()
    assert scene.model.questions > 5
    assert scene.model.longest <= 12 * 0.2 + 0.1
    assert len(scene.ended) == 104


@pytest.mark.expects_defect
@pytest.mark.parametrize("keeps_tasks", [False, True], ids=["noticed", "overdue"])
async def test_a_defect_while_the_supervisor_is_asked_keeps_no_run_from_ending(keeps_tasks: bool) -> None:
    async def broken() -> bool:
        asked.append(True)
        raise ZeroDivisionError

    asked: list[bool] = []
    scene = Scene()
    scene.model.keeps_tasks = keeps_tasks
    scene.ends = Ends(lambda: True, broken)
    async with scene.model:
        scene.add(20)
        async with asyncio.timeout(60):
            await scene.model.all_told()
    assert len(scene.ended) == 20
    assert len(asked) == 1 + keeps_tasks, "it is asked no more"
    assert scene.ends.statistics().waiting == 0


async def test_a_question_that_somebody_cancelled_keeps_no_run_from_ending() -> None:
    scene = Scene(1.0)
    async with scene.model:
        scene.add(20)
        asking: set[asyncio.Task[Any]] = set()
        while not asking:
            await asyncio.sleep(0.1)
            asking = {task for task in asyncio.all_tasks() if task.get_name() == "asyncrun ends"}
        asking.pop().cancel()
        async with asyncio.timeout(60):
            await scene.model.all_told()
    assert len(scene.ended) == 20


async def test_how_it_stands_can_be_seen() -> None:
    scene = Scene()
    async with scene.model:
        scene.add(100)
        await asyncio.sleep(0.5)
        early = scene.ends.statistics()
        await scene.model.all_told()
        await asyncio.sleep(5)
        late = scene.ends.statistics()
    assert (early.waiting, early.under_way, early.at_once, early.over) == (99, 1, 1, 0)
    assert [count for _, count, _ in scene.model.turns if count][:5] == [1, 2, 4, 8, 12], "it grows step by step"
    assert (late.waiting, late.under_way, late.at_once, late.over) == (0, 0, 12, 100)
    assert 2.4 <= late.longest <= 2.6


@hypothesis_settings(max_examples=20, deadline=None)
@given(
    runs=st.lists(st.tuples(st.floats(0, 60), st.integers(1, 20)), min_size=1, max_size=5),
    uploads=st.lists(st.floats(0, 2), min_size=1, max_size=20),
    killed=st.lists(st.tuples(st.floats(0, 60), st.integers(0, 40)), max_size=5),
)
def test_however_ends_come_and_uploads_go_all_end_and_the_heartbeat_stays(
    runs: list[tuple[float, int]], uploads: list[float], killed: list[tuple[float, int]]
) -> None:
    scenes: list[Scene] = []
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        runner.run(_any_history(scenes, runs, uploads, killed))
    (scene,) = scenes
    assert scene.model.longest < HEALTHY
    assert scene.model.told == sum(count for _, count in runs)
    standing = scene.ends.statistics()
    assert (standing.waiting, standing.under_way) == (0, 0)


async def _any_history(
    scenes: list[Scene],
    runs: list[tuple[float, int]],
    uploads: list[float],
    killed: list[tuple[float, int]],
) -> None:
    scene = Scene()
    scenes.append(scene)
    every = cycle(uploads)
    scene.model = ModelTriggerer(lambda: next(every))
    scene.ends = Ends(lambda: True, scene.model.supervisor_turn)
    loop = asyncio.get_running_loop()
    async with scene.model:
        numbers: list[int] = []
        for at, what in sorted([(at, ("add", count)) for at, count in runs] + [(at, ("kill", n)) for at, n in killed]):
            await asyncio.sleep(at - loop.time())
            if what[0] == "add":
                numbers += scene.add(what[1])
            elif what[1] < len(numbers):
                scene.model.kill(numbers[what[1]])
        await scene.model.all_told()
        await asyncio.sleep(HEALTHY)
