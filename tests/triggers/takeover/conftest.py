from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from airflow.utils.helpers import log_filename_template_renderer

from asyncrun.clients.config import load_settings, uploads_logs
from tests.triggers.takeover.volume import Supervisors, Volume


@pytest.fixture(scope="session")
def supervisors() -> Iterator[Supervisors]:
    made = Supervisors()
    yield made
    made.close()


@pytest.fixture
def template(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Sets ``[logging] log_filename_template``, which Airflow reads once per process."""

    def set_template(text: str) -> None:
        monkeypatch.setenv("AIRFLOW__LOGGING__LOG_FILENAME_TEMPLATE", text)
        log_filename_template_renderer.cache_clear()

    yield set_template
    log_filename_template_renderer.cache_clear()


@pytest.fixture
def volume(supervisors: Supervisors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Volume]:
    """An empty log volume; ``log_takeover = continue``."""
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__LOG_TAKEOVER", "continue")
    load_settings.cache_clear()
    uploads_logs.cache_clear()
    yield Volume(tmp_path, supervisors)
    load_settings.cache_clear()
    uploads_logs.cache_clear()
