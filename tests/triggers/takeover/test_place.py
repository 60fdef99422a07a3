"""Where the files of an attempt are: as Airflow's supervisor says, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from airflow.executors.workloads.task import TaskInstanceDTO
from airflow.sdk.configuration import conf
from airflow.utils.helpers import log_filename_template_renderer

from asyncrun.triggers.logs.takeover.place import Unsuited, log_path, trigger_files
from tests.triggers.takeover.volume import LOG, TI


def dto(map_index: int = -1) -> TaskInstanceDTO:
    """What Airflow sets as a trigger's task instance after a worker's deferral."""
    return TaskInstanceDTO(
        id=UUID(int=1), dag_version_id=UUID(int=2), task_id="t", dag_id="d", run_id="manual__2020[1]*", try_number=1,
        map_index=map_index, pool_slots=1, queue="default", priority_weight=1,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    return tmp_path


def test_airflows_own_template_needs_no_more_than_a_trigger_knows(folder: Path) -> None:
    assert log_path(dto()) == log_path(TI) == folder / LOG
    assert log_path(dto(3)).relative_to(folder).parts[-2:] == ("map_index=3", "attempt=1.log")


def test_the_path_is_that_of_the_supervisor(folder: Path) -> None:
    """Which renders with the task instance of its database."""
    row = SimpleNamespace(**dto(5).model_dump(), logical_date=None)
    name = log_filename_template_renderer()(ti=row)
    assert log_path(dto(5)) == Path(conf.get("logging", "base_log_folder")) / name


@pytest.mark.parametrize(
    "text",
    [
        "{{ ti.dag_id }}/{{ ti.logical_date }}.log",
        "{{ ti.dag_id }}/{{ ti.dag_run.conf }}.log",
        "{dag_id}/{task_id}.log",
    ],
)
def test_a_template_that_asks_for_more_is_refused(folder: Path, template: Callable[[str], None], text: str) -> None:
    template(text)
    with pytest.raises(Unsuited, match=r"log_filename_template asks for ti\.(logical_date|dag_run), which a triggerer"):
        log_path(dto())


def test_what_the_supervisor_does_not_know_either_is_empty_for_both(
    folder: Path, template: Callable[[str], None]
) -> None:
    template("{{ ti.dag_id }}/{{ ts }}x/{{ try_number|default(ti.try_number) }}.log")
    assert log_path(dto()) == folder / "d/x/1.log"


def test_only_triggerers_files_of_this_very_attempt_are_found(folder: Path) -> None:
    log = log_path(dto())
    assert trigger_files(log) == []
    log.parent.mkdir(parents=True)
    for name in ("attempt=1.log", "attempt=1.log.trigger.2.log", "attempt=1.log.trigger.10.log", "attempt=10.log",
                 "attempt=10.log.trigger.2.log", "attempt=2.log.trigger.2.log"):  # fmt: skip
        log.with_name(name).touch()
    assert [path.name for path in trigger_files(log)] == ["attempt=1.log.trigger.10.log", "attempt=1.log.trigger.2.log"]
