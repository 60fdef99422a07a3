"""What is measured, and what is noted of it: plain values, read and written by every process of the harness."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from benchmarks.standin import TaskSpec


class Load(msgspec.Struct, kw_only=True):
    """
    What to run.

    :param trigger: ``ours`` or ``upstream``.
    :param platform: ``ecs`` or ``pods``.
    :param groups: number of runs and how their tasks behave; of pods only the first exit code, ``startup``,
        ``lifetime``, ``lines_per_second`` and ``line_bytes`` count.
    :param stagger: seconds over which they are launched and handed over, evenly; 0: all at once.
    :param end_together: what starts earlier runs for that much longer.
    :param logs: the triggers read the containers' logs; without, the groups should write no lines.
    :param warm: one run goes before, so that the baseline has the modules and the shared parts.
    :param settle: seconds that the idle triggerer stands before the runs come; its CPU and RSS are the baseline.
    :param limit: seconds after which the measurement is given up.
    :param loop_cost: see ``BenchSupervisor``.
    :param push_result: ours: write the last line as XCom.
    :param delay: upstream's ``waiter_delay``, s. Its operator's default is 6, and 15 in older releases.
    :param logging_interval: pods: upstream's argument of that name, s.
    :param fields: pods: of our ``PodWatch``.
    :param settings: of asyncrun.
    :param blocked_after: write the stack of an event loop that stood that long, s.
    """

    trigger: str
    groups: list[tuple[int, TaskSpec]]
    platform: str = "ecs"
    stagger: float = 0.0
    end_together: bool = False
    logs: bool = True
    warm: bool = False
    settle: float = 4.0
    limit: float = 300.0
    loop_cost: float = 0.025
    push_result: bool = False
    delay: int = 6
    logging_interval: int | None = None
    fields: dict[str, Any] = {}
    settings: dict[str, str] = {}
    blocked_after: float | None = None

    @property
    def runs(self) -> int:
        """In all groups."""
        return sum(count for count, _ in self.groups)

    @property
    def specs(self) -> list[TaskSpec]:
        """Of each run, in the order in which they are launched and numbered, from 1 on."""
        return [spec for count, spec in self.groups for _ in range(count)]


class Raw(msgspec.Struct, kw_only=True):
    """
    What was noted. Times are seconds since the epoch.

    :param started: when the runs were handed over.
    :param arns: per trigger number.
    :param names: of the pods, per trigger number.
    :param added: per trigger number, when it was handed over.
    :param records: (arrival, line of the log channel).
    :param samples: (time, CPU seconds so far, RSS in bytes) of the runner process.
    :param lags: of the event loop, once a second: see ``LoopLag``.
    :param supervisor_cpu: seconds used by the supervisor's process.
    """

    started: float = 0.0
    ended: float = 0.0
    complete: bool = False
    arns: dict[int, str] = {}
    names: dict[int, str] = {}
    added: dict[int, float] = {}
    records: list[tuple[float, str]] = []
    fired: list[tuple[float, int, Any]] = []
    broken: list[tuple[float, int, str]] = []
    finished: dict[int, float] = {}
    samples: list[tuple[float, float, int]] = []
    lags: list[dict[str, Any]] = []
    stacks: str = ""
    questions: dict[str, int] = {}
    machine_load: float = 0.0
    supervisor_cpu: float = 0.0
    output: str = ""


class Platform(Protocol):
    """What the runs run on."""

    @property
    def address(self) -> str:
        """Where the harness finds it."""

    def environment(self) -> dict[str, str]:
        """What the triggerer needs to reach it."""
