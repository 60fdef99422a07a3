"""What identifies a container run: never a bare name."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

import msgspec

from asyncrun.model.arns import account_of, name_of, region_of
from asyncrun.model.stored import Stored


class EcsTaskRef(msgspec.Struct, frozen=True, kw_only=True):
    """
    One ECS task of ours.

    :param cluster: short name or ARN of the cluster, as the user gave it.
    :param task_arn: full ARN; new for each task, so it is the identity.
    """

    cluster: str
    task_arn: str

    @property
    def identity(self) -> str:
        """What tells this run from all others, whatever its kind: the ARN."""
        return self.task_arn

    @property
    def task_id(self) -> str:
        """The last part of the ARN: 32 hexadecimal digits, as in log stream names and the console."""
        return name_of(self.task_arn)

    @property
    def region(self) -> str | None:
        """Region of the ARN, or None if the ARN has an unknown form."""
        return region_of(self.task_arn)

    @property
    def account(self) -> str | None:
        """Account number of the ARN, or None if the ARN has an unknown form."""
        return account_of(self.task_arn)

    def __str__(self) -> str:
        return self.task_arn


class LaunchPhase(StrEnum):
    """Who answers for a launched run. The values lie in Airflow's database."""

    LAUNCHED = "launched"
    """The worker of the try that launched it, or took it over."""
    HANDED_OVER = "handed over"
    """The trigger, which survives restarts and reports the end to the same try."""
    SETTLED = "settled"
    """Nobody any more: its end is known to the try that waited for it."""


class LaunchRecord(Stored, frozen=True, kw_only=True):
    """
    What a try writes down of its run for the next try, which reads it if the worker died.

    Lies in Airflow's task state store.

    :param ti_id: the task instance's UUID, new for each try.
    :param noted_at: when the run was launched or taken over, seconds since the epoch.
    """

    what: ClassVar[str] = "an earlier try's note of its launch"
    ref: EcsTaskRef
    ti_id: str
    try_number: int
    phase: LaunchPhase
    noted_at: float = 0.0


class RunRecord(Stored, frozen=True, kw_only=True):
    """
    What a try tells by XCom of its run before it waits for it: to its trigger's ``on_kill``, and to the links.

    :param ti_id: the task instance's UUID, new for each try.
    :param try_number: for people who read the XCom.
    :param links: URLs by the name of the link's fact.
    """

    what: ClassVar[str] = "The XCom that names the container run"
    ref: EcsTaskRef
    ti_id: str
    try_number: int = 0
    links: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def identity(self) -> str:
        """The run's; to be compared rather than ``ref``, whose other parts may be told in several ways."""
        return self.ref.identity


class AwsTarget(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where calls go and with whose credentials: the four generic arguments of upstream's AWS operators.

    Holds names and options only, never a credential: it is stored in the database with the trigger.

    :param conn_id: Airflow connection; None: no look-up, the SDK's own chain of credentials.
    :param region_name: None: the connection's, or the SDK's default.
    :param verify: as in boto3: False, or a path to a CA bundle.
    :param botocore_config: keyword arguments of ``botocore.config.Config`` for the user's own calls. Retries, time-outs
        and pool of the shared clients are ours.
    """

    conn_id: str | None = "aws_default"
    region_name: str | None = None
    verify: bool | str | None = None
    botocore_config: dict[str, object] | None = None
