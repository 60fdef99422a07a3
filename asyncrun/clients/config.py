"""asyncrun's settings in Airflow's configuration: reading them, and describing them for Airflow and the docs."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from typing import Any

from asyncrun.model.settings import SECTION, Settings

_FIRST_VERSION = "0.1.0"


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """
    Section ``[asyncrun]`` of Airflow's configuration, or ``AIRFLOW__ASYNCRUN__<NAME>`` of the environment.

    Read once per process; the same in DAG processor, worker and triggerer. ``load_settings.cache_clear()`` forgets it.

    :raises InvalidSetting: naming the setting, its value and what is allowed. It is not cached.
    """
    from airflow.sdk.configuration import conf

    def configured(name: str) -> str | None:
        value = conf.get(SECTION, name, fallback=None)
        return None if value is None else str(value)

    return Settings.load(configured)


@lru_cache(maxsize=1)
def uploads_logs() -> bool:
    """Whether Airflow uploads task logs to remote storage (``[logging] remote_logging``); read once per process."""
    from airflow.sdk.configuration import conf

    return bool(conf.getboolean("logging", "remote_logging", fallback=False))


def settings_metadata() -> dict[str, Any]:
    """
    Key ``config`` of the provider's metadata: every setting with its description, type, default and example.

    Needs no Airflow: ``get_provider_info`` runs in every Airflow process at its start.
    """
    return {
        SECTION: {
            "description": "Settings of the asyncrun provider: container runs that hold no worker slot.",
            "options": {one.name: _option(one) for one in fields(Settings)},
        }
    }


def _option(one: Any) -> dict[str, Any]:
    default = _plain(one.default)
    return {
        "description": _description(one),
        "version_added": _FIRST_VERSION,
        "type": _kind(one),
        "example": next((choice for choice in one.metadata["choices"] if choice != one.default), default),
        "default": default,
    }


def _description(one: Any) -> str:
    """The reason as a sentence, the unit, and what is allowed."""
    meta = one.metadata
    why = f"{meta['why'][:1].upper()}{meta['why'][1:]}."
    if meta["choices"]:
        return f"{why} One of: {', '.join(meta['choices'])}."
    if one.type == "str":
        return why
    limits = [f"at least {meta['at_least']:g}"]
    if meta["at_most"] != float("inf"):
        limits.append(f"at most {meta['at_most']:g}")
    return f"{why} In {meta['unit']}, {' and '.join(limits)}."


def _kind(one: Any) -> str:
    if one.type == "str":
        return "string"
    return "integer" if one.type == "int" else "float"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
