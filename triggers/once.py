"""A way into the task log that writes each record of a run once, though the run is watched again from its start."""

from __future__ import annotations

from collections.abc import Sequence

from asyncrun.triggers.logs.channel import Sink
from asyncrun.triggers.logs.records import Record
from asyncrun.triggers.logs.takeover.past import Past


class OnceSink:
    """
    Passes on what does not stand in the task log yet.

    Airflow's reader drops records that are equal, but not reliably within one file: a log that is written again there
    shows twice. Records are a pure function of what a container wrote, and each has a millisecond of its own that only
    grows, so the last one written says where to go on. What earlier triggerers wrote stands in files of their own; with
    ``log_takeover = continue`` it is known, and is not written again either.

    :param past: what earlier files hold; None: all is written. It is closed by whoever made it.
    """

    def __init__(self, sink: Sink, past: Past | None = None) -> None:
        self._sink, self._past = sink, past
        self._written: dict[str, int] = {}  # the last record's stamp, by logger

    def fill(self) -> int | None:
        """Bytes of kernel memory that wait for Airflow's supervisor, of all runs; None where it cannot be known."""
        return self._sink.fill()

    def has_passed(self) -> bool:
        """Whether the supervisor has taken all that was written here; True where that cannot be known."""
        return self._sink.has_passed()

    def new(self, records: Sequence[Record]) -> list[Record]:
        """
        Those that ``emit`` would write: what stands in the log already need not wait for its turn.

        Changes nothing: what is new stays new until it was written.
        """
        written, past = self._written, self._past
        return [
            record
            for record in records
            if record.stamp_ms > written.get(record.logger, -1) and (past is None or not past.holds(record))
        ]

    async def emit(self, records: Sequence[Record]) -> None:
        """
        Write those that are new.

        :raises OSError: the supervisor is gone.
        """
        new = self.new(records)
        if not new:
            return
        await self._sink.emit(new)
        for record in new:
            self._written[record.logger] = record.stamp_ms
            if self._past is not None:
                self._past.forget(record.logger, record.stamp_ms)
