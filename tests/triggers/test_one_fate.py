"""
One fate does not take all: several triggers share a loop, pollers, clients and the log channel; what goes wrong for one
leaves the others alone, and what goes wrong for all and passes fails nobody.

Real triggers against the embedded AWS. What it cannot be told to do (expire one role's credentials, spoil one task's
answer) is done by ``Gateway``, a small HTTP server in between. The outage of two minutes is in virtual time, against an
AWS in memory; a shorter one goes through the real client.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from asyncrun.clients import aws as clients_aws
from asyncrun.clients.api import Described, LogEvent, LogPage
from asyncrun.clients.aws import open_aws
from asyncrun.clients.config import load_settings
from asyncrun.clients.credentials import target_hash
from asyncrun.model.diagnosis import Cause
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.errors import RemoteError, Unavailable
from asyncrun.model.event import CompletionEvent
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.model.refs import AwsTarget, EcsTaskRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.base import Run, RunTrigger
from asyncrun.triggers.ecs import EcsTaskTrigger
from asyncrun.triggers.ecs_run import EcsRun
from asyncrun.triggers.registry import registry
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.watch.ecs_tasks import EcsTaskPoller
from tests.support.lab import Lab, container, logging_to
from tests.triggers.conftest import TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")

TARGET = AwsTarget(conn_id=None)
ONE, TWO = AwsTarget(conn_id="fate_one"), AwsTarget(conn_id="fate_two")
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCY"


# -- hands -------------------------------------------------------------------------------------------------------------


async def call(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(work, *arguments, **named)


def trigger(number: int, arn: str, target: AwsTarget = TARGET, kind: type[EcsTaskTrigger] = EcsTaskTrigger,
            **fields: Any) -> EcsTaskTrigger:  # fmt: skip
    """A trigger with an id of its own: the task log tells them apart by it."""
    ref = EcsTaskRef(cluster="default", task_arn=arn)
    watch = EcsTaskWatch(ref=ref, target=target, deferred_at=time.time(), end_in_triggerer=True, **fields)
    made = kind(watch.to_dict())
    made.trigger_id = number
    return made


async def event_of(made: Any) -> TriggerEvent:
    (event,) = [event async for event in made.run()]
    assert isinstance(event, TriggerEvent)
    return event


def start(made: Any) -> asyncio.Task[TriggerEvent]:
    return asyncio.create_task(event_of(made), name=f"trigger {made.trigger_id}")


def said(task_log: TaskLogReader, number: int, logger: str = "asyncrun") -> str:
    """All that stands in one task's log, of one logger."""
    return "\n".join(one["event"] for one in task_log.records(logger) if one["trigger_id"] == number)


async def until(good: Callable[[], Any], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await call(good):  # noqa: ASYNC110 - another process, or the other side of a socket
            await asyncio.sleep(0.05)


async def hears(task_log: TaskLogReader, number: int, text: str, logger: str = "asyncrun") -> None:
    await until(lambda: text in said(task_log, number, logger))


def end(event: TriggerEvent) -> CompletionEvent:
    return CompletionEvent.from_payload(event.payload)


def until_told(folder: Path) -> dict[str, Any]:
    """A container that writes a line, and another one after ``tell``."""
    command = f"echo before; while [ ! -e {folder}/told ]; do sleep 0.1; done; echo after"
    return container(command, **logging_to())


def tell(folder: Path) -> None:
    (folder / "told").touch()


class Gateway:
    """
    An HTTP server in front of the embedded AWS that can refuse single access keys and change single answers.

    :ivar keys: access keys by operation, in order of use.
    :ivar expired: access keys whose calls are answered with ExpiredTokenException.
    :ivar change: called with operation and decoded answer; returns what is answered.
    """

    def __init__(self, endpoint: str) -> None:
        self.host, self.port = str(urlsplit(endpoint).hostname), int(urlsplit(endpoint).port or 0)
        self.keys: list[tuple[str, str]] = []
        self.expired: set[str] = set()
        self.change: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler) -> None:  # noqa: N805
                self._answer(handler)

            def log_message(handler, *_: object) -> None:  # noqa: N805
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gateway", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def keys_of(self, operation: str) -> list[str]:
        return [key for name, key in list(self.keys) if name == operation]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        operation = _operation(request.headers.get("X-Amz-Target", ""), body)
        credential = re.search(r"Credential=([^/]+)/", request.headers.get("Authorization", ""))
        key = credential.group(1) if credential else ""
        self.keys.append((operation, key))
        if key in self.expired:
            status, kind, answer = _expired(operation)
        else:
            status, kind, answer = self._forward(request, body)
            if self.change is not None and status == 200 and "json" in kind:
                answer = json.dumps(self.change(operation, json.loads(answer))).encode()
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            kept = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            connection.request("POST", request.path, body, kept)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        finally:
            connection.close()


