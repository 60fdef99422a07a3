"""``EcsRunTaskOperator``: its arguments, and how it launches, watches and stops ECS tasks."""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from asyncrun.model.event import EcsCompletionEvent
from asyncrun.model.refs import EcsLaunchRecord, EcsTaskRef
from asyncrun.operators.base import AwsOperator
from asyncrun.operators.ecs_launching import EcsNotes, Launching, launching_of, skipping_container, stop, task_watch
from asyncrun.operators.launch_notes import LaunchNotes
from asyncrun.operators.links import EcsTaskLink, EcsTaskLogsLink, link_facts
from asyncrun.operators.run_control import announce, raise_for_end
from asyncrun.operators.running import Launched, RunOperator
from asyncrun.spec.ecs import RunTaskArguments
from asyncrun.spec.ecs_checks import check_quota_retry, check_run_task
from asyncrun.spec.values import as_count, as_seconds, check_bool, exit_code_test, is_unrendered

if TYPE_CHECKING:
    from airflow.sdk import Context

    from asyncrun.model.ecs_watch import EcsTaskWatch
    from asyncrun.model.settings import Settings
    from asyncrun.triggers.ecs import EcsTaskTrigger


class EcsRunTaskOperator(AwsOperator, RunOperator):
    """
    Run a task on AWS ECS and wait for its end in the triggerer, with its containers' logs live in the task's log.

    Arguments are those of the amazon provider's operator of the same name. What differs:

    - ``deferrable`` is True by default; see there.
    - Logs are found through the task definition, so the ``awslogs_*`` arguments are needed only where
      DescribeTaskDefinition is denied. ``awslogs_fetch_interval`` is accepted and has no meaning: all runs share one
      reader.
    - The launch is idempotent within a try: a request that is repeated, or a worker that dies and starts the same try
      again, gets the ECS task that was already launched.
    - Killing the Airflow task (marked as failed or success, or cleared) stops the ECS task, deferred or not.
    - The errors are the classes of ``asyncrun.operators.errors``, all of them ``AirflowException``.

    :param task_definition: family, family:revision or ARN.
    :param cluster: name or ARN.
    :param overrides: RunTask's ``overrides``; {} for none.
    :param launch_type: EC2, FARGATE or EXTERNAL. Not sent when a capacity provider strategy is given; with None or ""
        and no strategy, the cluster's default strategy is used.
    :param container_name: the container whose end decides and whose last line is the result; None: the first essential
        one of the task definition.
    :param enable_execute_command: RunTask's ``enableExecuteCommand``.
    :param quota_retry: retry a launch that found no room (RESOURCE:CPU, RESOURCE:MEMORY, ...): a dict of multiplier,
        min, max and stop_after_delay in seconds (1, 1, 1, 10).
    :param reattach: take over the ECS task of an earlier try of this task instance instead of launching another. First
        the one whose worker died before it could hand it to the triggerer, or while it waited (``deferrable=False``),
        also when that ECS task has ended since: its end, log and result are this try's then. Else one that still runs
        (by ``startedBy``, which needs ecs:ListTasks). Not taken over: what Airflow itself stopped, what ended in sight
        of an earlier try (it failed, or was cleared: a retry means a new run), and what ECS has forgotten.
    :param number_logs_exception: how many of the last log lines a failure's message shows at most.
    :param wait_for_completion: False: launch and return at once, also with ``deferrable=True``: here, where that is the
        default, False must be able to mean "do not wait". (Upstream defers all the same.)
    :param waiter_delay: with ``waiter_max_attempts``, the longest time that the run may take, in seconds (70 days).
        ``execution_timeout`` does the same and is easier to read; the shorter one counts. At that time the ECS task is
        stopped and the Airflow task fails with ``DeadlineExceeded``.
    :param waiter_max_attempts: see ``waiter_delay``.
    :param deferrable: True: wait in the triggerer, without a worker slot. False: wait in the worker. Airflow's
        ``[operators] default_deferrable`` is not asked: its value is "false" unless set, and generated configuration
        files spell that default out, so that "false" there does not tell a wish; and waiting in the triggerer is what
        this operator is for.
    :param skip_on_exit_code: an exit code, or a container of them, that skips the Airflow task.
    :param stop_task_on_failure: stop the ECS task when this Airflow task fails while it runs: the deferral or the
        trigger failed, or Airflow's own time-out came. The deadline stops it in any case.
    :return: the last line that the deciding container wrote, with ``do_xcom_push``.
    """

    what = "ECS task"
    completion_type = EcsCompletionEvent
    ref_type = EcsTaskRef
    ui_color = "#f0ede4"
    template_fields: Sequence[str] = (
        "task_definition",
        "cluster",
        "overrides",
        "launch_type",
        "capacity_provider_strategy",
        "volume_configurations",
        "group",
        "placement_constraints",
        "placement_strategy",
        "platform_version",
        "network_configuration",
        "tags",
        "awslogs_group",
        "awslogs_region",
        "awslogs_stream_prefix",
        "awslogs_fetch_interval",
        "container_name",
        "propagate_tags",
        "reattach",
        "number_logs_exception",
        "wait_for_completion",
        "deferrable",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "overrides": "json",
        "network_configuration": "json",
        "tags": "json",
    }
    operator_extra_links = (EcsTaskLink(), EcsTaskLogsLink())

    def __init__(
        self,
        *,
        task_definition: str,
        cluster: str,
        overrides: dict[str, Any],
        launch_type: str = "EC2",
        capacity_provider_strategy: list[dict[str, Any]] | None = None,
        volume_configurations: list[dict[str, Any]] | None = None,
        group: str | None = None,
        placement_constraints: list[dict[str, Any]] | None = None,
        placement_strategy: list[dict[str, Any]] | None = None,
        platform_version: str | None = None,
        network_configuration: dict[str, Any] | None = None,
        tags: dict[str, str] | None = None,
        awslogs_group: str | None = None,
        awslogs_region: str | None = None,
        awslogs_stream_prefix: str | None = None,
        awslogs_fetch_interval: timedelta = timedelta(seconds=30),
        container_name: str | None = None,
        propagate_tags: str | None = None,
        enable_execute_command: bool | None = None,
        quota_retry: dict[str, float] | None = None,
        reattach: bool = False,
        number_logs_exception: int = 10,
        wait_for_completion: bool = True,
        waiter_delay: int = 6,
        waiter_max_attempts: int = 1000000,
        deferrable: bool = True,
        skip_on_exit_code: int | Container[int] | None = None,
        stop_task_on_failure: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.task_definition = task_definition
        self.cluster = cluster
        self.overrides = overrides
        self.launch_type = launch_type
        self.capacity_provider_strategy = capacity_provider_strategy
        self.volume_configurations = volume_configurations
        self.group = group
        self.placement_constraints = placement_constraints
        self.placement_strategy = placement_strategy
        self.platform_version = platform_version
        self.network_configuration = network_configuration
        self.tags = tags
        self.awslogs_group = awslogs_group
        self.awslogs_region = awslogs_region
        self.awslogs_stream_prefix = awslogs_stream_prefix
        self.awslogs_fetch_interval = awslogs_fetch_interval
        self.container_name = container_name
        self.propagate_tags = propagate_tags
        self.enable_execute_command = enable_execute_command
        self.quota_retry = quota_retry
        self.reattach = reattach
        self.number_logs_exception = number_logs_exception
        self.wait_for_completion = wait_for_completion
        self.waiter_delay = waiter_delay
        self.waiter_max_attempts = waiter_max_attempts
        self.deferrable = deferrable
        self.skip_on_exit_code = skip_on_exit_code
        self.stop_task_on_failure = stop_task_on_failure
        if self._is_judged_at_parse():
            self._check()

    @property
    def arn(self) -> str | None:
        """ARN of the ECS task, once there is one. Subclasses written for upstream's operator may set it."""
        return self._ref.task_arn if self._ref else None

    @arn.setter
    def arn(self, value: str | None) -> None:
        self._ref = EcsTaskRef(cluster=self.cluster, task_arn=value) if value else None

    def _check(self) -> None:
        """Refuse what cannot work; called where the DAG is parsed, and again with rendered values."""
        self._check_target()
        check_run_task(RunTaskArguments.of(self))
        check_quota_retry(self.quota_retry)
        exit_code_test(self.skip_on_exit_code)
        as_seconds("waiter_delay", self.waiter_delay)
        as_count("waiter_max_attempts", self.waiter_max_attempts, at_least=1)
        if not is_unrendered(self.number_logs_exception):
            as_count("number_logs_exception", self.number_logs_exception, at_least=0)
        for name in ("reattach", "wait_for_completion", "deferrable", "stop_task_on_failure"):
            check_bool(name, getattr(self, name))

    def _notes(self, context: Context) -> EcsNotes:
        return LaunchNotes(EcsLaunchRecord, context, self.log, wanted=self._flag("reattach"))

    def _launching(self, context: Context, settings: Settings, notes: EcsNotes) -> Launching:
        self.log.info("Launching ECS task definition %s in cluster %s", self.task_definition, self.cluster)
        return launching_of(self, context["ti"], settings, notes, self._refuse_if_killed)

    def _announce(self, context: Context, ref: EcsTaskRef) -> None:
        links = link_facts(
            ref, group=self.awslogs_group, prefix=self.awslogs_stream_prefix, container=self.container_name,
            region=self.awslogs_region,
        )  # fmt: skip
        announce(context["ti"], ref, links)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="ecs_task_arn", value=ref.task_arn)

    def _waits(self) -> bool:
        return self._flag("wait_for_completion")

    def _stops_on_failure(self) -> bool:
        return self._flag("stop_task_on_failure")

    def _watch(self, launched: Launched, settings: Settings) -> EcsTaskWatch:
        return task_watch(self, EcsRunTaskOperator, launched, settings)

    def _trigger(self, watch: EcsTaskWatch) -> EcsTaskTrigger:
        from asyncrun.triggers.ecs import EcsTaskTrigger

        return EcsTaskTrigger(watch.to_dict())

    def _stop_now(self, ref: EcsTaskRef, why: str) -> bool:
        return stop(self.target, ref, why, self.log)

    def _ended(self, context: Context, completion: EcsCompletionEvent) -> str | None:  # noqa: ARG002 - as others
        raise_for_end(
            completion,
            skipping=skipping_container(completion.outcome, exit_code_test(self.skip_on_exit_code)),
            lines=as_count("number_logs_exception", self.number_logs_exception, at_least=0),
        )
        self.log.info("%s", completion.diagnosis.text())
        return completion.result if self.do_xcom_push else None
