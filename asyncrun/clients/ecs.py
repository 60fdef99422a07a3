"""ECS calls: arguments in, raw answers out."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import msgspec

from asyncrun.clients.api import Described, Failure
from asyncrun.clients.budget import Group
from asyncrun.clients.calling import Calls
from asyncrun.clients.error_codes import REFUSED_CONTENT
from asyncrun.clients.faults import malformed
from asyncrun.model.ecs import STOPPED
from asyncrun.model.errors import NotShown, RequestRefused

_PAGES = 1000  # of 100 tasks each: a next token that never ends is an error of the server


class Ecs:
    """``EcsApi`` of one target."""

    def __init__(self, caller: Calls, key: Hashable) -> None:
        self._caller = caller
        self._key = key

    @property
    def key(self) -> Hashable:
        """Equal for two objects of the same target."""
        return self._key

    async def describe_tasks(self, cluster: str, arns: Sequence[str]) -> Described:
        """DescribeTasks for at most 100 tasks."""
        answer = await self._call("DescribeTasks", Group.ECS_READS, cluster=cluster, tasks=list(arns))
        return self._described("DescribeTasks", answer, "tasks")

    async def describe_clusters(self, names: Sequence[str]) -> Described:
        """DescribeClusters for at most 100 clusters."""
        answer = await self._call("DescribeClusters", Group.ECS_READS, clusters=list(names))
        return self._described("DescribeClusters", answer, "clusters")

    async def describe_task_definition(self, name: str) -> dict[str, Any]:
        """The ``taskDefinition`` of that name, family:revision or ARN."""
        answer = await self._call("DescribeTaskDefinition", Group.ECS_READS, taskDefinition=name)
        return self._one("DescribeTaskDefinition", answer, "taskDefinition")

    async def list_tasks(self, cluster: str, *, started_by: str, desired_status: str) -> list[str]:
        """ARNs of the tasks with that ``startedBy``, every page of them."""
        arns: list[str] = []
        more: dict[str, str] = {}
        for _ in range(_PAGES):
            answer = await self._call(
                "ListTasks",
                Group.ECS_READS,
                cluster=cluster,
                startedBy=started_by,
                desiredStatus=desired_status,
                **more,
            )
            arns += [arn for arn in self._several("ListTasks", answer, "taskArns") if isinstance(arn, str)]
            token = answer.get("nextToken")
            if not token:
                return arns
            more = {"nextToken": token}
        raise self._malformed("ListTasks", "its pages do not end")

    async def run_task(self, request: Mapping[str, Any]) -> Described:
        """RunTask with exactly these arguments."""
        answer = await self._call("RunTask", Group.RUN_TASK, **request)
        return self._described("RunTask", answer, "tasks")

    async def stop_task(self, cluster: str, task_arn: str, reason: str) -> None:
        """StopTask; a task that is already stopped is no error."""
        try:
            await self._call("StopTask", Group.STOP_TASK, cluster=cluster, task=task_arn, reason=reason)
        except RequestRefused as refused:
            # ECS says "InvalidParameterException" for an unknown task and for a wrong request alike.
            if refused.code not in REFUSED_CONTENT:
                raise
            await self._only_if_stopped(cluster, task_arn, refused)

    async def create_cluster(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateCluster; the ``cluster``."""
        return self._one("CreateCluster", await self._call("CreateCluster", Group.ECS_CHANGES, **request), "cluster")

    async def delete_cluster(self, name: str) -> dict[str, Any]:
        """DeleteCluster; the ``cluster``."""
        answer = await self._call("DeleteCluster", Group.ECS_CHANGES, cluster=name)
        return self._one("DeleteCluster", answer, "cluster")

    async def register_task_definition(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """RegisterTaskDefinition; the ``taskDefinition``."""
        answer = await self._call("RegisterTaskDefinition", Group.ECS_CHANGES, **request)
        return self._one("RegisterTaskDefinition", answer, "taskDefinition")

    async def deregister_task_definition(self, name: str) -> dict[str, Any]:
        """DeregisterTaskDefinition; the ``taskDefinition``."""
        answer = await self._call("DeregisterTaskDefinition", Group.ECS_CHANGES, taskDefinition=name)
        return self._one("DeregisterTaskDefinition", answer, "taskDefinition")

    async def _only_if_stopped(self, cluster: str, task_arn: str, refused: RequestRefused) -> None:
        """Swallow that refusal if the task has stopped."""
        try:
            described = await self.describe_tasks(cluster, [task_arn])
        except RequestRefused:
            raise refused from None
        if not described.items:
            raise NotShown(
                f"ECS does not show task {task_arn}: it is too young, or it was forgotten after its end.",
                service="ecs",
                operation="StopTask",
                code=refused.code,
                said=refused.said,
            ) from refused
        if any(task.get("lastStatus") != STOPPED for task in described.items):
            raise refused

    async def _call(self, operation: str, group: Group, /, **arguments: Any) -> dict[str, Any]:
        return await self._caller.call("ecs", self._caller.region, operation, group, **arguments)

    def _malformed(self, operation: str, what: str) -> Exception:
        return malformed(self._caller.describe("ecs", operation, self._caller.region), what)

    def _several(self, operation: str, answer: Mapping[str, Any], name: str) -> list[Any]:
        value = answer.get(name)
        if not isinstance(value, list):
            raise self._malformed(operation, f"it has no list of {name}")
        return value

    def _one(self, operation: str, answer: Mapping[str, Any], name: str) -> dict[str, Any]:
        value = answer.get(name)
        if not isinstance(value, dict) or not value:
            raise self._malformed(operation, f"it has no {name}")
        return value

    def _described(self, operation: str, answer: Mapping[str, Any], name: str) -> Described:
        """Elements go through as they are: what cannot be read in one of them is that run's trouble only."""
        items = [item for item in self._several(operation, answer, name) if isinstance(item, dict)]
        failures = [_failure(one) for one in answer.get("failures") or () if isinstance(one, Mapping)]
        return Described(items=items, failures=failures)


def _failure(raw: Mapping[str, Any]) -> Failure:
    texts = {name: str(raw.get(name) or "") for name in ("arn", "reason", "detail")}
    return msgspec.convert(texts, Failure)