def _operation(target: str, body: bytes) -> str:
    named = re.search(rb"Action=(\w+)", body)
    return target.rpartition(".")[2] or (named.group(1).decode() if named else "")


def _expired(operation: str) -> tuple[int, str, bytes]:
    code, message = "ExpiredTokenException", "The security token is expired"
    if operation == "AssumeRole":  # STS speaks XML
        xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        return 400, "text/xml", xml.encode()
    return 400, "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode()


@pytest.fixture
def gateway(lab: Lab, settings: pytest.MonkeyPatch) -> Iterator[Gateway]:
    # The gateway keeps connections alive, so closing a client takes a moment; close_all() does not wait for a close
    # that the linger began on its own. So nothing lingers out before the test's end.
    settings.setenv("AIRFLOW__ASYNCRUN__WATCHER_LINGER", "30")
    with Gateway(lab.aws.endpoint_url) as made:
        yield made


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch, gateway: Gateway) -> Callable[..., None]:
    """Define an Airflow connection that leads through the gateway."""

    def define(target: AwsTarget, login: str, **extra: Any) -> None:
        extra = {
            "region_name": "us-east-1",
            "endpoint_url": gateway.url,
            "service_config": {"sts": {"endpoint_url": gateway.url}},
            **extra,
        }
        described = {"conn_type": "aws", "login": login, "password": SECRET, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{str(target.conn_id).upper()}", json.dumps(described))

    return define


# -- (a) a defect of ours ----------------------------------------------------------------------------------------------


class CrashingPoller(EcsTaskPoller):
    """A poller with a defect that shows twice: at its start, and between two rounds."""

    crashes = 0

    async def run(self) -> None:
        if self.crashes < 2:
            self.crashes += 1
            async with asyncio.TaskGroup() as group:  # it runs well for a moment
                watching = group.create_task(super().run())
                await asyncio.sleep(0.6)
                watching.cancel()
            raise ZeroDivisionError("a defect in the poller")
        await super().run()


async def test_a_poller_that_crashes_fails_nobody(
    lab: Lab, task_log: TaskLogReader, caplog: pytest.LogCaptureFixture
) -> None:
    arns = [await call(lab.run, container(f"echo hello {n}; sleep 4", **logging_to())) for n in range(3)]
    pollers: list[CrashingPoller] = []
    settings = load_settings()

    async with open_aws(TARGET, settings) as access:

        def make() -> CrashingPoller:
            pollers.append(CrashingPoller(access.ecs, "default", settings, access.renew))
            return pollers[0]

        key = ("ecs tasks", access.key, "default")
        with registry().subscribe(key, arns[0], make):  # whoever subscribes first brings the poller
            events = await asyncio.gather(*(event_of(trigger(n, arn)) for n, arn in enumerate(arns)))
            assert registry().statistics()[key].restarts == 2
    assert [type(event) for event in events] == [TaskSuccessEvent] * 3
    assert len(pollers) == 1
    crashed = [one for one in caplog.records if "this is a defect of asyncrun" in one.getMessage()]
    assert len(crashed) == 2
    assert all("The shared watcher ECS tasks of cluster default crashed" in one.getMessage() for one in crashed)
    for number in range(3):
        assert said(task_log, number, "main") == f"hello {number}"
        assert said(task_log, number).endswith("container 'main' exited with 0")
        assert "defect" not in said(task_log, number)


class CrashingOnce(EcsTaskTrigger):
    """A trigger whose first run has a defect."""

    opened = 0

    def open_run(self, settings: Settings, task_log: TaskLog) -> EcsRun:
        self.opened += 1
        run = BrokenRun if self.opened == 1 else EcsRun
        return run(EcsTaskWatch.from_dict(self.watch), settings, task_log)


class BrokenRun(EcsRun):
    async def completion(self) -> CompletionEvent:
        await asyncio.sleep(0.3)
        nothing: list[CompletionEvent] = []
        return nothing[0]


async def test_a_defect_in_one_run_is_said_there_and_the_watching_starts_again(
    lab: Lab, task_log: TaskLogReader, caplog: pytest.LogCaptureFixture
) -> None:
    arns = [await call(lab.run, container(f"echo hello {n}; sleep 1", **logging_to())) for n in range(2)]
    events = await asyncio.gather(event_of(trigger(0, arns[0], kind=CrashingOnce)), event_of(trigger(1, arns[1])))
    assert [type(event) for event in events] == [TaskSuccessEvent] * 2
    assert "A defect of asyncrun while watching (IndexError: list index out of range)" in said(task_log, 0)
    assert "defect" not in said(task_log, 1)
    assert [said(task_log, n, "main") for n in range(2)] == ["hello 0", "hello 1"]
    assert f"A defect of asyncrun while watching ECS task {arns[0]}" in caplog.text


class Hopeless(RunTrigger):
    """A run that breaks each time."""

    def __init__(self, watch: Any = None) -> None:
        super().__init__(watch)
        self.stopped: list[str] = []
        self.opened: list[float] = []

    def open_run(self, settings: Settings, task_log: TaskLog) -> Run:
        self.opened.append(asyncio.get_running_loop().time())
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def completion(self) -> CompletionEvent:
        raise ZeroDivisionError("a defect")

    async def stop(self, reason: str) -> None:
        self.stopped.append(reason)
        if len(self.watch or ()) > 0:
            raise Unavailable("StopTask was not answered")

    def __str__(self) -> str:
        return "a hopeless run"


@pytest.mark.looptime
@pytest.mark.parametrize("stoppable", [True, False])
async def test_a_run_with_a_defect_that_stays_is_stopped_and_not_left_behind(
    task_log: TaskLogReader, *, stoppable: bool
) -> None:
    made = Hopeless([] if stoppable else ["cannot be stopped"])
    made.trigger_id = 0
    with pytest.raises(ZeroDivisionError):
        await event_of(made)
    assert [at - made.opened[0] for at in made.opened] == [0, 5, 15]
    assert made.stopped == ["asyncrun can no longer watch this task"]
    await asyncio.sleep(1)
    told = "It could not be stopped and may still be running: StopTask was not answered"
    assert (told in said(task_log, 0)) is not stoppable


# -- (b) credentials of one target -------------------------------------------------------------------------------------

ROLE = "arn:aws:iam::123456789012:role/runner"


async def test_a_role_that_expires_and_comes_back_fails_nobody_and_the_other_target_hears_nothing(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None], settings: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    settings.setenv("AIRFLOW__ASYNCRUN__ACCESS_GRACE", "60")
    connect(ONE, "AKIDONE", role_arn=ROLE)
    connect(TWO, "AKIDTWO")
    arns = [await call(lab.run, until_told(tmp_path)) for _ in range(2)]
    runs = [start(trigger(0, arns[0], ONE)), start(trigger(1, arns[1], TWO))]
    for number in (0, 1):
        await hears(task_log, number, "before", "main")
    assumed = set(gateway.keys_of("DescribeTasks")) - {"AKIDTWO"}
    assert len(assumed) == 1
    gateway.expired |= {*assumed, "AKIDONE"}  # neither the role nor a new one: STS refuses as well
    await hears(task_log, 0, "cannot be seen at the moment; the watching goes on")
    gateway.expired.discard("AKIDONE")  # the old session stays expired: only a new one helps
    await hears(task_log, 0, "can be seen again, after")
    tell(tmp_path)
    events = await asyncio.gather(*runs)
    assert [type(event) for event in events] == [TaskSuccessEvent] * 2
    assert "AWS does not accept the credentials of Airflow connection 'fate_one'" in said(task_log, 0)
    assert "cannot be seen" not in said(task_log, 1)
    assert set(gateway.keys_of("DescribeTasks")) - {"AKIDTWO"} > assumed
    assert SECRET not in json.dumps(task_log.records())


async def test_a_role_that_does_not_come_back_fails_its_run_only_and_says_who_must_act(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None]
) -> None:
    connect(ONE, "AKIDONE")
    connect(TWO, "AKIDTWO")
    arns = [
        await call(lab.run, container("sleep 30")),
        await call(lab.run, container("echo hello; sleep 12", **logging_to())),
    ]
    runs = [start(trigger(0, arns[0], ONE)), start(trigger(1, arns[1], TWO))]
    for number in (0, 1):
        await hears(task_log, number, "is RUNNING")
    gateway.expired.add("AKIDONE")
    failed = end(await runs[0])
    assert not runs[1].done()
    assert (failed.outcome.verdict, failed.outcome.stop_cause, failed.diagnosis.cause) == (
        Verdict.LOST, StopCause.ACCESS, Cause.ACCESS,
    )  # fmt: skip
    assert "may still be running" in failed.diagnosis.summary
    assert "connection 'fate_one'" in said(task_log, 0)
    assert "Whoever manages" in str(failed.diagnosis.next_step)
    assert isinstance(await runs[1], TaskSuccessEvent)
    assert said(task_log, 1, "main") == "hello"
    assert "cannot be seen" not in said(task_log, 1)
    assert SECRET not in json.dumps([task_log.records(), failed.to_payload()])
    await call(lab.ecs.stop_task, task=arns[0])


