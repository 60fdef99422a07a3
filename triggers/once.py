"""A way into the task log that writes each record of a run once, though the run is watched again from its start."""

from __future__ import annotations

from collections.abc import Sequence

from asyncrun.triggers.logs.channel import Sink
from asyncrun.triggers.logs.records import Record


class OnceSink:
    """
    Passes on what was not passed on before.

    Airflow's reader drops records that are equal, but not reliably within one file: a log that is written again there
    shows twice. Records are a pure function of what a container wrote, and each has a millisecond of its own that only
    grows, so the last one written says where to go on.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._written: dict[str, int] = {}  # the last record's stamp, by logger

    def fill(self) -> int | None:
        """Bytes of kernel memory that wait for Airflow's supervisor, of all runs; None where it cannot be known."""
        return self._sink.fill()

    def has_passed(self) -> bool:
        """Whether the supervisor has taken all that was written here; True where that cannot be known."""
        return self._sink.has_passed()

    async def emit(self, records: Sequence[Record]) -> None:
        """
        Write those that are new.

        :raises OSError: the supervisor is gone.
        """
        new = [record for record in records if record.stamp_ms > self._written.get(record.logger, -1)]
        if new:
            await self._sink.emit(new)
            self._written.update((record.logger, record.stamp_ms) for record in new)
