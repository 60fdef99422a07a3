"""The words by which ECS tasks that Airflow stopped are told from tasks that ended otherwise."""

from __future__ import annotations

STOPPED_BY_AIRFLOW = "Stopped by Airflow"
"""Every StopTask reason of ours begins so."""


def stop_reason(why: str) -> str:
    """
    What ECS is to show as ``stoppedReason``.

    :param why: ends the sentence; no secret.
    """
    return f"{STOPPED_BY_AIRFLOW}: {why}"
