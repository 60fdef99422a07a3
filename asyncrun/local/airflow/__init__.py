"""A real Airflow on this machine, for the demo and the tests.

Light to import on purpose: every Airflow process started here imports this package through its local settings
(:mod:`.inside`).
"""

from __future__ import annotations

from asyncrun.local.airflow.api import FINISHED, ApiError, DagRun, LogRecord, TaskInstance
from asyncrun.local.airflow.errors import DagsBroken, LocalAirflowError, NotReached
from asyncrun.local.airflow.harness import LocalAirflow, LocalAirflowOptions

__all__ = [
    "LocalAirflow",
    "LocalAirflowOptions",
    "DagRun",
    "TaskInstance",
    "LogRecord",
    "FINISHED",
    "LocalAirflowError",
    "ApiError",
    "DagsBroken",
    "NotReached",
]
