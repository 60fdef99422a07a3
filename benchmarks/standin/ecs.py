"""The operations of ECS."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec

from benchmarks.standin.gate import Book, Refused
from benchmarks.standin.options import TaskSpec
from benchmarks.standin.simulation import ACCOUNT, LOG_GROUP, PREFIX, REGION, SimulatedTask, Stream

SPEC_VARIABLE = "STANDIN_SPEC"
"""Environment variable in RunTask's overrides: a ``TaskSpec`` as JSON."""


class World:
    """All tasks, definitions and log streams."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.tasks: dict[str, SimulatedTask] = {}
        self.streams: dict[str, Stream] = {}
        self.clusters: set[str] = {"default"}
        self._definitions: dict[str, dict[str, Any]] = {}
        self._latest: dict[str, int] = {}
        self._tokens: dict[tuple[str, str], tuple[str, list[str]]] = {}

    def create(self, spec: TaskSpec, cluster: str, definition: str | None = None, **launch: Any) -> SimulatedTask:
        """A new task, launched now."""
        arn = definition or self.definition_for(spec)
        task = SimulatedTask(spec, cluster, arn, time.time(), len(self.tasks) + 1, **launch)
        self.tasks[task.arn] = task
        self.streams.update({stream.name: stream for stream in task.streams})
        return task

    def definition_for(self, spec: TaskSpec) -> str:
        """ARN of a definition with these containers, registered if need be."""
        family = "bench-" + "-".join(spec.containers)
        if family not in self._latest:
            self.RegisterTaskDefinition({
                "family": family,
                "containerDefinitions": [self._container(name) for name in spec.containers],
                "networkMode": "awsvpc",
                "requiresCompatibilities": ["FARGATE"],
                "cpu": "256",
                "memory": "512",
            })  # fmt: skip
        return self._find_definition(family)["taskDefinitionArn"]

    def _container(self, name: str) -> dict[str, Any]:
        options = {"awslogs-group": LOG_GROUP, "awslogs-region": REGION, "awslogs-stream-prefix": PREFIX}
        return {
            "name": name,
            "image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/team/batch-{name}:2026-11-01.7",
            "cpu": 0,
            "essential": True,
            "logConfiguration": {"logDriver": "awslogs", "options": options},
        }

    def _cluster(self, body: dict[str, Any]) -> str:
        name = str(body.get("cluster") or "default").rsplit("/", 1)[-1]
        if name not in self.clusters:
            raise Refused("ClusterNotFoundException", "Cluster not found.")
        return name

    def DescribeTasks(self, body: dict[str, Any]) -> bytes:  # noqa: N802 - named as on the wire, here and below
        cluster, asked, now = self._cluster(body), body.get("tasks") or [], time.time()
        if not asked:
            raise Refused("InvalidParameterException", "Tasks cannot be empty.")
        if len(asked) > 100:
            raise Refused("InvalidParameterException", "Member must have length less than or equal to 100")
        found: list[bytes] = []
        failures: list[dict[str, str]] = []
        for name in dict.fromkeys(asked):
            task = self._task(cluster, name)
            if task is None or now < task.created_at + task.spec.hidden:
                failures.append({"arn": name, "reason": "MISSING"})
                continue
            found.append(task.described(now))
        self.book.describe([str(name) for name in asked], now)
        return b'{"failures":' + json.dumps(failures).encode() + b',"tasks":[' + b",".join(found) + b"]}"

    def _task(self, cluster: str, name: str) -> SimulatedTask | None:
        if "/" not in name:
            name = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{cluster}/{name}"
        task = self.tasks.get(name)
        return task if task is not None and task.cluster == cluster else None

    def RunTask(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster, now = self._cluster(body), time.time()
        token, plain = body.get("clientToken"), json.dumps(body, sort_keys=True)
        known = self._tokens.get((cluster, token)) if token else None
        if known and known[0] != plain:
            raise Refused("ConflictException", "The specified client token has been used with other parameters.")
        if known:
            return {"tasks": [self.tasks[arn].shown(now) for arn in known[1]], "failures": []}
        definition = self._find_definition(str(body.get("taskDefinition") or ""))
        spec = self._spec(body, [one["name"] for one in definition["containerDefinitions"]])
        launch = {key: body[key] for key in ("startedBy", "tags", "overrides") if body.get(key)}
        tasks = [
            self.create(spec, cluster, definition["taskDefinitionArn"], **launch) for _ in range(body.get("count") or 1)
        ]
        if token:
            self._tokens[cluster, token] = plain, [task.arn for task in tasks]
        return {"tasks": [task.shown(now) for task in tasks], "failures": []}

    @staticmethod
    def _spec(body: dict[str, Any], containers: list[str]) -> TaskSpec:
        given: dict[str, Any] = {}
        for container in (body.get("overrides") or {}).get("containerOverrides") or []:
            for variable in container.get("environment") or []:
                if variable.get("name") == SPEC_VARIABLE:
                    given = json.loads(variable["value"])
        return msgspec.convert({**given, "containers": containers}, TaskSpec)

    def StopTask(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        task, now = self._task(self._cluster(body), str(body.get("task"))), time.time()
        if task is None:
            raise Refused("InvalidParameterException", "The referenced task was not found.")
        task.stop(str(body.get("reason") or "Task stopped by user"), now)
        return {"task": task.shown(now)}

    def ListTasks(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster, now = self._cluster(body), time.time()
        desired, started_by, family = body.get("desiredStatus") or "RUNNING", body.get("startedBy"), body.get("family")
        arns = [
            task.arn
            for task in self.tasks.values()
            if task.cluster == cluster
            and task.desired(now) == desired
            and (not started_by or task.started_by == started_by)
            and (not family or task.definition.rsplit("/", 1)[-1].split(":", 1)[0] == family)
        ]
        begin, size = int(body.get("nextToken") or 0), int(body.get("maxResults") or 100)
        answer: dict[str, Any] = {"taskArns": arns[begin : begin + size]}
        if begin + size < len(arns):
            answer["nextToken"] = str(begin + size)
        return answer

    def DescribeClusters(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        found, failures = [], []
        for name in body.get("clusters") or ["default"]:
            short = str(name).rsplit("/", 1)[-1]
            arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{short}"
            if short in self.clusters:
                found.append({"clusterArn": arn, "clusterName": short, "status": "ACTIVE"})
            else:
                failures.append({"arn": arn, "reason": "MISSING"})
        return {"clusters": found, "failures": failures}

    def RegisterTaskDefinition(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        family = str(body["family"])
        revision = self._latest[family] = self._latest.get(family, 0) + 1
        arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{family}:{revision}"
        self._definitions[arn] = {**body, "taskDefinitionArn": arn, "revision": revision, "status": "ACTIVE",
                                  "compatibilities": ["EC2", "FARGATE"]}  # fmt: skip
        return {"taskDefinition": self._definitions[arn]}

    def DescribeTaskDefinition(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"taskDefinition": self._find_definition(str(body.get("taskDefinition") or "")), "tags": []}

    def _find_definition(self, name: str) -> dict[str, Any]:
        short = name.rsplit("/", 1)[-1]
        if ":" not in short:
            short = f"{short}:{self._latest.get(short, 0)}"
        found = self._definitions.get(f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/{short}")
        if found is None:
            raise Refused("ClientException", "Unable to describe task definition.")
        return found
