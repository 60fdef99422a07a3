"""What a try notes of its run in Airflow's task state store, so that the next try finds it if the worker dies."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from asyncrun.model.errors import MalformedAnswer
from asyncrun.model.refs import LaunchPhase, LaunchRecord, RunRef

Record = TypeVar("Record", bound=LaunchRecord)

STORE_KEY = "asyncrun_run"
"""Key in the task state store; the next release must still find it there."""

_TAKEN_AGAIN = "should nobody note more, the next try takes it over also when it has ended"
_CONSEQUENCES = {
    LaunchPhase.LAUNCHED: "should this worker die, the next try may not find it once it has ended",
    LaunchPhase.HANDED_OVER: _TAKEN_AGAIN,
    LaunchPhase.SETTLED: _TAKEN_AGAIN,
}


class LaunchNotes(Generic[Record]):
    """
    The note of one task instance; it survives retries and clearing.

    Every failure of the store is logged and goes no further: reattach then finds only what still runs. ``Exception`` is
    caught because the store may be anybody's code (``[workers] state_store_backend``).

    :param kind: of the record.
    :param context: of the task that runs now.
    :param wanted: False: nothing is read or written.
    """

    def __init__(self, kind: type[Record], context: Mapping[str, Any], log: Any, *, wanted: bool) -> None:
        self._kind, self._log = kind, log
        self._ti: Any = context.get("ti")
        self._store: Any = context.get("task_state_store") if wanted else None

    def read(self) -> Record | None:
        """What an earlier try noted last; None if it noted nothing, or it cannot be read."""
        if self._store is None:
            return None
        try:
            stored = self._store.get(STORE_KEY)
        except Exception as error:  # noqa: BLE001 - see above
            self._warn("be read", error, "the run of an earlier try may not be found once it has ended")
            return None
        if stored is None:
            return None
        try:
            return self._kind.from_dict(stored)
        except MalformedAnswer as error:
            self._log.warning("What lies in Airflow's task state store is not used: %s", error)
            return None

    def write(self, ref: RunRef, phase: LaunchPhase) -> None:
        """Note who answers for the run from now on."""
        if self._store is None:
            return
        record = self._kind(
            ref=ref, ti_id=str(self._ti.id), try_number=self._ti.try_number, phase=phase, noted_at=time.time()
        )
        try:
            self._store.set(STORE_KEY, record.to_dict())
        except Exception as error:  # noqa: BLE001 - see above
            self._warn(f"be told that {ref} is {phase.value}", error, _CONSEQUENCES[phase])

    def _warn(self, what: str, error: Exception, consequence: str) -> None:
        self._log.warning(
            "Airflow's task state store could not %s (%s: %s): %s", what, type(error).__name__, error, consequence
        )
