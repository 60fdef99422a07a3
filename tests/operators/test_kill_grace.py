"""A worker stops a run for as long as ``kill_grace`` says, and says each time why it tries again. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import looptime
import pytest

from asyncrun.clients import aws as clients_aws
from asyncrun.clients.config import load_settings
from asyncrun.model.errors import AccessDenied, CredentialsExpired, MalformedAnswer, RemoteError, Unavailable
from asyncrun.model.refs import AwsTarget, EcsTaskRef
from asyncrun.operators import ecs_launching
from tests.operators.support import Worker

REF = EcsTaskRef(cluster="default", task_arn="arn:aws:ecs:eu-west-1:123456789012:task/default/" + "0" * 32)


class Virtual(asyncio.DefaultEventLoopPolicy):
    """Loops whose time jumps: what a worker does in a loop of its own takes no time."""

    _loop_factory = looptime.make_event_loop_class(asyncio.SelectorEventLoop)


class Log:
    """The task's."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.errors: list[str] = []

    def warning(self, text: str, *values: Any) -> None:
        self.warnings.append(text % values)

    def error(self, text: str, *values: Any) -> None:
        self.errors.append(text % values)


class Aws:
    """Stands for AWS: ``fault`` says what becomes of finding the way to it ("open") and of each StopTask ("stop")."""

    def __init__(self) -> None:
        self.at: dict[str, list[float]] = {"open": [], "stop": []}
        self.fault: Callable[[str], RemoteError | None] = lambda call: None
        self.ecs = SimpleNamespace(stop_task=self._stop_task)

    def _called(self, call: str) -> None:
        self.at[call].append(asyncio.get_running_loop().time())
        if (error := self.fault(call)) is not None:
            raise error

    async def _stop_task(self, cluster: str, task_arn: str, reason: str) -> None:
        self._called("stop")

    @asynccontextmanager
    async def open(self, target: AwsTarget, settings: Any) -> AsyncIterator[Aws]:
        self._called("open")
        yield self


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Aws]:
    made, before = Aws(), asyncio.get_event_loop_policy()
    monkeypatch.setattr(clients_aws, "open_aws", made.open)
    asyncio.set_event_loop_policy(Virtual())
    yield made
    asyncio.set_event_loop_policy(before)
    load_settings.cache_clear()


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch, worker: Worker) -> Callable[[float, Log], bool]:
    def stopped(kill_grace: float, log: Log) -> bool:
        monkeypatch.setenv("AIRFLOW__ASYNCRUN__KILL_GRACE", str(kill_grace))
        load_settings.cache_clear()
        return bool(worker.call(ecs_launching.stop, AwsTarget(conn_id=None), REF, "a test", log))

    return stopped


@pytest.mark.parametrize("call", ["open", "stop"])
@pytest.mark.parametrize("kill_grace", [10, 300])
def test_a_stop_that_is_not_answered_is_repeated_for_the_kill_grace(
    aws: Aws, stop: Callable[[float, Log], bool], kill_grace: float, call: str
) -> None:
    aws.fault = lambda one: Unavailable("The connection was refused.") if one == call else None
    log = Log()
    assert not stop(kill_grace, log)
    began, *_, last = aws.at[call]
    assert kill_grace - 5 <= last - began <= kill_grace
    assert log.errors == [f"ECS task {REF} could not be stopped and may still be running: The connection was refused."]
    again = [said for said in log.warnings if said.startswith("The connection was refused. It is tried again in ")]
    assert len(again) == len(aws.at[call]) - 1


@pytest.mark.parametrize("error", [Unavailable("503."), MalformedAnswer("half."), CredentialsExpired("rotated.")])
def test_a_stop_outlasts_what_passes(aws: Aws, stop: Callable[[float, Log], bool], error: RemoteError) -> None:
    aws.fault = lambda call: error if call == "stop" and asyncio.get_running_loop().time() < 200 else None
    log = Log()
    assert stop(300, log)
    assert aws.at["stop"][-1] >= 200
    assert log.errors == []


def test_a_stop_that_is_denied_is_not_repeated(aws: Aws, stop: Callable[[float, Log], bool]) -> None:
    aws.fault = lambda call: AccessDenied("ecs:StopTask is needed.") if call == "stop" else None
    log = Log()
    assert not stop(300, log)
    assert len(aws.at["stop"]) == 1
    assert log.errors == [f"ECS task {REF} could not be stopped and may still be running: ecs:StopTask is needed."]
