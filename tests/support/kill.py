"""How Airflow's triggerer cancels the trigger of a task that a user marked or cleared (Airflow 3.3.2)."""

from __future__ import annotations

KILL = "__airflow_user_action__"
"""The message of the cancellation: ``_USER_ACTION_CANCEL_MSG`` of ``airflow.jobs.triggerer_job_runner``."""
