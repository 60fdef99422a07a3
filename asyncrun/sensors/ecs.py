"""The sensors for AWS ECS, under the names that the amazon provider gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from asyncrun.model.errors import NotFound
from asyncrun.operators.base import with_aws_fields
from asyncrun.sensors.base import EcsStateSensor
from asyncrun.sensors.states import (
    MISSING,
    NO_STATE,
    EcsClusterStates,
    EcsTaskDefinitionStates,
    EcsTaskStates,
    state_name,
    state_names,
)
from asyncrun.spec.values import is_unrendered

if TYPE_CHECKING:
    from asyncrun.clients.api import AwsAccess


class EcsClusterStateSensor(EcsStateSensor):
    """
    Wait until a cluster has a state.

    One that ECS does not know is INACTIVE: a deleted cluster is forgotten after a while. But where another state is
    waited for, it may be young, so that takes ``[asyncrun] missing_grace``.

    :param cluster_name: name or ARN.
    :param target_state: the state to wait for (ACTIVE).
    :param failure_states: states that fail the sensor at once (FAILED, INACTIVE); the target state is never one.
    """

    template_fields: Sequence[str] = with_aws_fields("cluster_name", "target_state", "failure_states")
    _states = EcsClusterStates
    _state_of_missing = EcsClusterStates.INACTIVE.value
    _named: ClassVar[dict[str, str]] = {"cluster_name": "the name or ARN of a cluster"}

    def __init__(
        self,
        *,
        cluster_name: str,
        target_state: EcsClusterStates | str | None = EcsClusterStates.ACTIVE,
        failure_states: set[EcsClusterStates] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_name = cluster_name
        self.target_state = target_state or EcsClusterStates.ACTIVE
        self.failure_states = failure_states or {EcsClusterStates.FAILED, EcsClusterStates.INACTIVE}
        self._check()

    def _subject(self) -> str:
        return f"cluster {self.cluster_name}"

    def _watch(self, common: dict[str, Any]) -> Any:
        from asyncrun.model.ecs_watch import EcsClusterWatch

        return EcsClusterWatch(cluster=self.cluster_name, **common)

    def _trigger(self, watch: Any) -> Any:
        from asyncrun.triggers.ecs import EcsClusterTrigger

        return EcsClusterTrigger(watch.to_dict())

    async def _read_state(self, access: AwsAccess) -> str:
        described = await access.ecs.describe_clusters([self.cluster_name])
        return str(described.items[0].get("status", "")) if described.items else MISSING


class EcsTaskDefinitionStateSensor(EcsStateSensor):
    """
    Wait until a task definition has a state.

    What fails the sensor at once, as ``failure_states``: waiting for ACTIVE, that it is INACTIVE or being deleted
    (a revision never becomes active again); waiting for INACTIVE, that it is being deleted. ACTIVE does not fail a wait
    for INACTIVE: it is where every definition comes from. (Upstream names it as a failure and, by a mistake, never
    looks: DAGs rely on the waiting.) One that ECS has not known for ``[asyncrun] missing_grace`` fails, too.

    :param task_definition: family (its latest ACTIVE revision), family:revision or ARN.
    :param target_state: the state to wait for (ACTIVE).
    """

    template_fields: Sequence[str] = with_aws_fields("task_definition", "target_state", "failure_states")
    _states = EcsTaskDefinitionStates
    _named: ClassVar[dict[str, str]] = {"task_definition": "a family, family:revision or ARN"}

    def __init__(
        self,
        *,
        task_definition: str,
        target_state: EcsTaskDefinitionStates | str | None = EcsTaskDefinitionStates.ACTIVE,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.task_definition = task_definition
        self.target_state = target_state or EcsTaskDefinitionStates.ACTIVE
        unknown = is_unrendered(self.target_state)
        self.failure_states = None if unknown else set(self._states_that_fail(state_name(self.target_state)))
        self._check()

    @staticmethod
    def _states_that_fail(target: str) -> tuple[EcsTaskDefinitionStates, ...]:
        gone = EcsTaskDefinitionStates.DELETE_IN_PROGRESS
        if target == EcsTaskDefinitionStates.ACTIVE:
            return (EcsTaskDefinitionStates.INACTIVE, gone)
        return () if target == gone else (gone,)

    def _failing(self) -> tuple[str, ...]:
        if self.failure_states is None:  # the target was a template
            return state_names(self._states_that_fail(state_name(self.target_state)))
        return super()._failing()

    def _subject(self) -> str:
        return f"task definition {self.task_definition}"

    def _watch(self, common: dict[str, Any]) -> Any:
        from asyncrun.model.ecs_watch import EcsTaskDefinitionWatch

        return EcsTaskDefinitionWatch(name=self.task_definition, **common)

    def _trigger(self, watch: Any) -> Any:
        from asyncrun.triggers.ecs import EcsTaskDefinitionTrigger

        return EcsTaskDefinitionTrigger(watch.to_dict())

    async def _read_state(self, access: AwsAccess) -> str:
        try:
            definition = await access.ecs.describe_task_definition(self.task_definition)
        except NotFound:
            return MISSING
        return str(definition.get("status", ""))


class EcsTaskStateSensor(EcsStateSensor):
    """
    Wait until an ECS task has a state.

    :param cluster: name or ARN of its cluster.
    :param task: id or ARN.
    :param target_state: the state to wait for (RUNNING).
    :param failure_states: states that fail the sensor at once (STOPPED); the target state is never one. To wait for
        STOPPED, ``failure_states={EcsTaskStates.NONE}`` says that nothing fails it; leaving it out does the same.
    """

    template_fields: Sequence[str] = with_aws_fields("cluster", "task", "target_state", "failure_states")
    _states = EcsTaskStates
    _named: ClassVar[dict[str, str]] = {
        "cluster": "the name or ARN of a cluster",
        "task": "the id or ARN of an ECS task",
    }

    def __init__(
        self,
        *,
        cluster: str,
        task: str,
        target_state: EcsTaskStates | str | None = EcsTaskStates.RUNNING,
        failure_states: set[EcsTaskStates] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster = cluster
        self.task = task
        self.target_state = target_state or EcsTaskStates.RUNNING
        self.failure_states = failure_states or {EcsTaskStates.STOPPED}
        self._check()

    def _subject(self) -> str:
        return f"ECS task {self.task} in cluster {self.cluster}"

    def _watch(self, common: dict[str, Any]) -> Any:
        from asyncrun.model.ecs_watch import EcsTaskStateWatch

        return EcsTaskStateWatch(cluster=self.cluster, task=self.task, **common)

    def _trigger(self, watch: Any) -> Any:
        from asyncrun.triggers.ecs import EcsTaskStateTrigger

        return EcsTaskStateTrigger(watch.to_dict())

    async def _read_state(self, access: AwsAccess) -> str:
        described = await access.ecs.describe_tasks(self.cluster, [self.task])
        if described.items:
            return str(described.items[0].get("lastStatus", ""))
        # Whoever waits for NONE waits for just that.
        return NO_STATE if state_name(self.target_state) == NO_STATE else MISSING


__all__ = [
    "EcsClusterStateSensor",
    "EcsClusterStates",
    "EcsTaskDefinitionStateSensor",
    "EcsTaskDefinitionStates",
    "EcsTaskStateSensor",
    "EcsTaskStates",
]
