"""
Many deferred tasks of a DAG run are killed at once, and Airflow answers slowly, one message at a time.

In virtual time, against an AWS in memory and a supervisor that takes 0.1 s for each message.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from asyncrun.model.errors import RemoteError, Throttled
from asyncrun.model.refs import RUN_XCOM_KEY
from asyncrun.triggers import background
from asyncrun.triggers.background import finish_all
from tests.support.kill import KILL
from tests.support.memory_aws import MemoryAws, arn_of, at
from tests.support.supervisor import Supervisor, in_virtual_time
from tests.support.triggers import trigger
from tests.triggers.conftest import TaskLogReader

pytestmark = [pytest.mark.usefixtures("loop_closed", "task_log"), pytest.mark.looptime]

STOP_RATE = 10


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch, settings: pytest.MonkeyPatch) -> Supervisor:
    settings.setenv("AIRFLOW__ASYNCRUN__STOP_RATE", str(STOP_RATE))
    return in_virtual_time(monkeypatch, 0.1)


class Crowd:
    """Deferred tasks whose triggers are cancelled as if by a user."""

    def __init__(self, memory: MemoryAws, airflow: Supervisor) -> None:
        self.memory, self.airflow = memory, airflow
        self.stops: list[float] = []
        self._cancelled: list[asyncio.Task[None]] = []
        memory.fault = self._count

    def _count(self, operation: str) -> RemoteError | None:
        if operation == "StopTask":
            self.stops.append(asyncio.get_running_loop().time())
        return None

    def add(
        self, number: int, state: str | None, *, noted_by: str | None = None, place: tuple[str, str, int] | None = None
    ) -> None:
        """
        Let there be one, and be cancelled at once.

        :param state: in Airflow's database.
        :param noted_by: id of the attempt that has noted the run; None: this one's.
        :param place: run, task and map index; by default in one DAG run, mapped.
        """
        run, task, index = place or ("r", "m", number)
        self.memory.put(number)
        self.airflow.states.setdefault(run, {})
        if state is not None:
            self.airflow.states[run][task if index < 0 else f"{task}_{index}"] = state
        self.airflow.xcoms["d", run, task, index, RUN_XCOM_KEY] = {
            "ti_id": noted_by or f"ti {number}",
            "ref": {"cluster": "default", "task_arn": arn_of(number)},
        }
        made = trigger(number, arn_of(number))
        made.task_instance = SimpleNamespace(  # type: ignore[assignment]
            id=f"ti {number}", dag_id="d", run_id=run, task_id=task, map_index=index
        )
        self._cancelled.append(asyncio.create_task(self._as_airflow_does(made.on_kill), name=f"runner {number}"))

    async def _as_airflow_does(self, on_kill: Callable[[], object]) -> None:
        work = asyncio.ensure_future(on_kill())  # type: ignore[call-overload]
        await asyncio.wait({work}, timeout=1)
        work.cancel(KILL)
        await asyncio.wait({work})

    async def settled(self) -> None:
        await asyncio.wait(self._cancelled)
        await finish_all()

    def stopped(self) -> set[int]:
        tasks = self.memory.tasks.items()
        return {int(arn.rsplit("/", 1)[1], 16) for arn, task in tasks if task["lastStatus"] == "STOPPED"}

    def asked(self) -> Counter[str]:
        return Counter(body["type"] for body in self.airflow.asked)


@pytest.fixture
def crowd(memory: MemoryAws, airflow: Supervisor) -> Crowd:
    return Crowd(memory, airflow)


async def test_a_thousand_killed_runs_are_all_stopped_once_at_the_pace_of_our_budget(crowd: Crowd) -> None:
    began = asyncio.get_running_loop().time()
    for number in range(1000):
        crowd.add(number, "failed")
    await crowd.settled()
    assert crowd.stopped() == set(range(1000))
    assert len(crowd.stops) == 1000
    assert crowd.stops[-1] - began < 1000 / STOP_RATE + 5
    # The states again before each few seconds' worth of stops, and no XCom at all.
    assert crowd.asked()["GetXCom"] == 0
    assert crowd.asked()["GetTaskStates"] <= 45


async def test_killed_moved_and_taken_over_runs_are_told_apart(crowd: Crowd) -> None:
    for number in range(1000):
        match number % 10:
            case 0 | 1 | 2 | 3:
                crowd.add(number, ["failed", "success", "skipped", None, "queued"][number // 10 % 5])
            case 4 | 5 | 6:
                crowd.add(number, "deferred")
            case _:
                crowd.add(number, ["deferred", "running"][number // 10 % 2], noted_by="a later attempt")
    await crowd.settled()
    killed = {number for number in range(1000) if number % 10 < 4}
    assert crowd.stopped() == killed
    assert len(crowd.stops) == len(killed)
    assert crowd.asked()["GetXCom"] == 600
    assert crowd.asked()["GetTaskStates"] <= 30


async def test_runs_of_many_dag_runs_and_tasks_are_asked_for_together(crowd: Crowd) -> None:
    for number in range(500):
        crowd.add(number, "failed", place=(f"r{number % 100}", f"t{number // 100}", -1))
    await crowd.settled()
    assert crowd.stopped() == set(range(500))
    assert crowd.asked()["GetTaskStates"] <= 60


async def test_an_airflow_that_is_away_for_minutes_is_waited_for(crowd: Crowd) -> None:
    crowd.airflow.failing = True
    at(240, lambda: setattr(crowd.airflow, "failing", False))
    for number in range(50):
        crowd.add(number, "failed")
    await crowd.settled()
    assert crowd.stopped() == set(range(50))
    assert crowd.asked()["GetTaskStates"] <= 80


@pytest.mark.parametrize("trouble", ["failing", "silent"])
async def test_what_cannot_be_decided_is_said_with_the_run_and_the_task(
    crowd: Crowd, task_log: TaskLogReader, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    setattr(crowd.airflow, trouble, True)
    for number in range(3):
        crowd.add(number, "failed")
    await crowd.settled()
    assert crowd.stopped() == set()
    errors = [one for one in caplog.records if one.levelname == "ERROR"]
    assert len(errors) == 3
    for number, error in enumerate(sorted(errors, key=lambda one: one.getMessage())):
        assert error.name == "asyncrun.triggers.killing"
        assert error.getMessage().startswith(
            "Airflow does not say whether the task was killed, so nothing is stopped: "
            f"if it was, ECS task {arn_of(number)} may still be running. "
        )
        assert error.getMessage().endswith(f"(task m[{number}] in run r of DAG d)")
        assert f"if it was, ECS task {arn_of(number)} may still be running" in task_log.said()


async def test_a_run_that_is_taken_over_while_it_waits_to_be_stopped_is_left_alone(crowd: Crowd) -> None:
    """All were cleared with reattach=True; one attempt begins while its earlier run waits for its turn."""
    for number in range(200):
        crowd.add(number, "queued")

    def taken_over() -> None:
        crowd.airflow.states["r"]["m_199"] = "running"
        crowd.airflow.xcoms["d", "r", "m", 199, RUN_XCOM_KEY]["ti_id"] = "a later attempt"

    at(6, taken_over)
    await crowd.settled()
    assert crowd.stopped() == set(range(199))


async def test_stops_that_are_refused_for_a_moment_are_carried_through_for_all(crowd: Crowd, memory: MemoryAws) -> None:
    began = asyncio.get_running_loop().time()
    counted = memory.fault

    def throttling(operation: str) -> RemoteError | None:
        counted(operation)
        early = asyncio.get_running_loop().time() < began + 15
        return Throttled("too many calls", service="ecs") if operation == "StopTask" and early else None

    memory.fault = throttling
    for number in range(200):
        crowd.add(number, "failed")
    await crowd.settled()
    assert crowd.stopped() == set(range(200))


async def test_a_triggerer_that_ends_stops_what_it_can_and_names_the_rest(
    crowd: Crowd, memory: MemoryAws, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(200):
        crowd.add(number, "failed" if number < 100 else "deferred")
    await asyncio.sleep(2)  # half of it is known to be killed; of the others a few XComs have come
    crowd.airflow.silent = True
    stuck = arn_of(99)

    async def never(cluster: str, task_arn: str, reason: str) -> None:
        if task_arn == stuck:
            await asyncio.sleep(3600)
        await MemoryAws.stop_task(memory, cluster, task_arn, reason)

    memory.stop_task = never  # type: ignore[method-assign]
    began = asyncio.get_running_loop().time()
    left = [task for task in background._running if task.get_name().startswith("asyncrun")]
    for task in left:
        task.cancel()
    await asyncio.wait(left)
    await crowd.settled()
    assert asyncio.get_running_loop().time() - began < 15
    assert crowd.stopped() == set(range(99))
    said = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    lost = f"The triggerer ends before ECS task {stuck} was stopped, which may still be running"
    assert said.count(f"{lost} (task m[99] in run r of DAG d)") == 1
    unknown = [one for one in said if "before Airflow said whether the task was killed" in one]
    assert 60 < len(unknown) < 100
