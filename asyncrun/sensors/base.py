"""What the ECS sensors have in common: poke once, then wait in the triggerer; or poke as Airflow's sensors do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.sensor import BaseSensorOperator
from airflow.sdk.definitions._internal.types import NOTSET, ArgNotSet

from asyncrun.model.errors import InvalidArgument
from asyncrun.operators import remote
from asyncrun.operators.base import AwsArguments, with_aws_fields
from asyncrun.operators.errors import StateNotReached, airflow_errors
from asyncrun.sensors.states import NO_STATE, state_name, state_names
from asyncrun.spec.values import as_bool, has_unrendered, is_unrendered

if TYPE_CHECKING:
    from airflow.sdk import Context

    from asyncrun.clients.api import AwsAccess


class EcsStateSensor(AwsArguments, BaseSensorOperator):
    """
    Base of the sensors.

    ``timeout``, ``soft_fail``, ``never_fail`` and ``silent_fail`` mean what they mean for every sensor. While a sensor
    is deferred, ``poke_interval`` and ``mode`` have no meaning: all sensors share the triggerer's watchers.

    :param deferrable: True: poke once, then wait in the triggerer. False: poke in the worker, as ``mode`` says. A
        subclass that overrides ``poke`` is never deferred: the triggerer would not ask it.
    """

    template_fields: Sequence[str] = with_aws_fields()
    _states: type[StrEnum]
    target_state: Any
    failure_states: Any

    def __init__(
        self,
        *,
        deferrable: bool = True,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
        region: str | ArgNotSet | None = NOTSET,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_aws(aws_conn_id, region_name, verify, botocore_config, region)
        self.deferrable = deferrable

    def _check(self) -> None:
        """Refuse states that do not exist; called where the DAG is parsed, and again with rendered values."""
        known = {one.value for one in self._states}
        allowed = f"one of {', '.join(one.value for one in self._states)}"
        if not is_unrendered(self.target_state) and state_name(self.target_state) not in known:
            raise InvalidArgument("target_state", self.target_state, allowed)
        if self.failure_states is not None and not has_unrendered(self.failure_states):
            for name in state_names(self.failure_states):
                if name not in known:
                    raise InvalidArgument("failure_states", name, allowed)
        if not is_unrendered(self.deferrable):
            as_bool("deferrable", self.deferrable)

    def _failing(self) -> tuple[str, ...]:
        """The states that fail; the wanted one never does, and NONE only says that there are none."""
        spared = {state_name(self.target_state), NO_STATE}
        return tuple(name for name in state_names(self.failure_states) if name not in spared)

    def _subject(self) -> str:
        """What is watched, in words."""
        raise NotImplementedError

    def _trigger(self, common: dict[str, Any]) -> Any:
        """The trigger that watches it."""
        raise NotImplementedError

    async def _read_state(self, access: AwsAccess) -> str:
        """Its present state, by one call."""
        raise NotImplementedError

    def poke(self, context: Context) -> bool:  # noqa: ARG002 - Airflow's signature
        """
        Ask once.

        :raises StateNotReached: it is in one of the failing states.
        """
        with airflow_errors():
            self._check()
            state = state_name(remote.call_aws(self.target, self._read_state))
        wanted, failing = state_name(self.target_state), self._failing()
        self.log.info("%s is %s, waiting for %s", self._subject(), state, wanted)
        if state == wanted:
            return True
        if state in failing:
            raise StateNotReached(
                f"{self._subject()} is {state}: waited for {wanted}, failing states are {', '.join(failing)}"
            )
        return False

    def execute(self, context: Context) -> Any:
        """
        Wait for the state.

        :raises StateNotReached: it is in one of the failing states.
        :raises AirflowSensorTimeout: ``timeout`` is over.
        :raises AirflowSkipException: one of both, with ``soft_fail`` or ``never_fail``.
        """
        with airflow_errors():
            self._check()
        if not as_bool("deferrable", self.deferrable):
            return super().execute(context)
        if type(self).poke is not EcsStateSensor.poke:
            self.log.info("Waiting in the worker: %s overrides poke()", type(self).__name__)
            return super().execute(context)
        started = time.time()
        if self._poke_before_deferral(context):
            return None
        with airflow_errors():
            backstop = remote.settings().backstop
        common = {
            "target": self.target,
            "desired": (state_name(self.target_state),),
            "failing": self._failing(),
            "deferred_at": time.time(),
            "deadline": started + self.timeout,
        }
        return self.defer(
            trigger=self._trigger(common),
            method_name="execute_complete",
            # only for a trigger that never runs: our own deadline is before it
            timeout=timedelta(seconds=self.timeout + backstop),
        )

    def _poke_before_deferral(self, context: Context) -> bool:
        """
        Ask once in the worker: what is already there needs no triggerer.

        An error of AWS does not fail the sensor here: the triggerer tells passing ones from lasting ones.
        """
        from airflow.sdk.exceptions import AirflowSkipException

        from asyncrun.operators.errors import RemoteError

        try:
            return self.poke(context)
        except RemoteError as error:
            self.log.warning("Could not ask now, going on in the triggerer: %s", error)
            return False
        except StateNotReached as error:
            if self.soft_fail or self.never_fail:  # as BaseSensorOperator.resume_execution does after a deferral
                raise AirflowSkipException(str(error)) from error
            raise

    def execute_complete(self, context: Context, event: Any = None) -> None:  # noqa: ARG002 - Airflow's call
        """
        Say how the wait ended, in the worker.

        :param event: ``{"status": "success" | "failed" | "timeout", "state": ..., "message": ...}``.
        """
        from airflow.sdk.exceptions import AirflowSensorTimeout

        facts: Mapping[str, Any] = event if isinstance(event, Mapping) else {"status": event}
        status, state = facts.get("status"), facts.get("state") or "unknown"
        if status == "success":
            self.log.info("%s is %s", self._subject(), state_name(self.target_state))
            return
        failing = ", ".join(self._failing()) or "none"
        said = f"{self._subject()} is {state}: waited for {state_name(self.target_state)}, failing states are {failing}"
        message = "\n".join(one for one in (said, str(facts.get("message") or "")) if one)
        if status == "timeout":
            raise AirflowSensorTimeout(f"Timed out after {self.timeout:g} s. {message}")
        raise StateNotReached(message)