# -- (c) rotation ------------------------------------------------------------------------------------------------------


async def test_a_connection_that_is_rotated_in_mid_run_is_nobodys_news(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None], settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__CONNECTION_TTL", "1")
    connect(ONE, "AKIDOLD")
    connect(TWO, "AKIDTWO")
    ticking = container("for i in 1 2 3 4 5 6; do echo tick $i; sleep 1; done", **logging_to())
    arns = [await call(lab.run, ticking) for _ in range(3)]
    runs = [start(trigger(n, arn, target)) for n, (arn, target) in enumerate(zip(arns, (ONE, ONE, TWO), strict=True))]
    for number in range(3):
        await hears(task_log, number, "tick 1", "main")
    connect(ONE, "AKIDNEW")
    await until(lambda: "AKIDNEW" in gateway.keys_of("DescribeTasks"))
    gateway.expired.add("AKIDOLD")  # as after a rotation: the old key is deleted
    events = await asyncio.gather(*runs)
    assert [type(event) for event in events] == [TaskSuccessEvent] * 3
    for number in range(3):
        assert said(task_log, number, "main").split("\n") == [f"tick {i}" for i in range(1, 7)]
        assert "cannot be seen" not in said(task_log, number)
    for operation in ("DescribeTasks", "FilterLogEvents"):
        used = gateway.keys_of(operation)
        assert {"AKIDOLD", "AKIDNEW", "AKIDTWO"} == set(used)
        assert "AKIDOLD" not in used[-4:]


