"""What can be set of the embedded AWS, at its start and (faults, quotas, policy, capacity) while it runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

FaultKind = Literal[
    "throttle", "http_500", "http_503", "access_denied", "expired_token", "malformed", "reset", "drop_answer", "delay",
    "error",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule of the fault injection; the first rule that matches a call and fires, decides.

    :param operation: the operation's name (``DescribeTasks``), optionally with its service (``ecs:DescribeTasks``);
        shell patterns are understood, ``*`` is every call.
    :param kind: ``throttle``, ``http_500``, ``http_503``, ``access_denied``, ``expired_token``; ``malformed``: the
        answer is JSON that is cut off (botocore makes a success without members of it); ``reset``: the connection is
        reset and the call is *not* executed; ``drop_answer``: the call is executed, then the connection is reset (a
        launch whose answer is lost); ``delay``: only late; ``error``: HTTP 400 with ``code`` and ``message``.
    :param probability: 0 to 1, per call.
    :param count: how many calls fail before the rule is used up; None is for ever.
    :param skip: how many matching calls are let through first.
    :param delay: seconds to wait before the call is handled (with any kind).
    :param code: error code, for ``error``.
    :param message: replaces AWS's wording.
    """

    operation: str
    kind: FaultKind
    probability: float = 1.0
    count: int | None = None
    skip: int = 0
    delay: float = 0.0
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class LifecycleDelays:
    """Seconds a task stays in each state beyond what its containers need. Real Fargate: 10-60 s until RUNNING, and
    tens of seconds in DEPROVISIONING."""

    provisioning: float = 0.1
    pending: float = 0.1
    activating: float = 0.0
    deactivating: float = 0.0
    stopping: float = 0.0
    deprovisioning: float = 1.0


@dataclass(frozen=True, slots=True)
class EmbeddedAwsOptions:
    """Options of `EmbeddedAws`.

    :param region: default region, in ``AWS_DEFAULT_REGION`` of `EmbeddedAws.env`.
    :param clusters: ECS clusters that exist from the start, in ``region``.
    :param log_groups: CloudWatch log groups that exist from the start, in ``region``.
    :param delays: see `LifecycleDelays`.
    :param flush_interval: seconds between two flushes of the awslogs driver (AWS: 5 s; here 1 s, for short demos).
    :param log_visibility_delay: seconds between a flush and its events being readable.
    :param describe_visibility_delay: seconds after RunTask in which DescribeTasks and ListTasks do not know a task yet
        (eventual consistency: MISSING first).
    :param stop_reason_delay: seconds between a container's end and stopCode / stoppedReason being told.
    :param stopped_task_retention: seconds a stopped task stays describable (AWS: at least an hour).
    :param stop_timeout: seconds from SIGTERM to SIGKILL for containers without ``stopTimeout`` (AWS: 30 s).
    :param log_page_limit: at most this many events in a page of FilterLogEvents and GetLogEvents (AWS: 10,000 or 1 MB).
    :param log_empty_first_page: FilterLogEvents answers each first call with an empty page and a token, as AWS may.
    :param port: TCP port on 127.0.0.1; 0 picks a free one.
    :param quotas: token buckets, by API class or operation: ``{"ecs:read": (burst, calls per second)}``. Classes:
        ``ecs:read`` (Describe*, List*), ``ecs:run`` (RunTask, StartTask, StopTask); other names are operations such as
        ``logs:FilterLogEvents``. One bucket per region. Off by default.
    :param policy: actions that are allowed (shell patterns), all others are AccessDenied; None allows all.
    :param faults: fault rules from the start.
    :param out_of_capacity: launch types and capacity providers without capacity: RunTask answers with ``failures``.
    :param ec2_memory: MiB for all EC2 and EXTERNAL tasks of a cluster together; beyond it RunTask answers
        ``RESOURCE:MEMORY``. None is unlimited.
    :param memory_check_interval: shortest seconds between two looks at the containers' memory.
    """

    region: str = "us-east-1"
    clusters: tuple[str, ...] = ("default",)
    log_groups: tuple[str, ...] = ()
    delays: LifecycleDelays = field(default_factory=LifecycleDelays)
    flush_interval: float = 1.0
    log_visibility_delay: float = 0.0
    describe_visibility_delay: float = 0.0
    stop_reason_delay: float = 0.0
    stopped_task_retention: float = 3600.0
    stop_timeout: float = 30.0
    log_page_limit: int = 10_000
    log_empty_first_page: bool = False
    port: int = 0
    quotas: dict[str, tuple[float, float]] = field(default_factory=dict)
    policy: tuple[str, ...] | None = None
    faults: tuple[Fault, ...] = ()
    out_of_capacity: tuple[str, ...] = ()
    ec2_memory: int | None = None
    memory_check_interval: float = 0.5

    def to_json(self) -> str:
        """One line of JSON, for the command line of the server process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> EmbeddedAwsOptions:
        """The options that `to_json` wrote.

        :raises TypeError: for an unknown name.
        """
        return cls(**options_from_dict(json.loads(text)))


def options_from_dict(raw: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `EmbeddedAwsOptions` from decoded JSON.

    :raises TypeError: for an unknown name.
    """
    unknown = raw.keys() - {f.name for f in fields(EmbeddedAwsOptions)}
    if unknown:
        raise TypeError(f"Unknown options of the embedded AWS: {sorted(unknown)}")
    values = dict(raw)
    for name in ("clusters", "log_groups", "out_of_capacity", "policy"):
        if values.get(name) is not None:
            values[name] = tuple(values[name])
    if "delays" in values:
        values["delays"] = LifecycleDelays(**values["delays"])
    if "faults" in values:
        values["faults"] = tuple(Fault(**rule) for rule in values["faults"])
    if "quotas" in values:
        values["quotas"] = {name: (burst, rate) for name, (burst, rate) in values["quotas"].items()}
    return values
