"""The ECS operations that concern tasks: RunTask, DescribeTasks, ListTasks, StopTask, and the tags of tasks.

Clusters and task definitions are moto's. moto's own tasks are not used at all: it models one container without times,
hard-codes empty ``failures`` and answers HTTP 500 to several launches that AWS accepts.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from asyncrun.local.aws.definitions import (
    backend,
    check_registration,
    find_cluster,
    find_task_definition,
    invalid,
)
from asyncrun.local.aws.launch import Launch, plan_launch
from asyncrun.local.aws.runner import Machine, Stop, TaskRunner
from asyncrun.local.aws.tasks import Container, Task
from asyncrun.local.aws.wire import ACCOUNT, AwsError, AwsRequest


class EcsApi:
    """All tasks of the server, and the operations on them.

    :param lock: the lock of the whole server.
    """

    def __init__(self, machine: Machine, lock: threading.RLock) -> None:
        self._machine = machine
        self._options = machine.options
        self._lock = lock
        self._tasks: dict[str, Task] = {}
        self._runners: dict[str, TaskRunner] = {}
        self._client_tokens: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
        self.out_of_capacity: tuple[str, ...] = machine.options.out_of_capacity
        self.operations: dict[str, Callable[[AwsRequest], dict[str, Any]]] = {
            "RunTask": self.run_task,
            "DescribeTasks": self.describe_tasks,
            "ListTasks": self.list_tasks,
            "StopTask": self.stop_task,
        }

    # -- RunTask -------------------------------------------------------------------------------------------------------

    def run_task(self, request: AwsRequest) -> dict[str, Any]:
        """RunTask, idempotent by clientToken per cluster: the first answer again, as it was."""
        params = dict(request.params)
        token = params.pop("clientToken", None)
        fingerprint = json.dumps(params, sort_keys=True)
        with self._lock:
            cluster = find_cluster(request.region, params.get("cluster"))
            key = (cluster.arn, token or "")
            if token and key in self._client_tokens:
                return self._same_launch(fingerprint, *self._client_tokens[key])
            if token is not None and not (1 <= len(token) <= 64 and all(33 <= ord(char) <= 126 for char in token)):
                raise invalid("clientToken must be 1 to 64 ASCII characters between 33 and 126.")
            launch = plan_launch(request.region, cluster, find_task_definition(request.region, _name(params)), params)
            failures = self._capacity_failures(launch)
            tasks = [] if failures else [self._create(launch) for _ in range(launch.count)]
            answer = {"tasks": [task.to_api(tags=True) for task in tasks], "failures": failures}
            if token and tasks:
                self._client_tokens[key] = (fingerprint, answer)
        return answer

    @staticmethod
    def _same_launch(fingerprint: str, first_fingerprint: str, answer: dict[str, Any]) -> dict[str, Any]:
        if fingerprint == first_fingerprint:
            return answer
        raise AwsError(
            "ConflictException",
            "The provided clientToken is already in use with a different RunTask request.",
            resourceIds=[task["taskArn"] for task in answer["tasks"]],
        )

    def _capacity_failures(self, launch: Launch) -> list[dict[str, str]]:
        if {launch.launch_type, launch.capacity_provider} & set(self.out_of_capacity):
            if launch.launch_type == "FARGATE":
                reason = (
                    "Capacity is unavailable at this time. Please try again later or in a different availability zone"
                )
                return [{"reason": reason}]
            return [{"arn": launch.instance_arn, "reason": "RESOURCE:MEMORY"}]
        limit = self._options.ec2_memory
        if launch.launch_type == "FARGATE" or limit is None:
            return []
        used = sum(
            task.reserved_mib
            for task in self._tasks.values()
            if task.cluster_arn == launch.cluster_arn and task.occupies_instance
        )
        wanted = launch.memory_mib * launch.count
        return [{"arn": launch.instance_arn, "reason": "RESOURCE:MEMORY"}] if used + wanted > limit else []

    def _create(self, launch: Launch) -> Task:
        task_id = uuid.uuid4().hex
        task_arn = f"{launch.cluster_arn.replace(':cluster/', ':task/')}/{task_id}"
        containers = [
            Container(definition, task_arn, launch.region, ACCOUNT, launch.runtime_id(task_id))
            for definition in launch.containers
        ]
        task = Task(
            launch.facts(task_arn, containers),
            containers,
            launch.definition,
            self._lock,
            region=launch.region,
            visible_after=self._options.describe_visibility_delay,
            reserved_mib=launch.memory_mib,
        )
        if not task.has_network_interface:
            task.state["lastStatus"] = "PENDING"
        self._tasks[task_arn] = task
        runner = self._runners[task_arn] = TaskRunner(task, self._machine, self._stopped)
        runner.start()
        return task

    def _stopped(self, task: Task) -> None:
        with self._lock:
            self._runners.pop(task.arn, None)
            deadline = time.monotonic() - self._options.stopped_task_retention
            for arn, old in list(self._tasks.items()):
                if old.stopped_monotonic is not None and old.stopped_monotonic < deadline:
                    del self._tasks[arn]

    # -- the other operations ------------------------------------------------------------------------------------------

    def describe_tasks(self, request: AwsRequest) -> dict[str, Any]:
        """DescribeTasks: at most 100 tasks; those that are not there are ``failures``."""
        params = request.params
        names: list[str] = params.get("tasks") or []
        with self._lock:
            cluster = find_cluster(request.region, params.get("cluster"))
            if not names:
                raise invalid("Tasks cannot be empty.")
            if len(names) > 100:
                raise invalid("Number of tasks in the request exceeds the maximum of 100.")
            tasks, failures = [], []
            for arn in dict.fromkeys(_task_arn(cluster.arn, name) for name in names):
                task = self._visible(arn, cluster.arn)
                if task is None:
                    failures.append({"arn": arn, "reason": "MISSING"})
                else:
                    tasks.append(task.to_api(tags="TAGS" in (params.get("include") or [])))
        return {"tasks": tasks, "failures": failures}

    def _visible(self, arn: str, cluster_arn: str) -> Task | None:
        task = self._tasks.get(arn)
        if task is None or task.cluster_arn != cluster_arn or task.vanished or time.monotonic() < task.visible_at:
            return None
        if task.stopped_monotonic is not None:
            age = time.monotonic() - task.stopped_monotonic
            return task if age <= self._options.stopped_task_retention else None
        return task

    def list_tasks(self, request: AwsRequest) -> dict[str, Any]:
        """ListTasks: RUNNING (desiredStatus) unless asked otherwise; startedBy excludes every other filter."""
        params = request.params
        filters = [name for name in ("family", "serviceName", "containerInstance", "launchType") if params.get(name)]
        if params.get("startedBy") and filters:
            raise invalid("startedBy must be the only filter that is used.")
        with self._lock:
            cluster = find_cluster(request.region, params.get("cluster"))
            arns = sorted(
                arn for arn, task in self._tasks.items() if self._visible(arn, cluster.arn) and _listed(task, params)
            )
        start = int(params.get("nextToken") or 0)
        end = start + int(params.get("maxResults") or 100)
        page: dict[str, Any] = {"taskArns": arns[start:end]}
        if end < len(arns):
            page["nextToken"] = str(end)
        return page

    def stop_task(self, request: AwsRequest) -> dict[str, Any]:
        """StopTask: answers at once with desiredStatus STOPPED, and removes the task's tags."""
        params = request.params
        with self._lock:
            cluster = find_cluster(request.region, params.get("cluster"))
            task = self._visible(_task_arn(cluster.arn, params.get("task", "")), cluster.arn)
            if task is None:
                raise invalid("The referenced task was not found.")
            self.stop(task, Stop("UserInitiated", params.get("reason") or "Task stopped by user"))
            task.tags = []
            return {"task": task.to_api()}

    def stop(self, task: Task, stop: Stop) -> None:
        """Stops the task, for whatever reason; nothing happens if it is stopped."""
        runner = self._runners.get(task.arn)
        if runner is not None:
            runner.stop(stop)

    # -- what moto answers, but not alone ------------------------------------------------------------------------------

    def before_moto(self, request: AwsRequest) -> dict[str, Any] | None:
        """Called under the lock before moto sees a call: checks and completes; an answer replaces moto's."""
        match request.operation:
            case "RegisterTaskDefinition":
                check_registration(request.params)
            case "DescribeClusters" | "DeleteCluster":
                self._count_tasks(request)
            case "TagResource" | "UntagResource" | "ListTagsForResource":
                if ":task/" in str(request.params.get("resourceArn")):
                    return self._tag(request)
        return None

    def _count_tasks(self, request: AwsRequest) -> None:
        for cluster in backend(request.region).clusters.values():
            live = [task for task in self._tasks.values() if task.cluster_arn == cluster.arn]
            cluster.running_tasks_count = sum(task.last_status == "RUNNING" for task in live)
            cluster.pending_tasks_count = sum(task.last_status in ("PROVISIONING", "PENDING") for task in live)
        if request.operation == "DeleteCluster":
            cluster = find_cluster(request.region, request.params.get("cluster"))
            if cluster.running_tasks_count or cluster.pending_tasks_count:
                message = "The Cluster cannot be deleted while Tasks are active."
                raise AwsError("ClusterContainsTasksException", message)

    def _tag(self, request: AwsRequest) -> dict[str, Any]:
        task = self._tasks.get(request.params["resourceArn"])
        if task is None:
            raise invalid("The specified task is not found.")
        if request.operation == "ListTagsForResource":
            return {"tags": task.tags}
        changed = {tag["key"]: tag for tag in request.params.get("tags") or []}
        removed = changed.keys() | set(request.params.get("tagKeys") or [])
        task.tags = [tag for tag in task.tags if tag["key"] not in removed] + list(changed.values())
        return {}

    # -- for the control endpoint and the server -----------------------------------------------------------------------

    def find(self, name: str) -> Task:
        """The task of that ARN or id.

        :raises KeyError: if there is none.
        """
        with self._lock:
            by_id = {task.id: task for task in self._tasks.values()}
            return by_id.get(name) or self._tasks[name]

    def tasks(self) -> list[Task]:
        """All tasks, stopped ones included."""
        with self._lock:
            return list(self._tasks.values())

    def memory_limits(self) -> dict[int, int]:
        """Process id and limit in MiB of each running container that has one, the task's limit included."""
        with self._lock:
            limits = {}
            for arn in self._runners:
                task = self._tasks[arn]
                for container in task.containers:
                    limit = container.definition.get("memory") or task.facts.get("memory")
                    if container.process is not None and not container.stopped and limit:
                        limits[container.process.pid] = int(limit)
            return limits

    def out_of_memory(self, pid: int) -> None:
        """Kills the container whose first process is ``pid``."""
        with self._lock:
            for task in self._tasks.values():
                for container in task.containers:
                    if container.process is not None and container.process.pid == pid and not container.stopped:
                        container.out_of_memory = True
                        container.process.kill()


def _name(params: dict[str, Any]) -> str:
    name = params.get("taskDefinition")
    if not name:
        raise AwsError("ClientException", "TaskDefinition can not be blank.")
    return str(name)


def _task_arn(cluster_arn: str, name: str) -> str:
    if name.startswith("arn:"):
        return name
    if len(name) not in (32, 36):
        raise invalid("taskId length should be one of [32,36]")
    return f"{cluster_arn.replace(':cluster/', ':task/')}/{name}"


def _listed(task: Task, params: dict[str, Any]) -> bool:
    wanted = {
        "desiredStatus": task.desired_status,
        "family": task.definition.family,
        "startedBy": task.facts.get("startedBy"),
        "launchType": task.launch_type,
        "containerInstance": task.facts.get("containerInstanceArn"),
        "serviceName": None,
    }
    asked = {"desiredStatus": "RUNNING", **params}
    return all(asked[name] == value for name, value in wanted.items() if asked.get(name))
