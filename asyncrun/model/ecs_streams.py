"""Which CloudWatch streams hold the output of an ECS task: a pure function of its state, definition and arguments."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from asyncrun.model.ecs import EcsTaskState
from asyncrun.model.ecs_definition import AWSLOGS, TaskPlan
from asyncrun.model.ecs_watch import EcsTaskWatch


class Stream(msgspec.Struct, frozen=True):
    """
    One CloudWatch stream that a container of ours writes.

    :param region: None: the task's own.
    """

    container: str
    group: str
    region: str | None
    name: str

    def tail_command(self, region: str | None, since_ms: int) -> str:
        """
        What shows all of it in a shell (AWS CLI 2).

        :param region: of the task.
        :param since_ms: nothing of interest is older, ms since the epoch; the command's own default is 10 minutes ago.
        """
        since = datetime.fromtimestamp(since_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        where = self.region or region
        place = ["--region", where] if where else []
        return shlex.join(
            ["aws", "logs", "tail", self.group, "--log-stream-names", self.name, "--since", since, *place]
        )


class Streams(msgspec.Struct, frozen=True):
    """
    What can be followed now.

    :param containers: every container, in the definition's order: their places fix the records' milliseconds.
    :param found: the streams known by now.
    :param waiting: a stream's name is not known yet (EC2 without a prefix, before the container runs).
    :param remarks: one sentence each on output that cannot be followed.
    """

    containers: tuple[str, ...]
    found: tuple[Stream, ...] = ()
    waiting: bool = False
    remarks: tuple[str, ...] = ()


def streams_of(state: EcsTaskState, plan: TaskPlan | None, watch: EcsTaskWatch) -> Streams:
    """
    The streams of a task.

    The task definition says where ECS really writes, so it goes before the user's ``awslogs_*`` arguments; those serve
    where it may not be read, or where a container's output reaches CloudWatch by another driver (FireLens).
    """
    if plan is None:
        return _from_arguments(state, watch)
    found: list[Stream] = []
    remarks: list[str] = []
    waiting = False
    runtime_ids = {one.name: one.runtime_id for one in state.containers}
    decider = plan.decider(watch.container_name)
    for container in plan.containers:
        log = container.log
        if log is not None and log.driver == AWSLOGS:
            if name := container.stream_name(watch.ref.task_id, runtime_ids.get(container.name)):
                found.append(Stream(container.name, log.group, log.region, name))
            else:
                waiting = True
        elif container.name == decider and (stream := _argument_stream(container.name, watch)):
            found.append(stream)
        else:
            remarks.append(_not_followed(container.name, None if log is None else log.driver))
    if remark := _contradiction(plan, decider, watch):
        remarks.append(remark)
    return Streams(tuple(one.name for one in plan.containers), tuple(found), waiting, tuple(remarks))


def container_of_prefix(prefix: str | None, containers: Sequence[str]) -> str | None:
    """The container that ``awslogs_stream_prefix`` names in upstream's form ``prefix/container``, None if none."""
    return _split(prefix, containers)[1] if prefix else None


def _from_arguments(state: EcsTaskState, watch: EcsTaskWatch) -> Streams:
    # Sorted: the order of ECS's answer may change, and the containers' places fix the records' milliseconds.
    containers = tuple(sorted(one.name for one in state.containers))
    if not watch.log_group or not watch.log_stream_prefix:
        remark = (
            "No log can be shown: where the task definition is not known, awslogs_group and awslogs_stream_prefix must "
            "say where it is"
        )
        return Streams(containers, remarks=(remark,))
    if not containers:
        return Streams((), waiting=True)
    prefix, named = _split(watch.log_stream_prefix, containers)
    wanted = named or watch.container_name
    chosen = [wanted] if wanted in containers else list(containers)
    found = tuple(
        Stream(name, watch.log_group, watch.log_region, f"{prefix}/{name}/{watch.ref.task_id}")
        for name in chosen
        if name
    )
    return Streams(containers, found)


def _split(prefix: str, containers: Sequence[str]) -> tuple[str, str | None]:
    """Upstream's users write ``ecs`` or ``ecs/<container>``."""
    head, _, tail = prefix.rpartition("/")
    return (head, tail) if head and tail in containers else (prefix, None)


def _argument_stream(container: str, watch: EcsTaskWatch) -> Stream | None:
    if not watch.log_group or not watch.log_stream_prefix:
        return None
    prefix, _ = _split(watch.log_stream_prefix, (container,))
    return Stream(container, watch.log_group, watch.log_region, f"{prefix}/{container}/{watch.ref.task_id}")


def _not_followed(container: str, driver: str | None) -> str:
    if driver is None:
        return f"Container {container!r} has no logConfiguration: its output is not kept by ECS and cannot be shown"
    return (
        f"Container {container!r} logs with driver {driver!r}: its output is not in CloudWatch Logs, so not shown here"
    )


def _contradiction(plan: TaskPlan, decider: str | None, watch: EcsTaskWatch) -> str | None:
    container = plan.container(decider)
    log = None if container is None else container.log
    if log is None or log.driver != AWSLOGS or not watch.log_group or log.group == watch.log_group:
        return None
    return (
        f"awslogs_group={watch.log_group!r} is not where the task definition sends the output of {decider!r}: reading "
        f"{log.group!r}"
    )
