"""The figures of one measurement. Plain values, saved as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """
    Of a number of times in seconds.

    :param missing: of which there is no time, since what was waited for never came: they are in none of the others.
    """

    median: float
    p95: float
    p99: float
    longest: float
    missing: int = 0

    @classmethod
    def of(cls, values: Iterable[float], expected: int = 0) -> Spread:
        """
        Not-a-number where there are none.

        :param expected: how many there should be.
        """
        ranked = sorted(values)
        missing = max(0, expected - len(ranked))
        if not ranked:
            return cls(math.nan, math.nan, math.nan, math.nan, missing)
        at = (len(ranked) // 2, *(min(len(ranked) - 1, int(len(ranked) * share)) for share in (0.95, 0.99)), -1)
        median, p95, p99, longest = (round(ranked[index], 3) for index in at)
        return cls(median, p95, p99, longest, missing)


class Lines(msgspec.Struct, kw_only=True):
    """
    What became of the containers' lines.

    :param lost: never arrived.
    :param left: of an upstream pod: not shown by its trigger, the last ones: its operator reads them on a worker.
    :param doubled: arrived more than once.
    :param disordered: arrived after a later line of their container, or with an older stamp than the one before.
    :param homeless: arrived after their trigger was finished: in Airflow they miss the task's log.
    :param elsewhere: arrived in the log of another task.
    :param most_per_second: that arrived, in the busiest ten seconds.
    """

    written: int = 0
    arrived: int = 0
    lost: int = 0
    left: int = 0
    doubled: int = 0
    disordered: int = 0
    homeless: int = 0
    elsewhere: int = 0
    most_per_second: float = 0.0
    examples: list[str] = []


class Loop(msgspec.Struct, kw_only=True):
    """
    How the event loop was held up, in seconds, while runs were under way. See ``steps.Worst`` and ``LoopLag``.

    :param lag: longest delay of a timer: one turn of the loop, all steps that were ready.
    :param step: the longest step; ``step_cpu``: CPU time in it, ``step_gc``: garbage collection in it, ``step_who``:
        whose it was.
    :param own: the longest step of triggers and of what they share, garbage collection taken off.
    :param airflow: the longest step of Airflow's own (making triggers, reading what the supervisor sends).
    :param most_cpu: most CPU time in any step.
    :param gc: longest garbage collection.
    """

    lag: float = math.nan
    step: float = math.nan
    step_cpu: float = math.nan
    step_gc: float = math.nan
    step_who: str = ""
    own: float = math.nan
    own_who: str = ""
    airflow: float = math.nan
    most_cpu: float = math.nan
    gc: float = math.nan


class Figures(msgspec.Struct, kw_only=True):
    """
    One measurement.

    :param watched: from a trigger's start to the first answer of the remote API that covers its run: DescribeTasks with
        its task, or a list or GET with its pod, or a watch of its namespace being open.
    :param end_told: ECS: from the containers' end to the first DescribeTasks answer that tells it. That is the server's
        time of answering; what the triggerer needs to read the answer comes on top of it.
    :param event: from there (of pods: from when the API shows it) to the trigger's event. Includes reading the log to
        its end, which for CloudWatch needs a quiet period.
    :param detection: the same, to when the supervisor has the event: it is told once a second.
    :param line_lag: from when a line could be read to its arrival at the supervisor.
    :param due: lines that the containers were to write.
    :param cpu: share of one core, of the whole runner process, while runs were under way.
    :param cpu_idle: the same before the runs, with the harness's own timer: it is in ``cpu``, too.
    :param cpu_per_run: CPU seconds for one run, start and end included.
    :param rss_idle: MiB, before the runs.
    :param rss_per_run: KiB at the peak, over the idle process, for each run.
    :param server_cpu: of the stand-in's process, cores.
    :param supervisor_cpu: of the supervisor's, cores; it is also what creates pods.
    :param machine_load: 1 min load average at the end; above the number of cores, times say little.
    :param calls: per operation.
    :param run_minutes: sum of the times for which each container ran and had its trigger, minutes. The time that a
        trigger takes to end after its container is not in it.
    :param errors: answers that were errors, per operation and code.
    :param rates: per operation the mean calls per second, and the most in any one second.
    :param most_in_1s: most calls of all kinds in any one second.
    :param rounds: of DescribeTasks: most calls that one round needed beyond ceil(tasks/100).
    :param verdicts: how often each ending came.
    :param wrong: runs that ended otherwise than their container did, or not at all.
    :param log_bytes: that went through the log channel.
    """

    trigger: str
    runs: int
    complete: bool
    duration: float
    watched: Spread
    end_told: Spread
    detection: Spread
    event: Spread
    line_lag: Spread
    due: int
    lines: Lines
    loop: Loop
    cpu: float
    cpu_idle: float
    cpu_per_run: float
    rss_idle: float
    rss_peak: float
    rss_per_run: float
    server_cpu: float
    supervisor_cpu: float
    machine_load: float
    calls: dict[str, int]
    run_minutes: float
    errors: dict[str, int]
    rates: dict[str, tuple[float, int]]
    most_in_1s: int
    most_in_5s: dict[str, int]
    rounds: int
    verdicts: dict[str, int]
    wrong: list[str]
    log_bytes: int

    def per_minute(self, *operations: str) -> float:
        """Requests of these kinds per run and minute for which its container ran."""
        return sum(self.calls.get(name, 0) for name in operations) / max(self.run_minutes, 1e-9)

    def flaws(self) -> list[str]:
        """What must not be, in words: lines lost, doubled or in a wrong place, runs that ended wrong."""
        told = [f"{count} {what}" for what, count in self._counted().items() if count]
        return [*told, *([] if self.complete else ["given up before all had ended"])]

    def flaw_count(self) -> int:
        """The same, added up; giving up counts as one."""
        return sum(self._counted().values()) + (not self.complete)

    def _counted(self) -> dict[str, int]:
        lines = self.lines
        return {
            "lines that the containers should have written and did not": max(0, self.due - lines.written),
            "lines lost": lines.lost,
            "lines doubled": lines.doubled,
            "lines out of order": lines.disordered,
            "lines outside of their task's log": lines.homeless + lines.elsewhere,
            "runs that ended wrong": len(self.wrong),
        }
