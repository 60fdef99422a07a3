"""Operators that register and deregister ECS task definitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asyncrun.operators import remote
from asyncrun.operators.base import AwsOperator
from asyncrun.operators.errors import airflow_errors
from asyncrun.spec.ecs import names_of
from asyncrun.spec.ecs_checks import check_container_definitions
from asyncrun.spec.values import check_text, check_type

if TYPE_CHECKING:
    from airflow.sdk import Context

    from asyncrun.clients.api import AwsAccess


class EcsRegisterTaskDefinitionOperator(AwsOperator):
    """
    Register a task definition.

    :param family: its name.
    :param container_definitions: RegisterTaskDefinition's ``containerDefinitions``. Never logged: they may
        hold secrets.
    :param register_task_kwargs: further arguments of RegisterTaskDefinition.
    :return: the ARN of the new revision; also as XCom ``task_definition_arn``.
    """

    template_fields: Sequence[str] = ("family", "container_definitions", "register_task_kwargs")

    def __init__(
        self,
        *,
        family: str,
        container_definitions: list[dict[str, Any]],
        register_task_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.family = family
        self.container_definitions = container_definitions
        self.register_task_kwargs = register_task_kwargs or {}
        self._check()

    def _check(self) -> None:
        check_text("family", self.family, "a name")
        check_container_definitions(self.container_definitions)
        check_type("register_task_kwargs", self.register_task_kwargs, Mapping, "a dict of further arguments")

    def execute(self, context: Context) -> str:
        """Register it."""

        # Repeated though it is not idempotent: the revision that an attempt whose answer was lost may have made harms
        # nobody, and this task's next try would make another one just the same.
        async def work(access: AwsAccess) -> dict[str, Any]:
            return await access.ecs.register_task_definition(
                {
                    "family": self.family,
                    "containerDefinitions": self.container_definitions,
                    **self.register_task_kwargs,
                }
            )

        with airflow_errors():
            self._check()
            remote.settings()  # a mistake in them refuses before anything is done
            names = ", ".join(names_of(self.container_definitions))
            self.log.info("Registering task definition %s with containers %s", self.family, names)
            definition = remote.ask(remote.Aws(self.target), work, log=self.log)
        arn = str(definition["taskDefinitionArn"])
        self.log.info("Task definition %s is %s", arn, definition.get("status"))
        context["ti"].xcom_push(key="task_definition_arn", value=arn)
        return arn


class EcsDeregisterTaskDefinitionOperator(AwsOperator):
    """
    Deregister a task definition.

    :param task_definition: family:revision or ARN; a family alone does not do.
    :return: its ARN.
    """

    template_fields: Sequence[str] = ("task_definition",)

    def __init__(self, *, task_definition: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.task_definition = task_definition
        self._check()

    def _check(self) -> None:
        check_text("task_definition", self.task_definition, "family:revision or an ARN")

    def execute(self, context: Context) -> str:  # noqa: ARG002 - Airflow's call
        """Deregister it."""
        from asyncrun.clients.patience import change_patiently

        async def work(access: AwsAccess) -> dict[str, Any]:
            return await change_patiently(
                lambda: access.ecs.deregister_task_definition(self.task_definition),
                lambda: self._deregistered(access),
                lambda why: self.log.warning("%s", why),
            )

        with airflow_errors():
            self._check()
            remote.settings()  # a mistake in them refuses before anything is done
            self.log.info("Deregistering task definition %s", self.task_definition)
            definition = remote.call(remote.Aws(self.target), work, log=self.log)
        arn = str(definition["taskDefinitionArn"])
        self.log.info("Task definition %s is %s", arn, definition.get("status"))
        return arn

    async def _deregistered(self, access: AwsAccess) -> dict[str, Any] | None:
        """The definition if it is ACTIVE no longer."""
        definition = await access.ecs.describe_task_definition(self.task_definition)
        return None if definition.get("status") == "ACTIVE" else definition
