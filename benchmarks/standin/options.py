"""What can be asked of the stand-in: faults of the server, and the behaviour of a task. Plain values."""

from __future__ import annotations

import msgspec

_EXACT = 1e-6  # s


class Options(msgspec.Struct, kw_only=True):
    """
    Behaviour of the server; can be changed while it runs (``POST /control/options``).

    :param quotas: enforce AWS's token buckets of the strict regions.
    :param throttle: share of the calls (0 to 1) answered by ThrottlingException at random.
    :param throttle_operations: only these are throttled at random; empty: all.
    :param latency: seconds that every answer is delayed.
    :param refuse_from: epoch seconds; from then on to ``refuse_until`` every call is answered by HTTP 503.
    :param page_events: most events in one page of log events; AWS's is 10,000.
    :param empty_pages: share of log pages that come back empty, with a token, as AWS's sometimes do.
    :param seed: of the random throttling.
    """

    quotas: bool = False
    throttle: float = 0.0
    throttle_operations: tuple[str, ...] = ()
    latency: float = 0.0
    refuse_from: float = 0.0
    refuse_until: float = 0.0
    page_events: int = 10_000
    empty_pages: float = 0.0
    seed: int = 1


class TaskSpec(msgspec.Struct, kw_only=True):
    """
    How a simulated task behaves. All times in seconds.

    :param containers: names, in the order of the definition; the first one decides.
    :param exit_codes: one for each container; shorter: 0 for the rest.
    :param startup: from RunTask to RUNNING; a third of it PROVISIONING, the rest PENDING.
    :param lifetime: from RUNNING to the end of the containers.
    :param deprovisioning: from there to STOPPED.
    :param stop_delay: from StopTask to the end of the containers (exit code 143).
    :param lines_per_second: of each container, while it runs.
    :param line_bytes: length of each line.
    :param last_lines: further lines that each container writes at its very end, all in one millisecond.
    :param flush: period in which the log driver sends lines away; awslogs: 5.
    :param ingest_delay: from there until they can be read.
    :param late_share: share of lines (0 to 1) that can be read only ``late_by`` seconds after their neighbours.
    :param hidden: DescribeTasks answers MISSING for that long: RunTask is eventually consistent.
    """

    containers: tuple[str, ...] = ("main",)
    exit_codes: tuple[int, ...] = (0,)
    startup: float = 0.0
    lifetime: float = 10.0
    deprovisioning: float = 5.0
    stop_delay: float = 1.0
    lines_per_second: float = 1.0
    line_bytes: int = 100
    last_lines: int = 0
    flush: float = 5.0
    ingest_delay: float = 0.2
    late_share: float = 0.0
    late_by: float = 4.0
    hidden: float = 0.0

    def written_in(self, seconds: float) -> int:
        """Lines that a container writes evenly in that time. Times since the epoch are exact to a quarter of a us."""
        return int((seconds + _EXACT) * self.lines_per_second)

    def exit_code(self, index: int) -> int:
        """Of the container with that index."""
        return self.exit_codes[index] if index < len(self.exit_codes) else 0