# -- (d) an answer that cannot be read, about one task -----------------------------------------------------------------


@pytest.mark.parametrize("spoil", [{"lastStatus": 7}, {"taskDefinitionArn": ["x"]}, {"containers": [7]}], ids=str)
async def test_an_answer_that_is_malformed_for_one_task_fails_that_one_only(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None], spoil: dict[str, Any]
) -> None:
    connect(ONE, "AKIDONE")
    arns = [await call(lab.run, container("echo hello; sleep 3", **logging_to())) for _ in range(3)]

    def change(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        for one in answer.get("tasks", ()) if operation == "DescribeTasks" else ():
            if one["taskArn"] == arns[1]:
                one.update(spoil)
        return answer

    gateway.change = change
    events = await asyncio.gather(*(event_of(trigger(n, arn, ONE)) for n, arn in enumerate(arns)))
    assert [type(event) for event in events] == [TaskSuccessEvent, TriggerEvent, TaskSuccessEvent]
    broken = end(events[1])
    assert broken.outcome.verdict is Verdict.LOST
    assert "cannot be read" in broken.diagnosis.summary
    assert arns[1] in broken.diagnosis.summary
    for number in (0, 2):
        assert said(task_log, number, "main") == "hello"
        assert "cannot be" not in said(task_log, number)
    await call(lab.ecs.stop_task, task=arns[1])


async def test_an_answer_that_is_malformed_for_a_moment_fails_nobody(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None]
) -> None:
    connect(ONE, "AKIDONE")
    arns = [await call(lab.run, container("echo hello; sleep 2", **logging_to())) for _ in range(2)]
    spoiled: list[str] = []

    def change(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        for one in answer.get("tasks", ()):
            if one["taskArn"] == arns[1] and len(spoiled) < 2:
                spoiled.append(one["taskArn"])
                one["lastStatus"] = {}
        return answer

    gateway.change = change
    events = await asyncio.gather(*(event_of(trigger(n, arn, ONE)) for n, arn in enumerate(arns)))
    assert [type(event) for event in events] == [TaskSuccessEvent] * 2
    assert len(spoiled) == 2


# -- (e) the API is away -----------------------------------------------------------------------------------------------


async def test_an_api_that_refuses_connections_fails_nobody_and_is_said_once_in_each_log(
    lab: Lab, task_log: TaskLogReader, tmp_path: Path
) -> None:
    """Some ten seconds; the two minutes are below, in virtual time."""
    arns = [await call(lab.run, until_told(tmp_path)) for _ in range(3)]
    runs = [start(trigger(n, arn)) for n, arn in enumerate(arns)]
    for number in range(3):
        await hears(task_log, number, "before", "main")
    await call(lab.aws.control.refuse_all)
    for number in range(3):
        await hears(task_log, number, "cannot be seen at the moment; the watching goes on")
    await asyncio.sleep(2)
    assert not any(run.done() for run in runs)
    await call(lab.aws.control.refuse_all, refuse=False)
    for number in range(3):
        await hears(task_log, number, "can be seen again, after")
    tell(tmp_path)
    events = await asyncio.gather(*runs)
    assert [type(event) for event in events] == [TaskSuccessEvent] * 3
    for number in range(3):
        assert said(task_log, number, "main").split("\n") == ["before", "after"]
        assert said(task_log, number).count("cannot be seen at the moment") == 1
        assert said(task_log, number).count("can be seen again, after") == 1


class MemoryAws:
    """
    One target's shared way to AWS, in memory: stands where ``open_aws`` looks for one, so everything above is real.

    Each call takes 50 ms. ``fault`` may raise for a call.
    """

    region = "us-east-1"
    account: str | None = None

    def __init__(self, target: AwsTarget) -> None:
        self.key = ("memory", id(self))
        self.tasks: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, list[str]] = {}
        self.fault: Callable[[str], RemoteError | None] = lambda operation: None
        self.stop_ends = True
        self.status = "ACTIVE"
        self.users = 0
        clients_aws._registry()[target_hash(target)] = self  # type: ignore[assignment]

    @property
    def ecs(self) -> Any:
        return self

    def logs(self, region: str | None = None) -> Any:
        return self

    def put(self, number: int, status: str = "RUNNING", **more: Any) -> str:
        arn = f"arn:aws:ecs:us-east-1:123456789012:task/default/{number:032x}"
        old = self.tasks.get(arn, {"version": 0})
        self.tasks[arn] = {
            "taskArn": arn, "taskDefinitionArn": "arn:def:1", "lastStatus": status, "desiredStatus": status,
            "version": old["version"] + 1, "createdAt": time.time(), "startedAt": time.time(),
            "containers": [{"name": "main", "lastStatus": status}], **more,
        }  # fmt: skip
        return arn

    def finish(self, number: int, code: int = 0, stop_code: str = "EssentialContainerExited") -> str:
        main = {"name": "main", "lastStatus": "STOPPED", "exitCode": code}
        return self.put(
            number, "STOPPED", containers=[main], stopCode=stop_code, stoppedReason="Essential container exited"
        )

    async def _call(self, operation: str) -> None:
        await asyncio.sleep(0.05)
        if (error := self.fault(operation)) is not None:
            raise error

    async def describe_tasks(self, cluster: str, arns: Sequence[str]) -> Described:
        await self._call("DescribeTasks")
        return Described([dict(self.tasks[arn]) for arn in arns], [])

    async def describe_clusters(self, names: Sequence[str]) -> Described:
        await self._call("DescribeClusters")
        return Described([{"clusterName": name, "clusterArn": name, "status": self.status} for name in names], [])

    async def describe_task_definition(self, name: str) -> dict[str, Any]:
        await self._call("DescribeTaskDefinition")
        main = container(**(logging_to() if self.lines else {}))
        return {"taskDefinitionArn": name, "status": self.status, "containerDefinitions": [main]}

    async def stop_task(self, cluster: str, task_arn: str, reason: str) -> None:
        await self._call("StopTask")
        if self.stop_ends:
            self.finish(int(task_arn.rsplit("/", 1)[1], 16), 143, "UserInitiated")

    async def filter_log_events(
        self, group: str, streams: Sequence[str], *, start_ms: int, next_token: str | None = None
    ) -> LogPage:
        await self._call("FilterLogEvents")
        now = int(time.time() * 1000) - 100
        found = [
            LogEvent(name, f"{name}{at}", now - now % 1000, now, text)
            for name in streams
            for at, text in enumerate(self.lines.get(name, ()))
        ]
        return LogPage(found, None)

    async def renew(self) -> None:
        await self._call("renew")

    def enter(self) -> None:
        self.users += 1

    async def ready(self) -> None:
        await self._call("open")

    def leave(self) -> None:
        self.users -= 1

    async def close(self) -> None:
        clients_aws._registry().clear()


