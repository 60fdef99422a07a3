"""asyncrun's settings in Airflow's configuration: reading them, and describing them for Airflow and the docs."""

from __future__ import annotations

import contextvars
import logging
import os
from configparser import InterpolationError
from dataclasses import fields
from functools import lru_cache
from typing import Any, NamedTuple

from asyncrun.model.errors import InvalidSetting
from asyncrun.model.settings import SECTION, Settings

log = logging.getLogger(__name__)

_FIRST_VERSION = "0.1.0"


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """
    Section ``[asyncrun]`` of Airflow's configuration, or ``AIRFLOW__ASYNCRUN__<NAME>`` of the environment.

    For whoever begins something new, which a mistake in the configuration refuses; else ``running_settings``.

    Read once per process, in workers and triggerers. ``load_settings.cache_clear()`` forgets it. A name in the section
    that is no setting, a slip of the pen mostly, is warned about then.

    :raises InvalidSetting: naming the setting, its value and what is allowed. It is not cached.
    """
    settings = Settings.load(_configured)
    for name, nearest in Settings.unknown(_configured_names()):
        hint = f"did you mean {nearest!r}?" if nearest else "see docs/settings.md."
        _say(logging.WARNING, f"[asyncrun] {name} in Airflow's configuration is no setting and has no effect; {hint}")
    return settings


class RunningSettings(NamedTuple):
    """
    Settings for what already runs.

    :param troubles: a sentence for each setting whose value cannot work, for the log of each task that it concerns.
    """

    settings: Settings
    troubles: tuple[str, ...] = ()


def running_settings() -> RunningSettings:
    """
    The same settings for whoever watches or stops what already runs: a mistake in the configuration must not orphan it.

    A value that cannot work is replaced by the default. That is said at ERROR in the process's own log, once; in a
    worker that log is the task's.
    """
    try:
        return RunningSettings(load_settings())
    except InvalidSetting:
        bad: list[InvalidSetting] = []
        settings = Settings.load(_configured, on_bad=bad.append)
    troubles = tuple(f"{one}. What already runs goes on with the default: {_default_of(one.name)}" for one in bad)
    for trouble in troubles:
        if trouble not in _said:
            _said.add(trouble)
            _say(logging.ERROR, trouble)
    return RunningSettings(settings, troubles)


_said: set[str] = set()


def _say(level: int, text: str) -> None:
    """Without the caller's context: in a triggerer it would lead into the log of one task."""
    contextvars.Context().run(log.log, level, "%s", text)


def _default_of(name: str) -> str:
    default = getattr(Settings(), name)
    return _plain(default) or "nothing"


def _configured(name: str) -> str | None:
    """
    The configured text of a setting, None where none is given.

    :raises InvalidSetting: Airflow itself cannot read it.
    """
    from airflow.sdk.configuration import conf

    try:
        value = conf.get(SECTION, name, fallback=None)
    except InterpolationError:
        raw = conf.get(SECTION, name, fallback=None, raw=True)
        raise InvalidSetting(name, raw, "no '%' in airflow.cfg, or '%%' for one") from None
    return None if value is None else str(value)


def _configured_names() -> list[str]:
    """The names in the section, without their values."""
    from airflow.sdk.configuration import conf

    in_files = conf.options(SECTION) if conf.has_section(SECTION) else []
    prefix = f"AIRFLOW__{SECTION.upper()}__"
    return [*in_files, *(name.removeprefix(prefix) for name in os.environ if name.startswith(prefix))]


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
    return f"{why} In {meta['unit']}, at least {meta['at_least']:.10g} and at most {meta['at_most']:.10g}."


def _kind(one: Any) -> str:
    if one.type == "str":
        return "string"
    return "integer" if one.type == "int" else "float"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
