"""What identifies a container run: never a bare name."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Self, TypeAlias

import msgspec

from asyncrun.model.arns import account_of, name_of, region_of
from asyncrun.model.stored import Stored

RUN_XCOM_KEY = "asyncrun_run"
"""XCom in which the worker says, before it defers, which container run is this try's: ``run_control.announce``."""


class EcsTaskRef(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ecs"):
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


class PodRef(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="pod"):
    """
    One pod of ours.

    :param uid: new for each pod, so it is the identity; a pod that was deleted and created again under its name is
        another one.
    :param selector: label selector by which the shared reflector of the namespace sees the pod, as it was checked on
        the answer to its creation; empty: our labels are not on it, so it is asked for by itself.
    """

    namespace: str
    name: str
    uid: str
    selector: str = ""

    @property
    def identity(self) -> str:
        """What tells this run from all others, whatever its kind: the uid."""
        return self.uid

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


RunRef: TypeAlias = EcsTaskRef | PodRef


class OfRun(Stored, frozen=True, kw_only=True):
    """
    A stored value about one run.

    :param ref: which run.
    """

    ref: RunRef

    @classmethod
    def from_dict(cls, plain: object) -> Self:
        """As ``Stored.from_dict``; a row from before there were pods does not say that its run is an ECS task."""
        if isinstance(plain, dict) and isinstance(ref := plain.get("ref"), dict) and "kind" not in ref:
            plain = {**plain, "ref": {"kind": "ecs", **ref}}
        return super().from_dict(plain)


class LaunchPhase(StrEnum):
    """Who answers for a launched run. The values lie in Airflow's database."""

    LAUNCHED = "launched"
    """The worker of the try that launched it, or took it over."""
    HANDED_OVER = "handed over"
    """The trigger, which survives restarts and reports the end to the same try."""
    SETTLED = "settled"
    """Nobody any more: its end is known to the try that waited for it."""


class LaunchRecord(OfRun, frozen=True, kw_only=True):
    """
    What a try writes down of its run for the next try, which reads it if the worker died.

    Lies in Airflow's task state store.

    :param ti_id: the task instance's UUID, new for each try.
    :param noted_at: when the run was launched or taken over, seconds since the epoch.
    """

    what: ClassVar[str] = "an earlier try's note of its launch"
    ti_id: str
    try_number: int
    phase: LaunchPhase
    noted_at: float = 0.0


class EcsLaunchRecord(LaunchRecord, frozen=True, kw_only=True):
    """The same of an ECS task."""

    ref: EcsTaskRef


class PodLaunchRecord(LaunchRecord, frozen=True, kw_only=True):
    """The same of a pod."""

    ref: PodRef


class RunRecord(OfRun, frozen=True, kw_only=True):
    """
    What a try tells by XCom of its run before it waits for it: to its trigger's ``on_kill``, and to the links.

    :param ti_id: the task instance's UUID, new for each try.
    :param try_number: for people who read the XCom.
    :param links: URLs by the name of the link's fact.
    """

    what: ClassVar[str] = "The XCom that names the container run"
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


class KubeTarget(msgspec.Struct, frozen=True, kw_only=True):
    """
    Which cluster, and with whose credentials: the connection arguments of upstream's pod operator.

    Holds names and paths only, never a credential: it is stored in the database with the trigger, which resolves it by
    itself.

    :param conn_id: Airflow connection; None: none.
    :param in_cluster: True: the service account of the process's own pod.
    :param config_file: path of a kubeconfig file, on workers and triggerers.
    :param cluster_context: context of the kubeconfig; None: its current one.
    """

    conn_id: str | None = "kubernetes_default"
    in_cluster: bool | None = None
    config_file: str | None = None
    cluster_context: str | None = None
