"""Operators that create and delete ECS clusters."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from asyncrun.operators import remote
from asyncrun.operators.base import AwsOperator, with_aws_fields
from asyncrun.operators.errors import StateNotReached, airflow_errors
from asyncrun.operators.run_control import backstop
from asyncrun.spec.deadline import longest_wait
from asyncrun.spec.values import as_bool, as_count, as_seconds, check_bool, check_text, check_type

if TYPE_CHECKING:
    from airflow.sdk import Context

    from asyncrun.clients.api import AwsAccess


class _ClusterOperator(AwsOperator):
    """Do one call, then wait for a state of the cluster where that is wanted and not yet there."""

    _desired = ""
    _failing: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        cluster_name: str,
        wait_for_completion: bool = True,
        waiter_delay: int = 15,
        waiter_max_attempts: int = 60,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cluster_name = cluster_name
        self.wait_for_completion = wait_for_completion
        self.waiter_delay = waiter_delay
        self.waiter_max_attempts = waiter_max_attempts
        self.deferrable = deferrable
        self._check()

    def _check(self) -> None:
        check_text("cluster_name", self.cluster_name, "the name of a cluster")
        as_seconds("waiter_delay", self.waiter_delay)
        as_count("waiter_max_attempts", self.waiter_max_attempts, at_least=1)
        check_bool("wait_for_completion", self.wait_for_completion)
        check_bool("deferrable", self.deferrable)

    def _wait_for(self, context: Context, cluster: dict[str, Any]) -> dict[str, Any]:
        state = cluster.get("status")
        self.log.info("Cluster %s is %s", cluster.get("clusterArn"), state)
        if state == self._desired or not as_bool("wait_for_completion", self.wait_for_completion):
            return cluster
        from asyncrun.model.ecs_watch import EcsClusterWatch
        from asyncrun.triggers.ecs import EcsClusterTrigger

        now = time.time()
        watch = EcsClusterWatch(
            target=self.target,
            cluster=str(cluster["clusterArn"]),
            desired=(self._desired,),
            failing=self._failing,
            deferred_at=now,
            deadline=longest_wait(self.waiter_delay, self.waiter_max_attempts, self.execution_timeout).after(now),
        )
        trigger = EcsClusterTrigger(watch.to_dict())
        if as_bool("deferrable", self.deferrable):
            self.defer(
                trigger=trigger,
                method_name="execute_complete",
                kwargs={"cluster_arn": watch.cluster},
                timeout=backstop(watch, remote.running_settings()),
            )
        with airflow_errors():
            event = remote.wait_here(trigger)
        return self.execute_complete(context, event, cluster_arn=watch.cluster)

    def execute_complete(
        self,
        context: Context,  # noqa: ARG002 - Airflow's call
        event: Any = None,
        *,
        cluster_arn: str = "",
    ) -> dict[str, Any]:
        """
        Describe the cluster after the wait.

        :return: the cluster, as DescribeClusters tells it.
        :raises StateNotReached: it is in a state from which the wanted one is not awaited, or it took too long.
        """
        if not isinstance(event, Mapping) or event.get("status") != "success":
            message = event.get("message") if isinstance(event, Mapping) else None
            raise StateNotReached(
                message or f"cluster {self.cluster_name} did not become {self._desired}: the trigger said {event!r}"
            )

        async def work(access: AwsAccess) -> dict[str, Any]:
            described = await access.ecs.describe_clusters([cluster_arn])
            # A deleted cluster is forgotten after a while.
            return described.items[0] if described.items else {"clusterArn": cluster_arn, "status": self._desired}

        with airflow_errors():
            return remote.ask(remote.Aws(self.target), work, log=self.log)


class EcsCreateClusterOperator(_ClusterOperator):
    """
    Create an ECS cluster.

    :param cluster_name: its name.
    :param create_cluster_kwargs: further arguments of CreateCluster.
    :param wait_for_completion: wait until it is ACTIVE. False: return at once, also with ``deferrable=True``.
    :param waiter_delay: with ``waiter_max_attempts``, the longest wait in seconds.
    :param waiter_max_attempts: see ``waiter_delay``.
    :param deferrable: wait in the triggerer (True) or in the worker.
    :return: the cluster, as CreateCluster or DescribeClusters tells it.
    """

    template_fields: Sequence[str] = with_aws_fields(
        "cluster_name", "create_cluster_kwargs", "wait_for_completion", "deferrable"
    )
    _desired = "ACTIVE"
    _failing = ("FAILED", "INACTIVE")

    def __init__(self, *, create_cluster_kwargs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.create_cluster_kwargs = create_cluster_kwargs or {}
        check_type("create_cluster_kwargs", self.create_cluster_kwargs, Mapping, "a dict of CreateCluster's arguments")

    def execute(self, context: Context) -> dict[str, Any]:
        """Create the cluster and wait for it as the arguments say."""

        async def work(access: AwsAccess) -> dict[str, Any]:
            return await access.ecs.create_cluster({"clusterName": self.cluster_name, **self.create_cluster_kwargs})

        with airflow_errors():
            self._check()
            remote.settings()  # a mistake in them refuses before anything is done
            self.log.info("Creating cluster %s", self.cluster_name)
            cluster = remote.ask(remote.Aws(self.target), work, log=self.log)
        return self._wait_for(context, cluster)


class EcsDeleteClusterOperator(_ClusterOperator):
    """
    Delete an ECS cluster.

    :param cluster_name: its name or ARN.
    :param wait_for_completion: wait until it is INACTIVE. False: return at once, also with ``deferrable=True``.
    :param waiter_delay: with ``waiter_max_attempts``, the longest wait in seconds.
    :param waiter_max_attempts: see ``waiter_delay``.
    :param deferrable: wait in the triggerer (True) or in the worker.
    :return: the cluster, as DeleteCluster or DescribeClusters tells it.
    """

    template_fields: Sequence[str] = ("cluster_name", "wait_for_completion", "deferrable")
    _desired = "INACTIVE"

    def execute(self, context: Context) -> dict[str, Any]:
        """Delete the cluster and wait for it as the arguments say."""
        from asyncrun.clients.patience import change_patiently

        async def work(access: AwsAccess) -> dict[str, Any]:
            return await change_patiently(
                lambda: access.ecs.delete_cluster(self.cluster_name),
                lambda: self._deleted(access),
                lambda why: self.log.warning("%s", why),
            )

        with airflow_errors():
            self._check()
            remote.settings()  # a mistake in them refuses before anything is done
            self.log.info("Deleting cluster %s", self.cluster_name)
            cluster = remote.call(remote.Aws(self.target), work, log=self.log)
        return self._wait_for(context, cluster)

    async def _deleted(self, access: AwsAccess) -> dict[str, Any] | None:
        """The cluster if it is ACTIVE no longer; ECS forgets it after a while."""
        described = await access.ecs.describe_clusters([self.cluster_name])
        if not described.items:
            return {"clusterArn": self.cluster_name, "status": self._desired}
        return None if described.items[0].get("status") == "ACTIVE" else described.items[0]
