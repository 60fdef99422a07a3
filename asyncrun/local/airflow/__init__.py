"""A real Airflow on this machine, for the demo and the tests.

Light to import on purpose: every Airflow process started here imports this package through its local settings
(:mod:`.inside`).
"""

from __future__ import annotations

from asyncrun.local.airflow.errors import DagsBroken, LocalAirflowError, NotReached
from asyncrun.local.airflow.harness import LocalAirflow, LocalAirflowOptions
from asyncrun.local.airflow.rest import ApiError
from asyncrun.local.airflow.values import FINISHED, DagRun, LogRecord, TaskInstance

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
