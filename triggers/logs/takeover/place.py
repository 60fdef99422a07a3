"""
Where the log files of an attempt are, by the means of Airflow's supervisor and without the database.

Airflow 3.3.2: ``jobs/triggerer_job_runner.py`` renders ``[logging] log_filename_template`` with the task instance of
its database, and opens ``<that>.trigger.<id of its job>.log`` under ``base_log_folder``. A trigger knows the ids of the
task instance only, and never its own job.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class Unsuited(Exception):
    """The log cannot be continued here; the message is a clause that says why, for the user."""


def log_path(ti: Any) -> Path:
    """
    The task log of this attempt, to which the names of triggerers' files add ``.trigger.<job>.log``.

    Reads Airflow's configuration and may compile a template: not for the event loop.

    :param ti: what Airflow set as the trigger's ``task_instance``.
    :raises Unsuited: Airflow's template asks for more than a trigger knows of its task instance.
    """
    from airflow.sdk.configuration import conf
    from airflow.utils.helpers import log_filename_template_renderer

    name = log_filename_template_renderer()(ti=_Known(ti))
    return Path(str(conf.get("logging", "base_log_folder")), name)


def trigger_files(log: Path) -> list[Path]:
    """
    The files that triggerers have opened for this attempt, our own one among them once it exists.

    :raises OSError: the folder cannot be read.
    """
    try:
        with os.scandir(log.parent) as entries:
            # Not glob: a run id may hold any character.
            return sorted(Path(one.path) for one in entries if one.name.startswith(f"{log.name}.trigger."))
    except FileNotFoundError:
        return []


class _Known:
    """What a trigger knows of its task instance; jinja2 would render an unknown attribute as nothing."""

    def __init__(self, ti: Any) -> None:
        self._ti = ti

    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(self._ti, name)
        except AttributeError:
            raise Unsuited(
                f"[logging] log_filename_template asks for ti.{name}, which a triggerer does not know"
            ) from None
