"""The life of one task: a thread that takes it from PROVISIONING to STOPPED.

Everything that can happen meanwhile (a container ended, StopTask, a spot interruption) comes as an event through one
queue, so that the task's thread is the only one that decides.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from asyncrun.local.aws import rules
from asyncrun.local.aws.awslogs import LogPump
from asyncrun.local.aws.logs import LogsApi
from asyncrun.local.aws.options import EmbeddedAwsOptions
from asyncrun.local.aws.process import ContainerProcess
from asyncrun.local.aws.tasks import Container, Task
from asyncrun.local.aws.wire import AwsError

_OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a task is to stop."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Exited:
    """A container's process ended and its output was delivered."""

    container: Container
    exit_code: int


class _Stopping(Exception):
    """Leaves the start of a task because it is to stop."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.reason)
        self.stop = stop


@dataclass(slots=True)
class Machine:
    """What all tasks share."""

    options: EmbeddedAwsOptions
    logs: LogsApi
    pump: LogPump
    directory: Path
    mark: str
    closing: threading.Event = field(default_factory=threading.Event)


class TaskRunner:
    """Runs ``task`` in a thread of its own.

    :param on_stopped: called in that thread once the task is STOPPED.
    """

    def __init__(self, task: Task, machine: Machine, on_stopped: Callable[[Task], None]) -> None:
        self.task = task
        self._machine = machine
        self._on_stopped = on_stopped
        self._events: queue.SimpleQueue[Stop | Exited] = queue.SimpleQueue()
        self._home: Path | None = None
        self._finish: dict[str, Callable[[float], None]] = {}

    def start(self) -> None:
        """Starts the thread."""
        threading.Thread(target=self._run, name=f"task-{self.task.id}", daemon=True).start()

    def stop(self, stop: Stop) -> None:
        """Asks the task to stop: desiredStatus changes at once, the rest follows. The first reason stays."""
        if self._want_stop(stop):
            self._events.put(stop)

    def _run(self) -> None:
        try:
            try:
                self._start_up()
                self._until_stop()
            except _Stopping:
                pass
            except rules.StartFailure as failure:
                self._failed(failure)
            self._shut_down()
        finally:
            if self.task.last_status != "STOPPED":
                self._broken()
            if self._home is not None:
                shutil.rmtree(self._home, ignore_errors=True)
            self._on_stopped(self.task)

    def _broken(self) -> None:
        """Ends the task after an error of ours, so that nobody waits for it; the traceback is in the server's log."""
        for container in self._running():
            if container.process is not None:
                container.process.kill()
        reason = "The embedded AWS failed: see EmbeddedAws.log_text()"
        self.task.change(
            lastStatus="STOPPED", desiredStatus="STOPPED", stopCode="TaskFailedToStart", stoppedReason=reason
        )

    # -- up ------------------------------------------------------------------------------------------------------------

    def _start_up(self) -> None:
        delays, task = self._machine.options.delays, self.task
        if task.has_network_interface:
            self._pass_time(delays.provisioning)
            task.attachment_status("ATTACHED")
        task.change(lastStatus="PENDING", connectivity="CONNECTED", connectivityAt=time.time())
        rules.check_resources(task, self._machine.logs)
        task.change(pullStartedAt=time.time())
        for container in task.containers:
            rules.check_image(task, container)
        self._pass_time(delays.pending)
        task.change(pullStoppedAt=time.time())
        task.change(lastStatus="ACTIVATING")
        self._pass_time(delays.activating)
        self._home = Path(tempfile.mkdtemp(prefix="task-", dir=self._machine.directory))
        self._start_containers()
        task.change(lastStatus="RUNNING", startedAt=time.time())

    def _start_containers(self) -> None:
        """Starts each container as soon as what it depends on is so far; returns when all were started."""
        while waiting := [container for container in self.task.containers if not container.started]:
            ready = [container for container in waiting if self._dependencies_met(container)]
            for container in ready:
                self._start_container(container)
            if not ready:
                self._wait(None)

    def _dependencies_met(self, container: Container) -> bool:
        for dependency in container.definition.get("dependsOn") or []:
            other = self.task.container(dependency["containerName"])
            condition = dependency["condition"]
            if condition == "SUCCESS" and other.stopped and other.exit_code != 0:
                reason = (
                    f"dependency graph: failed to resolve the dependency [{other.name}] of [{container.name}]: the "
                    f"container exited with code {other.exit_code}"
                )
                raise rules.StartFailure("Task failed to start", container, reason)
            if not (other.stopped if condition in ("COMPLETE", "SUCCESS") else other.started):
                return False
        return True

    def _start_container(self, container: Container) -> None:
        assert self._home is not None
        if self._machine.closing.is_set():
            raise SystemExit  # ends this thread: nothing may be started while the server goes down
        home = self._home / container.name
        home.mkdir()
        argv = _argv(container)
        try:
            process = ContainerProcess(
                argv, self._environment(container), home, self._machine.mark, lambda code: self._ended(container, code)
            )
        except OSError:
            raise rules.cannot_start(container, argv[0]) from None
        finish = self._machine.pump.follow(process.output, self._sink(container))
        self._finish[container.name] = finish
        self.task.change_container(container, process=process, started=True, last_status="RUNNING")
        process.watch()

    def _environment(self, container: Container) -> dict[str, str]:
        definition = container.definition
        pairs = {entry["name"]: entry.get("value", "") for entry in definition.get("environment") or []}
        secrets = {entry["name"]: f"value of {entry['valueFrom']}" for entry in definition.get("secrets") or []}
        kind = "AWS_ECS_FARGATE" if self.task.launch_type == "FARGATE" else "AWS_ECS_EC2"
        return {"AWS_EXECUTION_ENV": kind, "AWS_REGION": self.task.region, **secrets, **pairs}

    def _sink(self, container: Container) -> Callable[[list[tuple[int, str]]], None]:
        options = rules.log_options(container)
        if options is None:
            return lambda _events: None
        prefix = options.get("awslogs-stream-prefix")
        stream = f"{prefix}/{container.name}/{self.task.id}" if prefix else container.runtime_id
        region, group = options.get("awslogs-region", self.task.region), options["awslogs-group"]

        def sink(events: list[tuple[int, str]]) -> None:
            with contextlib.suppress(AwsError):  # the group was deleted meanwhile: the driver drops its lines
                self._machine.logs.put(region, group, stream, events)

        return sink

    def _ended(self, container: Container, exit_code: int) -> None:
        self._finish[container.name](2.0)
        self._events.put(Exited(container, exit_code))

    # -- events --------------------------------------------------------------------------------------------------------

    def _pass_time(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._wait(left)

    def _wait(self, timeout: float | None) -> None:
        """Takes one event, if one comes in time.

        :raises _Stopping: when the task is to stop now.
        """
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return
        if isinstance(event, Stop):
            raise _Stopping(event)
        self._container_stopped(event)
        if event.container.essential or all(container.stopped for container in self.task.containers):
            stop = Stop("EssentialContainerExited", "Essential container in task exited")
            self._want_stop(stop)
            raise _Stopping(stop)

    def _container_stopped(self, event: Exited) -> None:
        reason = _OUT_OF_MEMORY if event.container.out_of_memory else None
        self.task.change_container(event.container, last_status="STOPPED", exit_code=event.exit_code, reason=reason)

    def _until_stop(self) -> None:
        while True:
            self._wait(None)

    # -- down ----------------------------------------------------------------------------------------------------------

    def _failed(self, failure: rules.StartFailure) -> None:
        if failure.container is not None:
            self.task.change_container(failure.container, reason=failure.container_reason)
        self._want_stop(Stop("TaskFailedToStart", failure.stopped_reason))

    def _want_stop(self, stop: Stop) -> bool:
        if not self.task.begin_stop():
            return False
        delay = self._machine.options.stop_reason_delay
        if delay <= 0 or stop.code == "UserInitiated":
            self.task.change(stopCode=stop.code, stoppedReason=stop.reason)
            return True
        timer = threading.Timer(delay, lambda: self.task.change(stopCode=stop.code, stoppedReason=stop.reason))
        timer.daemon = True
        timer.start()
        return True

    def _shut_down(self) -> None:
        delays, task = self._machine.options.delays, self.task
        task.change(lastStatus="DEACTIVATING")
        time.sleep(delays.deactivating)
        task.change(lastStatus="STOPPING")
        self._stop_containers()
        for container in task.containers:
            if not container.stopped:
                task.change_container(container, last_status="STOPPED")
        time.sleep(delays.stopping)
        task.change(executionStoppedAt=time.time())
        if task.has_network_interface:
            task.change(lastStatus="DEPROVISIONING")
            time.sleep(delays.deprovisioning)
            task.attachment_status("DELETED")
        task.change(lastStatus="STOPPED", stoppedAt=time.time(), connectivity="DISCONNECTED")

    def _stop_containers(self) -> None:
        """SIGTERM to all that run, SIGKILL to each after its stopTimeout."""
        now = time.monotonic()
        for container in self._running():
            timeout = container.definition.get("stopTimeout")
            container.kill_at = now + (self._machine.options.stop_timeout if timeout is None else timeout)
            assert container.process is not None
            container.process.terminate()
        while running := self._running():
            due = min(container.kill_at or 0.0 for container in running)
            with contextlib.suppress(queue.Empty):
                event = self._events.get(timeout=max(0.05, due - time.monotonic()))
                if isinstance(event, Exited):
                    self._container_stopped(event)
            for container in self._running():
                if container.process is not None and time.monotonic() >= (container.kill_at or 0.0):
                    container.process.kill()

    def _running(self) -> list[Container]:
        return [container for container in self.task.containers if container.started and not container.stopped]


def _argv(container: Container) -> list[str]:
    definition = container.definition
    argv = [*(definition.get("entryPoint") or []), *(definition.get("command") or [])]
    if argv:
        return argv
    return ["/bin/sh", "-c", 'echo "$0 ran without a command"', str(definition.get("image"))]
