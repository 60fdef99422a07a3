"""The components' environment: nothing of the user's own Airflow or AWS account gets in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncrun.local.airflow import LocalAirflow, LocalAirflowOptions
from asyncrun.local.airflow.environment import Ports, Secrets, environment, settings


def table() -> dict[str, str]:
    return settings(Path("/home"), [Path("/a/dags"), Path("/b/dags")], Ports(1, 2, 3), Secrets(), 4)


def test_users_airflow_and_aws_account_stay_outside() -> None:
    base = {
        "PATH": "/bin",
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW_CONN_AWS_DEFAULT": "aws://real",
        "AWS_PROFILE": "production",
    }
    result = environment(base, Path("/home"), table(), "marker", {"AWS_REGION": "embedded"})
    assert result["PATH"] == "/bin"
    assert result["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert "AIRFLOW_CONN_AWS_DEFAULT" not in result
    assert {name: value for name, value in result.items() if name.startswith("AWS_")} == {"AWS_REGION": "embedded"}


def test_callers_variables_win() -> None:
    extra = {"AIRFLOW__CORE__PARALLELISM": "1"}
    assert environment({}, Path("/home"), table(), "marker", extra)["AIRFLOW__CORE__PARALLELISM"] == "1"


def test_folders_of_one_name_are_different_bundles() -> None:
    bundles = json.loads(table()["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert [bundle["name"] for bundle in bundles] == ["0-dags", "1-dags"]


def test_secrets_are_new_each_time_and_not_in_the_repr() -> None:
    one, other = Secrets(), Secrets()
    assert {one.password, one.fernet_key, one.jwt_secret}.isdisjoint(
        {other.password, other.fernet_key, other.jwt_secret}
    )
    assert one.password not in repr(one)
    assert repr(one) == "Secrets()"


def test_without_a_folder_there_is_nothing_to_run() -> None:
    with pytest.raises(ValueError, match="at least one folder with DAG files"):
        LocalAirflow(LocalAirflowOptions(()))
