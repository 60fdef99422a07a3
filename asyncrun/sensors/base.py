"""What the ECS sensors have in common: poke once, then wait in the triggerer; or poke as Airflow's sensors do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.bases.sensor import BaseSensorOperator

from asyncrun.model.errors import InvalidArgument
from asyncrun.operators import remote
from asyncrun.operators.base import AwsOperator, with_aws_fields
from asyncrun.operators.errors import StateNotReached, airflow_errors
from asyncrun.operators.run_control import backstop
from asyncrun.sensors.states import MISSING, NO_STATE, state_name, state_names
from asyncrun.spec.deadline import limit_of
from asyncrun.spec.values import as_bool, check_bool, check_text, has_unrendered, is_unrendered

if TYPE_CHECKING:
    from airflow.sdk import Context

    from asyncrun.clients.api import AwsAccess


class EcsStateSensor(AwsOperator, BaseSensorOperator):
    """
    Base of the sensors.

    ``timeout``, ``execution_timeout``, ``soft_fail``, ``never_fail`` and ``silent_fail`` mean what they mean for every
    sensor. While a sensor is deferred, ``poke_interval`` and ``mode`` have no meaning: the triggerer's watchers are
    shared by all.

    :param deferrable: True: poke once, then wait in the triggerer. False: poke in the worker, as ``mode`` says. A
        subclass that overrides ``poke`` is never deferred: the triggerer would not ask it.
    """

    template_fields: Sequence[str] = with_aws_fields()
    _states: type[StrEnum]
    _named: ClassVar[dict[str, str]]
    """The arguments that say what is watched, each with what is allowed."""
    _state_of_missing = MISSING
    """What it means that AWS does not know it."""
    target_state: Any
    failure_states: Any

    def __init__(self, *, deferrable: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self._missing_since: float | None = None

    def _check(self) -> None:
        """Refuse what cannot work; called where the DAG is parsed, and again with rendered values."""
        for name, what in self._named.items():
            check_text(name, getattr(self, name), what)
        known = {one.value for one in self._states}
        allowed = f"one of {', '.join(one.value for one in self._states)}"
        if not is_unrendered(self.target_state) and state_name(self.target_state) not in known:
            raise InvalidArgument("target_state", self.target_state, allowed)
        if self.failure_states is not None and not has_unrendered(self.failure_states):
            for name in state_names(self.failure_states):
                if name not in known:
                    raise InvalidArgument("failure_states", name, allowed)
        check_bool("deferrable", self.deferrable)

    def _failing(self) -> tuple[str, ...]:
        """The states that fail; the wanted one never does, and NONE only says that there are none."""
        spared = {state_name(self.target_state), NO_STATE}
        return tuple(name for name in state_names(self.failure_states) if name not in spared)

    def _subject(self) -> str:
        """What is watched, in words."""
        raise NotImplementedError

    def _watch(self, common: dict[str, Any]) -> Any:
        """The value from which a trigger watches it."""
        raise NotImplementedError

    def _trigger(self, watch: Any) -> Any:
        """The trigger that watches it."""
        raise NotImplementedError

    async def _read_state(self, access: AwsAccess) -> str:
        """Its present state, by one call; MISSING where AWS does not know it."""
        raise NotImplementedError

    def poke(self, context: Context) -> bool:
        """
        Ask once; for some seconds, if AWS does not answer.

        What AWS does not know may be young: that is no answer before ``missing_grace`` is over, except where it is
        what is waited for.

        :raises StateNotReached: it is in one of the failing states.
        """
        with airflow_errors():
            self._check()
            state = state_name(remote.ask(remote.Aws(self.target), self._read_state, log=self.log))
        grace = remote.running_settings().missing_grace
        if state != MISSING or self._is_missing_meant():
            return self._judge(self._state_of_missing if state == MISSING else state)
        if time.time() - self._missing_began(context) >= grace:
            return self._judge(self._state_of_missing, unknown=True)
        self.log.info("%s is not known to AWS; it may be young", self._subject())
        return False

    def _judge(self, state: str, *, unknown: bool = False) -> bool:
        """
        Whether that is the wanted state; raises if it is a failing one.

        :param unknown: AWS does not know it, and it is not young.
        """
        wanted, failing = state_name(self.target_state), self._failing()
        self.log.info("%s is %s, waiting for %s", self._subject(), state, wanted)
        if state == wanted:
            return True
        if state in failing or state == MISSING:
            why = "; AWS does not know it: check the name, the region and the account" if unknown else ""
            raise StateNotReached(
                f"{self._subject()} is {state}: waited for {wanted}, failing states are {', '.join(failing)}{why}"
            )
        return False

    def _is_missing_meant(self) -> bool:
        """Whether something that AWS does not know is what is waited for; else it may only be young."""
        return self._state_of_missing == state_name(self.target_state)

    def _missing_began(self, context: Context) -> float:
        """
        Since when AWS does not know it, seconds since the epoch.

        Between two pokes of ``mode="reschedule"`` nothing is remembered; then it counts from the first poke.
        """
        if self._missing_since is None:
            self._missing_since = time.time()
            first = context["ti"].get_first_reschedule_date(context) if self.reschedule else None
            if first is not None:
                self._missing_since = first.timestamp()
        return self._missing_since

    def execute(self, context: Context) -> Any:
        """
        Wait for the state.

        :raises StateNotReached: it is in one of the failing states.
        :raises AirflowSensorTimeout: ``timeout`` is over.
        :raises AirflowTaskTimeout: ``execution_timeout`` is over.
        :raises AirflowSkipException: one of both, with ``soft_fail`` or ``never_fail``.
        """
        with airflow_errors():
            self._check()
        if not as_bool("deferrable", self.deferrable):
            return super().execute(context)
        if type(self).poke is not EcsStateSensor.poke:
            self.log.info("Waiting in the worker: %s overrides poke()", type(self).__name__)
            return super().execute(context)
        with airflow_errors():
            settings = remote.settings()
        limit = limit_of(self._longest()).after(time.time())
        if self._poke_before_deferral():
            return None
        watch = self._watch(
            {
                "target": self.target,
                "desired": (state_name(self.target_state),),
                "failing": self._failing(),
                "deferred_at": time.time(),
                "deadline": limit,
            }
        )
        return self.defer(
            trigger=self._trigger(watch), method_name="execute_complete", timeout=backstop(watch, settings)
        )

    def _longest(self) -> float:
        """Seconds that the sensor may take: Airflow does not enforce ``execution_timeout`` after a deferral."""
        limits = [self.timeout] + ([self.execution_timeout.total_seconds()] if self.execution_timeout else [])
        return float(min(limits))

    def _poke_before_deferral(self) -> bool:
        """
        Ask once in the worker: what is already there needs no triggerer.

        An error of AWS does not fail the sensor here: the triggerer tells passing ones from lasting ones, and what is
        young from what does not exist.
        """
        from airflow.sdk.exceptions import AirflowSkipException

        from asyncrun.operators.errors import RemoteError

        try:
            with airflow_errors():
                self._check()
                state = state_name(remote.call(remote.Aws(self.target), self._read_state, log=self.log))
            if state != MISSING or self._is_missing_meant():
                return self._judge(self._state_of_missing if state == MISSING else state)
            self.log.info("%s is not known to AWS; waiting for it in the triggerer", self._subject())
            return False
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
        from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException, AirflowTaskTimeout

        facts: Mapping[str, Any] = event if isinstance(event, Mapping) else {"status": event}
        status, state = facts.get("status"), facts.get("state") or "unknown"
        if status == "success":
            self.log.info("%s is %s", self._subject(), state_name(self.target_state))
            return
        failing = ", ".join(self._failing()) or "none"
        said = f"{self._subject()} is {state}: waited for {state_name(self.target_state)}, failing states are {failing}"
        message = "\n".join(one for one in (said, str(facts.get("message") or "")) if one)
        if status == "timeout" and self._longest() < self.timeout:
            late = f"Timed out: execution_timeout={self.execution_timeout}. {message}"
            raise AirflowSkipException(late) if self.soft_fail or self.never_fail else AirflowTaskTimeout(late)
        if status == "timeout":
            raise AirflowSensorTimeout(f"Timed out after {self.timeout:g} s. {message}")
        raise StateNotReached(message)
