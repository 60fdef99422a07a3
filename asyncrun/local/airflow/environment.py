"""The configuration of the local Airflow, as environment variables (pure)."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

MARKER_VARIABLE = "ASYNCRUN_LOCAL_AIRFLOW"
"""Environment variable that every process of one local Airflow carries: how they are found when they have to go."""

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Secrets:
    """Generated anew for each start; nothing of it outlives the process."""

    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    fernet_key: str = field(
        default_factory=lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(), repr=False
    )
    api_secret_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    jwt_secret: str = field(default_factory=lambda: secrets.token_urlsafe(64), repr=False)


@dataclass(frozen=True)
class Ports:
    """TCP ports on loopback: the API server's and UI's, the workers' log server's, the triggerers' log servers'."""

    api: int
    worker_logs: int
    trigger_logs: int


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What components take from the caller's environment: all but settings of another Airflow and anything that
    could reach a real AWS account."""
    return {name: value for name, value in environment.items() if not name.startswith(("AIRFLOW_", "AWS_", "_AIRFLOW"))}


def bundles(folders: Sequence[Path]) -> str:
    """``[dag_processor] dag_bundle_config_list`` for local folders, each a bundle."""
    return json.dumps(
        [
            {
                "name": f"{index}-{folder.name}",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder), "refresh_interval": 5},
            }
            for index, folder in enumerate(folders)
        ]
    )


def settings(home: Path, folders: Sequence[Path], ports: Ports, keys: Secrets, parallelism: int) -> dict[str, str]:
    """All ``AIRFLOW__SECTION__KEY`` variables of the local Airflow.

    :param home: the temporary AIRFLOW_HOME
    :param folders: folders with DAG files
    :param parallelism: worker processes of the LocalExecutor
    """
    url = f"http://{LOOPBACK}:{ports.api}"
    table: dict[tuple[str, str], object] = {
        ("core", "executor"): "LocalExecutor",
        ("core", "parallelism"): parallelism,
        ("core", "max_active_tasks_per_dag"): 64,
        ("core", "dags_folder"): folders[0],
        ("core", "plugins_folder"): home / "plugins",
        ("core", "load_examples"): False,
        ("core", "dags_are_paused_at_creation"): False,
        ("core", "min_serialized_dag_update_interval"): 1,
        ("core", "hostname_callable"): "asyncrun.local.airflow.inside.hostname",
        ("core", "execution_api_server_url"): f"{url}/execution/",
        ("core", "fernet_key"): keys.fernet_key,
        ("core", "simple_auth_manager_users"): "admin:admin",
        ("core", "simple_auth_manager_passwords_file"): home / "passwords.json",
        ("database", "sql_alchemy_conn"): f"sqlite:///{home / 'airflow.db'}",
        # The template is migrated already, and each component would spend half a second on finding that out.
        ("database", "check_migrations"): False,
        ("api", "host"): LOOPBACK,
        ("api", "port"): ports.api,
        ("api", "base_url"): url,
        ("api", "workers"): 1,
        ("api", "secret_key"): keys.api_secret_key,
        ("api_auth", "jwt_secret"): keys.jwt_secret,
        ("logging", "base_log_folder"): home / "logs",
        ("logging", "worker_log_server_port"): ports.worker_logs,
        ("logging", "trigger_log_server_port"): ports.trigger_logs,
        # An idle scheduler sleeps 1 s between its loops; every hop of a task waits for one.
        ("scheduler", "scheduler_idle_sleep_time"): 0.2,
        ("dag_processor", "dag_bundle_config_list"): bundles(folders),
        ("dag_processor", "refresh_interval"): 5,
        ("dag_processor", "bundle_refresh_check_interval"): 1,
        # Changed files are parsed at once all the same; unchanged ones only cost the two cores of a laptop.
        ("dag_processor", "min_file_process_interval"): 600,
        ("dag_processor", "print_stats_interval"): 0,
        ("usage_data_collection", "enabled"): False,
    }
    return {f"AIRFLOW__{section}__{key}".upper(): str(value) for (section, key), value in table.items()}


def environment(
    base: Mapping[str, str], home: Path, airflow_settings: Mapping[str, str], marker: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of a component; ``extra`` (the caller's own variables) wins over everything."""
    return {
        **inherited(base),
        "AIRFLOW_HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "PYTHONUNBUFFERED": "1",
        # Airflow's own calls between its components must not take the way of a company's proxy.
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "SCARF_ANALYTICS": "false",
        "DO_NOT_TRACK": "1",
        MARKER_VARIABLE: marker,
        **airflow_settings,
        **extra,
    }
