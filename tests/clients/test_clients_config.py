"""Settings from Airflow's configuration, and their description for it."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from asyncrun.clients import config
from asyncrun.clients.config import load_settings, running_settings, settings_metadata
from asyncrun.model.errors import InvalidSetting
from asyncrun.model.settings import SECTION, Settings


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


def test_defaults_without_configuration() -> None:
    assert load_settings() == Settings()


def test_environment_sets_and_the_process_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__DESCRIBE_RATE", "2.5")
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__END_IN_TRIGGERER", "never")
    settings = load_settings()
    assert (settings.describe_rate, settings.end_in_triggerer) == (2.5, "never")
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__DESCRIBE_RATE", "3")
    assert load_settings() is settings


def test_invalid_value_names_setting_value_and_range_and_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__DESCRIBE_RATE", "many")
    with pytest.raises(InvalidSetting) as caught:
        load_settings()
    assert str(caught.value) == (
        "[asyncrun] describe_rate = 'many' in Airflow's configuration cannot work: "
        "expected a number of calls/s, at least 0.1 and at most 20"
    )
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__DESCRIBE_RATE", "4")
    assert load_settings().describe_rate == 4


def test_a_name_that_is_no_setting_is_warned_about_once_and_without_its_value(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__POL_INTERVAL", "hunter2")
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__POLL_INTERVAL", "2")
    for _ in range(3):
        assert load_settings().poll_interval == 2
    assert [one.getMessage() for one in caplog.records if one.name == "asyncrun.clients.config"] == [
        "[asyncrun] pol_interval in Airflow's configuration is no setting and has no effect; did you mean "
        "'poll_interval'?"
    ]
    assert "hunter2" not in caplog.text


def test_a_name_in_the_configuration_file_is_warned_about_too(tmp_path: Path) -> None:
    (tmp_path / "airflow.cfg").write_text("[asyncrun]\nlog_rat = 5\nlog_slot = 60\n")
    code = "from asyncrun.clients.config import load_settings; print(load_settings().log_slot)"
    here = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW_CONFIG": str(tmp_path / "airflow.cfg")}
    ran = subprocess.run([sys.executable, "-c", code], env=here, check=True, capture_output=True, text=True)
    assert ran.stdout.strip().endswith("60")
    assert (ran.stdout + ran.stderr).count("log_rat in Airflow's configuration is no setting") == 1


def test_every_setting_is_described_and_its_default_and_example_load() -> None:
    options = settings_metadata()[SECTION]["options"]
    assert list(options) == [one.name for one in fields(Settings)]
    assert Settings.load(lambda name: options[name]["default"]) == Settings()
    Settings.load(lambda name: options[name]["example"])
    assert options["describe_rate"] == {
        "description": "DescribeTasks and other ECS reads per account and region; AWS allows 20/s for all users of the "
        "account together. In calls/s, at least 0.1 and at most 20.",
        "version_added": "0.1.0",
        "type": "float",
        "example": "5",
        "default": "5",
    }
    assert options["log_slot"]["type"] == "integer"
    assert options["end_in_triggerer"]["example"] == "always"
    assert options["end_in_triggerer"]["description"].endswith("One of: auto, always, never.")


def test_metadata_fits_airflows_schema() -> None:
    import json
    from importlib.resources import files

    import jsonschema

    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    info = {"package-name": "asyncrun", "name": "asyncrun", "description": "d", "config": settings_metadata()}
    jsonschema.validate(info, schema)


def test_describing_needs_neither_airflow_nor_an_sdk() -> None:
    code = (
        "import sys; from asyncrun.clients.config import settings_metadata; settings_metadata(); "
        "heavy = {'airflow', 'botocore', 'aiobotocore', 'boto3', 'aiohttp'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_clients_loads_no_sdk() -> None:
    modules = ("airflow", "api", "aws", "budget", "config", "credentials", "ecs", "faults", "generation", "logs")
    code = (
        f"import sys, importlib; [importlib.import_module('asyncrun.clients.' + name) for name in {modules}]; "
        "heavy = {'airflow', 'botocore', 'aiobotocore', 'boto3', 'aiohttp'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    load_settings()  # Airflow sets up logging anew when it is first imported, and takes pytest's handler away
    load_settings.cache_clear()
    monkeypatch.setattr(config, "_said", set())


@pytest.mark.usefixtures("nothing_said")
def test_what_already_runs_goes_on_with_the_default_of_each_setting_that_cannot_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__DESCRIBE_RATE", "many")
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__END_IN_TRIGGERER", "sometimes")
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__LOG_SLOT", "70")
    for _ in range(3):
        settings, troubles = running_settings()
        assert settings == Settings(log_slot=70)
        assert troubles == (
            "[asyncrun] describe_rate = 'many' in Airflow's configuration cannot work: expected a number of calls/s, "
            "at least 0.1 and at most 20. What already runs goes on with the default: 5",
            "[asyncrun] end_in_triggerer = 'sometimes' in Airflow's configuration cannot work: expected auto or always "
            "or never. What already runs goes on with the default: auto",
        )
    assert [(one.levelname, one.getMessage()) for one in caplog.records] == [("ERROR", text) for text in troubles]


def test_without_a_mistake_they_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__LOG_SLOT", "70")
    assert running_settings() == (load_settings(), ())


@pytest.mark.usefixtures("nothing_said")
@pytest.mark.parametrize("name", ["DESCRIBE_RATE", "DESCRIBE_RAT"])
def test_what_is_said_of_a_mistake_does_not_go_where_the_callers_log_goes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """In a triggerer a context variable leads a trigger's records into its task's log."""
    monkeypatch.setenv(f"AIRFLOW__ASYNCRUN__{name}", "many")
    whose = contextvars.ContextVar("whose", default="the process")
    whose.set("a trigger")
    seen: list[tuple[str, str]] = []
    caplog.handler.addFilter(lambda record: seen.append((record.name, whose.get())) or True)
    running_settings()
    assert [where for name, where in seen if name == config.__name__] == ["the process"]


def test_a_percent_sign_in_the_file_is_refused_by_name_and_does_not_end_what_runs(tmp_path: Path) -> None:
    """Airflow's parser takes it for a reference to another value."""
    (tmp_path / "airflow.cfg").write_text("[asyncrun]\nlog_rate = 5%\nlog_slot = 60\n")
    code = (
        "from asyncrun.clients.config import load_settings, running_settings; from asyncrun.model.errors import *\n"
        "try: load_settings()\n"
        "except InvalidSetting as error: print(error)\n"
        "print(running_settings().settings.log_slot)"
    )
    here = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW_CONFIG": str(tmp_path / "airflow.cfg")}
    ran = subprocess.run([sys.executable, "-c", code], env=here, check=True, capture_output=True, text=True)
    said = "[asyncrun] log_rate = '5%' in Airflow's configuration cannot work: expected no '%' in airflow.cfg, or '%%'"
    assert f"\n{said} for one\n" in f"\n{ran.stdout}"
    assert ran.stdout.endswith("\n60\n")
