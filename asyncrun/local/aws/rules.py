"""What makes a task fail before its containers start, by rule (see the package's docstring), in AWS's wording."""

from __future__ import annotations

from typing import Any

from asyncrun.local.aws.logs import LogsApi
from asyncrun.local.aws.tasks import Container, Task
from asyncrun.local.aws.wire import AwsError

_RETRIED = "has been retried 1 times"


class StartFailure(Exception):
    """A task that cannot start.

    :param stopped_reason: the task's stoppedReason.
    :param container: the container to which ``container_reason`` belongs.
    """

    def __init__(self, stopped_reason: str, container: Container | None = None, container_reason: str = "") -> None:
        super().__init__(stopped_reason)
        self.stopped_reason = stopped_reason
        self.container = container
        self.container_reason = container_reason


def check_role(definition_role: str | None, override_role: str | None) -> None:
    """Refuses RunTask when the role cannot be assumed.

    :raises AwsError: ClientException.
    """
    role = override_role or definition_role
    if role and "missing" in role:
        raise AwsError(
            "ClientException",
            f"ECS was unable to assume the role '{role}' that was provided for this task. Please verify that the role "
            "being passed has the proper trust relationship and permissions and that your IAM user has permissions to "
            "pass this role.",
        )


def check_resources(task: Task, logs: LogsApi) -> None:
    """Secrets and log groups, which the agent prepares before it pulls images.

    :raises StartFailure: for the first that is missing.
    """
    for container in task.containers:
        for secret in container.definition.get("secrets") or []:
            if "missing" in secret["valueFrom"]:
                raise StartFailure(_secret_reason(secret["valueFrom"]))
        _check_log_group(task, container, logs)


def _secret_reason(arn: str) -> str:
    prefix = (
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
    )
    if ":secretsmanager:" in arn:
        return (
            f"{prefix}unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch "
            f"secret {arn} from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified "
            "secret."
        )
    return (
        f"{prefix}unable to retrieve secrets from ssm: service call has been retried 1 time(s): invalid ssm "
        f"parameters: {arn.rpartition('parameter/')[2]}"
    )


def log_options(container: Container) -> dict[str, str] | None:
    """The options of the container's awslogs driver, or None with another driver or none."""
    configuration: dict[str, Any] = container.definition.get("logConfiguration") or {}
    return (configuration.get("options") or {}) if configuration.get("logDriver") == "awslogs" else None


def _check_log_group(task: Task, container: Container, logs: LogsApi) -> None:
    options = log_options(container)
    if options is None:
        return
    group, region = options.get("awslogs-group", ""), options.get("awslogs-region", task.region)
    if logs.group_exists(region, group):
        return
    if options.get("awslogs-create-group") == "true":
        logs.create_group(region, group)
        return
    cause = "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist."
    if task.launch_type == "FARGATE":
        raise StartFailure(
            f"ResourceInitializationError: failed to validate logger args: create stream {_RETRIED}: {cause} : exit "
            "status 1"
        )
    reason = (
        f"CannotStartContainerError: Error response from daemon: failed to initialize logging driver: {cause} "
        "status code: 400"
    )
    raise StartFailure("Task failed to start", container, reason)


def check_image(task: Task, container: Container) -> None:
    """The pull.

    :raises StartFailure: for an image whose name contains ``does-not-exist``.
    """
    image = str(container.definition.get("image", ""))
    if "does-not-exist" not in image:
        return
    reference = image if "/" in image else f"docker.io/library/{image}"
    reference = reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"
    if task.launch_type == "FARGATE":
        reason = (
            f"CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref "
            f"{reference}: {reference}: not found"
        )
        raise StartFailure(reason, container, reason)
    reason = (
        f"CannotPullContainerError: Error response from daemon: pull access denied for {image.partition(':')[0]}, "
        "repository does not exist or may require 'docker login'"
    )
    raise StartFailure("Task failed to start", container, reason)


def cannot_start(container: Container, program: str) -> StartFailure:
    """The failure of a container whose program cannot be executed."""
    reason = (
        "CannotStartContainerError: ResourceInitializationError: failed to create new container runtime task: failed "
        "to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
        f'exec: "{program}": executable file not found in $PATH: unknown'
    )
    return StartFailure(reason, container, reason)
