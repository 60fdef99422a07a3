"""What the trigger reports to the worker: a typed, versioned value that lives in Airflow's database for a while."""

from __future__ import annotations

from typing import Any

import msgspec

from asyncrun.model.diagnosis import Diagnosis
from asyncrun.model.errors import MalformedAnswer
from asyncrun.model.outcome import Outcome
from asyncrun.model.refs import EcsTaskRef

VERSION = 1


class CompletionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """
    The end of one container run.

    :param ref: which run.
    :param outcome: what became of it.
    :param diagnosis: why.
    :param last_lines: the last lines of the deciding container, for the exception.
    :param result: the very last line of that container, for the XCom ``return_value``; None if it wrote nothing.
    :param version: of this structure; readers accept every older one.
    """

    ref: EcsTaskRef
    outcome: Outcome
    diagnosis: Diagnosis
    last_lines: tuple[str, ...] = ()
    result: str | None = None
    version: int = VERSION

    def to_payload(self) -> dict[str, Any]:
        """Plain values, as Airflow stores them."""
        payload: dict[str, Any] = msgspec.to_builtins(self)
        return payload

    @classmethod
    def from_payload(cls, payload: object) -> CompletionEvent:
        """
        Read what ``to_payload`` wrote, in this or an older release.

        :raises MalformedAnswer: where it is something else.
        """
        try:
            return msgspec.convert(payload, cls)
        except msgspec.ValidationError as error:
            raise MalformedAnswer(f"the trigger's event cannot be read: {error}") from error
