"""What the trigger reports to the worker: a typed, versioned value that lives in Airflow's database for a while."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from asyncrun.model.diagnosis import Diagnosis
from asyncrun.model.outcome import Outcome
from asyncrun.model.refs import EcsTaskRef, OfRun, PodRef

RESULT_LIMIT = 256 * 1024
"""Bytes of an ECS task's ``result`` (a pod's: setting ``pod_xcom_limit``). It passes through the database, and through
the supervisor, which serves one triggerer's requests one after the other. CloudWatch
took no longer lines until 2025 (now 1 MB)."""
LAST_LINES_LIMIT = 64 * 1024
"""Bytes of all ``last_lines`` together, which are shown in one exception's text."""
_LONGEST_REPR = 500  # characters


class CompletionEvent(OfRun, frozen=True, kw_only=True):
    """
    The end of one container run.

    :param ref: which run.
    :param outcome: what became of it.
    :param diagnosis: why.
    :param last_lines: of a failure: the last lines of the container to blame, for the exception.
    :param result: for the XCom ``return_value``: of an ECS task that succeeded, the very last line of the deciding
        container; of a pod, the JSON that its base container left. None if there is nothing, or nobody wants it.
    """

    what: ClassVar[str] = "the trigger's event"
    outcome: Outcome
    diagnosis: Diagnosis
    last_lines: tuple[str, ...] = ()
    result: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As Airflow stores it."""
        return _Payload(super().to_dict())


class EcsCompletionEvent(CompletionEvent, frozen=True, kw_only=True):
    """The end of an ECS task."""

    ref: EcsTaskRef


class PodCompletionEvent(CompletionEvent, frozen=True, kw_only=True):
    """The end of a pod."""

    ref: PodRef


class _Payload(dict[str, Any]):
    """
    An ordinary dict but for its ``repr``, which Airflow's triggerer writes into the task log, through a pipe that all
    triggers share, as "Trigger fired event": neither a long line nor one that is not to be logged may come there.
    """

    def __repr__(self) -> str:
        text = f"{self['outcome']['verdict']}: {self['diagnosis']['summary']}"
        return text if len(text) <= _LONGEST_REPR else f"{text[:_LONGEST_REPR]}..."


def cut_result(line: str) -> tuple[str, int]:
    """
    A last line as it may be a ``result``.

    :return: its first ``RESULT_LIMIT`` bytes, and how many bytes were cut.
    """
    whole = line.encode(errors="replace")  # a half of a surrogate pair is nothing that UTF-8 could carry
    kept = whole[:RESULT_LIMIT]
    return kept.decode(errors="ignore"), len(whole) - len(kept)


def cut_last_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """As many of the last of these lines as ``LAST_LINES_LIMIT`` allows; how many are missing is said first."""
    every = tuple(lines)
    room, first = LAST_LINES_LIMIT, len(every)
    while first and (room := room - len(every[first - 1].encode(errors="replace"))) >= 0:
        first -= 1
    if not first:
        return every
    if first == len(every):  # not even one of them
        return (every[-1].encode(errors="replace")[:LAST_LINES_LIMIT].decode(errors="ignore") + " ... [cut]",)
    return (f"[{first} earlier lines are left out here: {LAST_LINES_LIMIT} bytes are shown at most]", *every[first:])
