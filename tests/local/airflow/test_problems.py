"""What counts as trouble in the output of Airflow's components, and what does not."""

from __future__ import annotations

from pathlib import Path

from asyncrun.local.airflow.problems import loop_blocks, scan


def found(tmp_path: Path, text: str, *ignore: str) -> list[str]:
    log = tmp_path / "scheduler.log"
    log.write_text(text)
    return [str(problem) for problem in scan({"scheduler": log}, ignore)]


def test_traceback_is_told_with_its_last_line(tmp_path: Path) -> None:
    text = (
        "2026-01-01T00:00:00.1Z [info     ] fine\n"
        "2026-01-01T00:00:01.1Z [error    ] broken\nTraceback (most recent call last):\n  x\nValueError: why\n"
    )
    assert found(tmp_path, text) == ["scheduler:2: 2026-01-01T00:00:01.1Z [error    ] broken ... ValueError: why"]


def test_failing_task_is_no_trouble_but_a_locked_database_is(tmp_path: Path) -> None:
    task = (
        "2026-01-01 00:00:00.123456+00:00 [error    ] Task failed with exception\nTraceback (most recent call last):\n"
    )
    assert found(tmp_path, task) == []
    assert len(found(tmp_path, task + "sqlite3.OperationalError: database is locked\n")) == 1


def test_colours_hide_nothing(tmp_path: Path) -> None:
    assert len(found(tmp_path, "2026-01-01T00:00:00.1Z [\x1b[31merror    \x1b[0m] broken\n")) == 1


def test_expected_record_is_ignored_as_a_whole(tmp_path: Path) -> None:
    text = (
        "2026-01-01T00:00:00.1Z [error    ] broken\nTraceback (most recent call last):\nOSError: killed by the test\n"
    )
    assert found(tmp_path, text, "killed by the test") == []
    assert len(found(tmp_path, text, "another reason")) == 1


def test_log_server_race_is_airflows_own(tmp_path: Path) -> None:
    text = (
        "2026-01-01T00:00:00.1Z [error    ] Exception in ASGI application\nTraceback (most recent call last):\n"
        "RuntimeError: Response content longer than Content-Length\n"
    )
    assert found(tmp_path, text) == []
    assert len(found(tmp_path, text.replace("longer than Content-Length", "lost"))) == 1


def test_blocked_event_loop_is_measured() -> None:
    output = (
        "Triggerer's async thread was blocked for 0.39 seconds, exceeding\nasync thread was blocked for 2 seconds\n"
    )
    assert loop_blocks(output) == [0.39, 2.0]
