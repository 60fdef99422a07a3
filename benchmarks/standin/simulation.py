"""One simulated task: its state and its lines as functions of time."""

from __future__ import annotations

import json
import random
import uuid
from typing import Any, NamedTuple

from benchmarks.standin.options import TaskSpec

REGION = "us-east-1"
ACCOUNT = "123456789012"
LOG_GROUP = "/ecs/bench"
PREFIX = "bench"

_PHASES = ("PROVISIONING", "PENDING", "RUNNING", "DEPROVISIONING", "STOPPED")


class Event(NamedTuple):
    """One log event. Sorts as FilterLogEvents does."""

    time_ms: int
    ingested_ms: int
    event_id: str
    readable_at: float
    message: str
    stream: str


class Stream:
    """The log stream of one container."""

    def __init__(self, task: SimulatedTask, index: int, number: int) -> None:
        self.task, self.index, self.number = task, index, number
        self.container = task.spec.containers[index]
        self.name = f"{PREFIX}/{self.container}/{task.task_id}"
        self._events: list[Event] | None = None

    def events(self) -> list[Event]:
        """Every line until the end as it stands now, sorted by time; whether it is readable yet is up to the asker."""
        if self._events is None:
            self._events = self._write()
        return self._events

    def exists(self, now: float) -> bool:
        """Streams appear with the first line that can be read."""
        events = self.events()
        return bool(events) and min(one.readable_at for one in events[:50]) <= now

    def forget(self) -> None:
        """The task's end has changed."""
        self._events = None

    def _write(self) -> list[Event]:
        spec, began, ended = self.task.spec, self.task.running_at, self.task.ended_at
        count = spec.written_in(ended - began)
        times = [began + (number + 0.5) / spec.lines_per_second for number in range(count)] if count else []
        times += [ended - 0.001] * spec.last_lines
        chance = random.Random(self.number)
        return sorted(self._event(number, moment, chance) for number, moment in enumerate(times))

    def _event(self, number: int, moment: float, chance: random.Random) -> Event:
        spec, began, ended = self.task.spec, self.task.running_at, self.task.ended_at
        flushed = min(began + ((moment - began) // spec.flush + 1) * spec.flush, ended) if spec.flush else moment
        if spec.late_share and chance.random() < spec.late_share:
            flushed += spec.late_by
        text = f"{self.task.task_id[:12]}:{self.container}:{number:06d} "
        message = text + "x" * (spec.line_bytes - len(text))
        time_ms = int(moment * 1000)
        event_id = f"{time_ms:020d}{self.number:018d}{number:018d}"
        return Event(time_ms, int(flushed * 1000), event_id, flushed + spec.ingest_delay, message, self.name)


class SimulatedTask:
    """A task of ECS in which nothing runs."""

    def __init__(self, spec: TaskSpec, cluster: str, definition: str, now: float, number: int, **launch: Any) -> None:
        self.spec, self.cluster, self.definition, self.launch = spec, cluster, definition, launch
        self.task_id = uuid.uuid4().hex
        self.arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{cluster}/{self.task_id}"
        self.created_at = now
        self.running_at = now + spec.startup
        self.ended_at = self.running_at + spec.lifetime
        self.stopped_by: str | None = None
        self.stop_asked_at: float | None = None
        self.first_described: float | None = None
        self.end_described: float | None = None
        self.streams = [Stream(self, index, number * 16 + index) for index in range(len(spec.containers))]
        self._encoded: dict[str, bytes] = {}

    @property
    def started_by(self) -> str:
        """As given to RunTask."""
        return str(self.launch.get("startedBy") or "")

    def status(self, now: float) -> str:
        """``lastStatus``."""
        if now < self.running_at and now < self.ended_at:
            return "PROVISIONING" if now < self.created_at + self.spec.startup / 3 else "PENDING"
        if now < self.ended_at:
            return "RUNNING"
        return "DEPROVISIONING" if now < self.ended_at + self.spec.deprovisioning else "STOPPED"

    def desired(self, now: float) -> str:
        """``desiredStatus``."""
        asked = self.stop_asked_at is not None and now >= self.stop_asked_at
        return "STOPPED" if asked or now >= self.ended_at else "RUNNING"

    def stop(self, reason: str, now: float) -> None:
        """StopTask."""
        if now >= self.ended_at or self.stop_asked_at is not None:
            return
        self.stopped_by, self.stop_asked_at = reason, now
        self.ended_at = min(self.ended_at, now + self.spec.stop_delay)
        for stream in self.streams:
            stream.forget()

    def described(self, now: float) -> bytes:
        """As in an answer of DescribeTasks, which is noted."""
        if self.first_described is None:
            self.first_described = now
        if self.end_described is None and now >= self.ended_at:
            self.end_described = now
        return self.encoded(now)

    def encoded(self, now: float) -> bytes:
        """The task as DescribeTasks shows it now; kept until its state changes."""
        key = self.status(now) + self.desired(now)
        if key not in self._encoded:
            self._encoded[key] = json.dumps(self._shown(now), separators=(",", ":")).encode()
        return self._encoded[key]

    def shown(self, now: float) -> dict[str, Any]:
        """The same as plain values."""
        plain: dict[str, Any] = json.loads(self.encoded(now))
        return plain

    def _shown(self, now: float) -> dict[str, Any]:
        status, over = self.status(now), now >= self.ended_at
        shown: dict[str, Any] = {
            "attachments": [self._network_interface(status)],
            "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
            "availabilityZone": f"{REGION}a",
            "clusterArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{self.cluster}",
            "connectivity": "CONNECTED",
            "connectivityAt": self.created_at + 1,
            "containers": [self._container(index, now) for index in range(len(self.spec.containers))],
            "cpu": "256",
            "createdAt": self.created_at,
            "desiredStatus": self.desired(now),
            "enableExecuteCommand": False,
            "ephemeralStorage": {"sizeInGiB": 20},
            "fargateEphemeralStorage": {"sizeInGiB": 20},
            "group": f"family:{self.definition.rsplit('/', 1)[-1].split(':', 1)[0]}",
            "healthStatus": "UNKNOWN",
            "lastStatus": status,
            "launchType": "FARGATE",
            "memory": "512",
            "overrides": self._overrides(),
            "platformFamily": "Linux",
            "platformVersion": "1.4.0",
            "startedBy": self.started_by,
            "tags": self.launch.get("tags") or [],
            "taskArn": self.arn,
            "taskDefinitionArn": self.definition,
            "version": _PHASES.index(status) + 1 + (self.stop_asked_at is not None),
        }
        if status not in ("PROVISIONING", "PENDING"):
            shown |= {"startedAt": self.running_at, "pullStartedAt": self.created_at, "pullStoppedAt": self.running_at}
        if self.desired(now) == "STOPPED":
            shown |= self._stopping(status, over)
        return shown

    def _stopping(self, status: str, over: bool) -> dict[str, Any]:
        by_user = self.stopped_by is not None
        shown: dict[str, Any] = {
            "stopCode": "UserInitiated" if by_user else "EssentialContainerExited",
            "stoppedReason": self.stopped_by if by_user else "Essential container in task exited",
            "stoppingAt": self.stop_asked_at or self.ended_at,
        }
        if over:
            shown["executionStoppedAt"] = self.ended_at
        if status == "STOPPED":
            shown["stoppedAt"] = self.ended_at + self.spec.deprovisioning
        return shown

    def _container(self, index: int, now: float) -> dict[str, Any]:
        name, over = self.spec.containers[index], now >= self.ended_at
        status = self.status(now)
        shown: dict[str, Any] = {
            "containerArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:container/{self.cluster}/{self.task_id}/{uuid.uuid4()}",
            "cpu": "0",
            "healthStatus": "UNKNOWN",
            "image": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/team/batch-{name}:2026-11-01.7",
            "imageDigest": f"sha256:{uuid.uuid5(uuid.NAMESPACE_URL, name).hex * 2}",
            "lastStatus": "STOPPED" if over else "RUNNING" if status == "RUNNING" else "PENDING",
            "managedAgents": [],
            "name": name,
            "networkBindings": [],
            "networkInterfaces": [{"attachmentId": str(uuid.uuid4()), "privateIpv4Address": "10.0.129.17"}],
            "runtimeId": f"{self.task_id}-{1000000000 + index}",
            "taskArn": self.arn,
        }
        if over:
            shown["exitCode"] = 143 if self.stopped_by is not None else self.spec.exit_code(index)
        return shown

    def _network_interface(self, status: str) -> dict[str, Any]:
        return {
            "details": [
                {"name": "subnetId", "value": "subnet-0a1b2c3d4e5f67890"},
                {"name": "networkInterfaceId", "value": f"eni-0{self.task_id[:16]}"},
                {"name": "macAddress", "value": "0e:8a:5f:2b:1c:9d"},
                {"name": "privateDnsName", "value": "ip-10-0-129-17.ec2.internal"},
                {"name": "privateIPv4Address", "value": "10.0.129.17"},
            ],
            "id": str(uuid.uuid4()),
            "status": "ATTACHED" if status != "STOPPED" else "DELETED",
            "type": "ElasticNetworkInterface",
        }

    def _overrides(self) -> dict[str, Any]:
        given = self.launch.get("overrides")
        if given:
            return dict(given)
        # As an operator of Airflow gives it: a command and some variables. Makes about 3.5 KiB of the whole.
        variables = [{"name": f"BATCH_PARAMETER_{number:02d}", "value": f"s3://bucket/{number:040d}"}
                     for number in range(14)]  # fmt: skip
        command = ["python", "-m", "batch.main", "--date", "2026-11-21", "--table", "warehouse.orders_by_customer"]
        return {
            "containerOverrides": [{"command": command, "environment": variables, "name": self.spec.containers[0]}],
            "inferenceAcceleratorOverrides": [],
        }
