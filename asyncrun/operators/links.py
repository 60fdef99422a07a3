"""
Links from an Airflow task to the AWS console.

Airflow computes links in the worker at the end of each of its runs, also after a resume, and overwrites what was there
(facts/airflow.md I). So these read the XCom that the worker wrote before it deferred: the same answer each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from asyncrun.model.arns import name_of
from asyncrun.model.errors import MalformedAnswer
from asyncrun.model.refs import RUN_XCOM_KEY, EcsTaskRef, RunRecord
from asyncrun.spec.ecs import log_stream

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

_DOMAINS = {"aws": "aws.amazon.com", "aws-cn": "amazonaws.cn", "aws-us-gov": "amazonaws-us-gov.com"}


def ecs_task_url(task_arn: str, cluster: str, tab: str = "configuration") -> str:
    """
    The console's page of an ECS task, in the console of the ARN's partition.

    :param tab: ``configuration`` or ``logs``.
    :return: empty where the ARN has an unknown form or partition.
    """
    parts = task_arn.split(":", 5)
    domain = _DOMAINS.get(parts[1]) if len(parts) == 6 else None
    if domain is None:
        return ""
    region = parts[3]
    resource = parts[5].split("/")
    # task/<cluster>/<id>; the old form task/<id> names no cluster.
    name = resource[1] if len(resource) == 3 else name_of(cluster)
    return (
        f"https://{region}.console.{domain}/ecs/v2/clusters/{quote(name, safe='')}"
        f"/tasks/{quote(resource[-1], safe='')}/{tab}?region={region}"
    )


def log_stream_url(partition: str, region: str, group: str, stream: str) -> str:
    """The console's page of a log stream; empty for an unknown partition."""
    domain = _DOMAINS.get(partition)
    if domain is None:
        return ""
    return (
        f"https://{region}.console.{domain}/cloudwatch/home?region={region}"
        f"#logsV2:log-groups/log-group/{_fragment(group)}/log-events/{_fragment(stream)}"
    )


def _fragment(name: str) -> str:
    """CloudWatch's own way: percent-encoded twice, with ``$`` in place of ``%`` the second time."""
    return quote(quote(name, safe=""), safe="").replace("%", "$")


def link_facts(
    ref: EcsTaskRef, *, group: str | None, prefix: str | None, container: str | None, region: str | None
) -> dict[str, str]:
    """What the links need, as it goes into the XCom with the run: URLs, or nothing where they cannot be known."""
    facts = {"task_url": ecs_task_url(ref.task_arn, ref.cluster)}
    stream = log_stream(prefix, container, ref.task_id)
    where = region or ref.region
    if group and stream and where:
        facts["logs_url"] = log_stream_url(ref.task_arn.split(":")[1], where, group, stream)
    else:  # the console's own page of the task's logs finds group and stream in the task definition
        facts["logs_url"] = ecs_task_url(ref.task_arn, ref.cluster, "logs")
    return facts


class _RunLink(BaseOperatorLink):
    fact = ""

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's call
        """The URL, or empty where no container run was launched, or what was noted of it cannot be read."""
        from airflow.sdk.execution_time.xcom import XCom

        try:
            record = RunRecord.from_dict(XCom.get_value(key=RUN_XCOM_KEY, ti_key=ti_key))
        except MalformedAnswer:  # also None, where nothing was noted
            return ""
        return record.links.get(self.fact, "")


class EcsTaskLink(_RunLink):
    """The ECS task in the AWS console."""

    name = "ECS task"
    fact = "task_url"


class EcsTaskLogsLink(_RunLink):
    """The CloudWatch log stream where the operator's arguments tell it, else the console's logs of the ECS task."""

    name = "CloudWatch logs"
    fact = "logs_url"
