"""The words by which runs that Airflow stopped are told from runs that ended otherwise."""

from __future__ import annotations

STOPPED_BY_AIRFLOW = "Stopped by Airflow"
"""Every StopTask reason of ours begins so."""


def stop_reason(why: str) -> str:
    """
    Why a run is stopped: ECS shows it as ``stoppedReason``.

    :param why: ends the sentence; no secret.
    """
    return f"{STOPPED_BY_AIRFLOW}: {why}"
