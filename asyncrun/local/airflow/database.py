"""Airflow's database: an SQLite file, migrated once per Airflow version and then copied (a migration takes 3 s, a copy
milliseconds), or whatever the environment says, migrated each time."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from asyncrun.local.airflow.errors import LocalAirflowError

MIGRATION_TIMEOUT = 120.0
"""Seconds for `airflow db migrate`."""


def cache_folder() -> Path:
    """The user's own cache: a folder shared with other users could be filled by them."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "asyncrun"


def create(path: Path, environment: Mapping[str, str]) -> None:
    """Put a migrated database at `path`.

    :param environment: of an Airflow whose database is `path`
    :raises LocalAirflowError: the migration failed; with its output
    """
    template = cache_folder() / f"airflow-{version('apache-airflow-core')}.db"
    if template.is_file():
        shutil.copyfile(template, path)
        path.chmod(0o600)
        return
    migrate(path.parent, environment)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    _keep(path, template)


def migrate(home: Path, environment: Mapping[str, str]) -> None:
    """Make the tables of Airflow's database.

    :param environment: of an Airflow with that database
    :raises LocalAirflowError: the migration failed; with its output
    """
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=dict(environment),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=MIGRATION_TIMEOUT,
        check=False,
    )
    if done.returncode:
        raise LocalAirflowError(f"`airflow db migrate` failed:\n{done.stdout.decode(errors='replace')[-4000:]}")


def _keep(path: Path, template: Path) -> None:
    """Save the fresh database as the template; a read-only home only costs the next start 3 s."""
    try:
        template.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=template.parent)
        os.close(handle)
        shutil.copyfile(path, name)
        Path(name).replace(template)
    except OSError:
        return