@pytest.fixture
async def memory(loop_closed: None) -> AsyncIterator[MemoryAws]:
    made = MemoryAws(TARGET)
    yield made
    assert made.users == 0


def at(seconds: float, work: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_later(seconds, work)


@pytest.mark.looptime
@pytest.mark.parametrize("kill_one", [False, True])
async def test_two_minutes_without_an_api_fail_nobody_and_one_that_is_killed_then_leaves_alone(
    memory: MemoryAws, task_log: TaskLogReader, *, kill_one: bool
) -> None:
    loop = asyncio.get_running_loop()
    runs = [start(trigger(number, memory.put(number))) for number in range(5)]
    away, began = Unavailable("the connection to AWS was refused"), loop.time()
    at(10, lambda: setattr(memory, "fault", lambda operation: away))
    at(70, lambda: kill_one and runs[4].cancel("__airflow_user_action__"))
    at(80, lambda: [memory.finish(0), memory.finish(1)])
    at(130, lambda: setattr(memory, "fault", lambda operation: None))
    at(200, lambda: [memory.finish(2), memory.finish(3, code=3), memory.finish(4)])
    await asyncio.sleep(129)
    assert [run.done() for run in runs] == [False] * 4 + [kill_one]
    await asyncio.sleep(60)
    assert [run.done() for run in runs] == [True] * 2 + [False] * 2 + [kill_one]
    await asyncio.wait(runs)
    assert 200 <= loop.time() - began < 230
    assert [type(run.result()) for run in runs[:4]] == [TaskSuccessEvent] * 3 + [TriggerEvent]
    assert end(runs[3].result()).outcome.exit_code == 3
    if kill_one:
        with pytest.raises(asyncio.CancelledError) as caught:
            runs[4].result()
        assert caught.value.args == ("__airflow_user_action__",)
    for number in range(4):
        text = said(task_log, number)
        assert text.count("cannot be seen at the moment; the watching goes on. the connection to AWS was refused") == 1
        # Those that ended meanwhile are told the end, which says enough.
        assert text.count("can be seen again, after") == (0 if number < 2 else 1)


# -- (f), (g) logs -----------------------------------------------------------------------------------------------------


async def test_a_log_group_that_is_gone_costs_its_runs_log_and_nothing_else(lab: Lab, task_log: TaskLogReader) -> None:
    groups = ["/fate/1", "/fate/2", "/fate/3"]
    for group in groups:
        await call(lab.logs.create_log_group, logGroupName=group)
    arns = [await call(lab.run, container("echo hello; sleep 3", **logging_to(group))) for group in groups]
    await call(lab.wait, arns[1], "RUNNING")
    await call(lab.logs.delete_log_group, logGroupName="/fate/2")
    events = await asyncio.gather(*(event_of(trigger(n, arn)) for n, arn in enumerate(arns)))
    assert [type(event) for event in events] == [TaskSuccessEvent] * 3
    assert [said(task_log, n, "main") for n in range(3)] == ["hello", "", "hello"]
    assert "No log of container main" in said(task_log, 1)
    assert "/fate/2" in said(task_log, 1)
    for number in (0, 2):
        assert "No log" not in said(task_log, number)


NOISE = (
    "import sys, time\n"
    "for second in range(4):\n"
    "    began = time.time()\n"
    "    sys.stdout.write(''.join(f'noise {second} {i}\\n' for i in range(10000)))\n"
    "    sys.stdout.flush()\n"
    "    time.sleep(max(0, began + 1 - time.time()))\n"
    "print('the last line', flush=True)\n"
)


async def test_ten_thousand_lines_a_second_drown_nobody_else(lab: Lab, task_log: TaskLogReader) -> None:
    noisy = container(**logging_to())
    noisy.update(entryPoint=["python3", "-c"], command=[NOISE])
    quiet = container("for i in 1 2 3 4 5 6 7 8; do echo quiet $i; sleep 0.5; done", **logging_to())
    arns = [await call(lab.run, definition) for definition in (noisy, quiet, quiet)]
    runs = [start(trigger(n, arn)) for n, arn in enumerate(arns)]
    await hears(task_log, 0, "noise 0 0", "main")
    for number in (1, 2):
        await hears(task_log, number, "quiet 8", "main")
    shown = max(int(one) for one in re.findall(r"noise (\d)", said(task_log, 0, "main")))
    events = await asyncio.gather(*runs)
    assert [type(event) for event in events] == [TaskSuccessEvent] * 3
    for number in (1, 2):
        assert said(task_log, number, "main").split("\n") == [f"quiet {i}" for i in range(1, 9)]
        assert "skipped" not in said(task_log, number)
    assert shown <= 3
    lines = said(task_log, 0, "main").split("\n")
    assert lines[-1] == "the last line"
    assert lines[-2] == "noise 3 9999"
    assert len(lines) < 4000
    skipped = [int(one.replace(",", "")) for one in re.findall(r"([\d,]+) lines? skipped here", "\n".join(lines))]
    assert sum(skipped) + len([one for one in lines if one.startswith(("noise", "the last"))]) == 40_001
