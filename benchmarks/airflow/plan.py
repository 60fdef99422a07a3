"""What is measured: values that the harness, the DAG file and the containers' servers share. DAGs import it."""

from __future__ import annotations

import json
import os
import random
from dataclasses import asdict, dataclass
from typing import Literal

Backend = Literal["ecs", "pods"]
Operators = Literal["ours", "upstream"]
Ends = Literal["spread", "together"]

BACKENDS: tuple[Backend, ...] = ("ecs", "pods")
OPERATORS: tuple[Operators, ...] = ("ours", "upstream")
ENDS: tuple[Ends, ...] = ("spread", "together")

PLAN_VARIABLE = "ASYNCRUN_BENCH_PLAN"
"""Environment variable by which the DAG file learns the plan."""

LABEL_VARIABLE = "BENCH_LABEL"
"""Environment variable of an ECS task's container: whose it is."""

SPEC_VARIABLE = "STANDIN_SPEC"
"""Environment variable of an ECS task's container: how it behaves (``benchmarks.standin.ecs``)."""

SCRIPT_ANNOTATION = "asyncrun.local/script"
"""Annotation of a pod: what is played (``asyncrun.local.kube.scripts``)."""

STARTUP = 2.0
"""Seconds from launch until a container runs. A real one takes longer; nothing here depends on it."""

TASK = "run"
"""The mapped task of each DAG."""

WARMING_RUNS = 2
"""Tasks of the small DAG that goes before."""

NAMESPACE = "airflow"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    :param runs: deferred tasks of each measurement.
    :param lifetime: seconds from the signal (all are deferred) to the first container's end.
    :param lines: lines per second of each container, from the signal on.
    :param line_bytes: length of each line.
    :param apart: seconds between two containers' ends where these are spread.
    :param within: seconds in which all containers end where they end together.
    :param logging_interval: upstream's argument for pods, s; None, its default: no logs until the end.
    :param waiter_delay: upstream's argument for ECS, s; None: its default.
    """

    runs: int = 300
    lifetime: float = 60.0
    lines: float = 1.0
    line_bytes: int = 100
    apart: float = 0.2
    within: float = 1.0
    logging_interval: int | None = 5
    waiter_delay: int | None = None

    def to_json(self) -> str:
        """For the environment of the DAG file."""
        return json.dumps(asdict(self))

    @property
    def task_spec(self) -> str:
        """Of each ECS task."""
        return json.dumps({"startup": STARTUP, "lines_per_second": self.lines, "line_bytes": self.line_bytes})

    @property
    def script(self) -> str:
        """Of each pod, until the signal: it writes nothing, and does not end by itself."""
        forever = 1_000_000.0
        interval = 1 / self.lines if self.lines else 1.0
        return json.dumps({"start": STARTUP, "lines": 0, "run": forever, "size": self.line_bytes, "interval": interval})

    def ends(self, kind: Ends) -> list[float]:
        """Seconds after the signal when the container of each map index ends; in an order by chance, always the same.

        In the order of the indexes, containers would end in the order in which their tasks were deferred.
        """
        step = self.apart if kind == "spread" else self.within / self.runs
        ends = [self.lifetime + step * place for place in range(self.runs)]
        random.Random(1).shuffle(ends)
        return ends


def planned() -> Plan:
    """What the environment says; the usual plan where it says nothing."""
    return Plan(**json.loads(os.environ.get(PLAN_VARIABLE, "{}")))


def dag_id(backend: Backend, operators: Operators, *, warming: bool = False) -> str:
    """Of the DAG that is measured, or of the small one that runs before."""
    return f"{backend}_{operators}" + ("_warming" if warming else "")


def label(dag: str, index: int) -> str:
    """Of the container of one mapped task instance: an ECS task's variable, the beginning of a pod's name."""
    return f"{dag.replace('_', '-')}-{index:04d}"
