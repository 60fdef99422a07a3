"""What can go wrong with the Airflow that runs on this machine.

LocalAirflowError
├── ApiError      the REST API answered with an error status (rest.py)
├── DagsBroken    a DAG file does not import
└── NotReached    a state was not reached in time
"""

from __future__ import annotations


class LocalAirflowError(Exception):
    """The local Airflow could not be started, or does not behave."""


class DagsBroken(LocalAirflowError):
    """A DAG file does not import; the message carries Airflow's stack trace."""


class NotReached(LocalAirflowError, TimeoutError):
    """What was waited for did not happen in time; the message says what was there instead."""
