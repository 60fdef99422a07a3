"""Judging and reading argument values that may still be templates. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncrun.model.errors import InvalidArgument

_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0", ""})


def is_unrendered(value: object) -> bool:
    """
    Whether a value will only be known when Airflow renders it: a Jinja template, or the output of another task.

    The latter is told by its two methods, so that this module needs no Airflow.
    """
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    return hasattr(value, "iter_references") and hasattr(value, "resolve")


def has_unrendered(value: object) -> bool:
    """Whether a value or anything inside it is still a template."""
    if isinstance(value, Mapping):
        return any(has_unrendered(one) for pair in value.items() for one in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(has_unrendered(one) for one in value)
    return is_unrendered(value)


def text_of(value: object) -> str:
    """A choice as text: upstream takes members of its enums, and their values."""
    return str(getattr(value, "value", value))


def as_bool(argument: str, value: object) -> bool:
    """
    A yes or no that may have come from a template.

    A rendered ``"False"`` is a string, and would be true as such.

    :raises InvalidArgument: it is neither.
    """
    if isinstance(value, bool):
        return value
    if value is None:
        return False
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE or text == "none":
        return False
    raise InvalidArgument(argument, value, "True or False")


def check_bool(argument: str, value: object) -> None:
    """
    Refuse what ``as_bool`` would, unless it is a template.

    :raises InvalidArgument: as it does.
    """
    if not is_unrendered(value):
        as_bool(argument, value)


def as_count(argument: str, value: object, *, at_least: int) -> int:
    """
    A whole number that may have come from a template.

    :raises InvalidArgument: it is none, or too small.
    """
    allowed = f"a whole number, at least {at_least}"
    try:
        number = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or number < at_least:
        raise InvalidArgument(argument, value, allowed)
    return number


def as_seconds(argument: str, value: object, *, zero: bool = False) -> float:
    """
    A number of seconds.

    :param zero: whether 0 is allowed.
    :raises InvalidArgument: it is none, negative, or 0 where that is not allowed.
    """
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
    if not good or (value == 0 and not zero):
        raise InvalidArgument(argument, value, "a number of seconds, " + ("0 or more" if zero else "more than 0"))
    return float(value)  # type: ignore[arg-type]


def check_type(argument: str, value: Any, kind: type | tuple[type, ...], allowed: str) -> None:
    """
    Refuse a value of another type; the message names the type only, since the value may hold a secret.

    :raises InvalidArgument: it is of another type, and no template.
    """
    if isinstance(value, kind) or is_unrendered(value):
        return
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        allowed += (
            "; a template renders to text, unless the DAG has render_template_as_native_obj=True (or pass the output "
            "of a task as it is)"
        )
    raise InvalidArgument(argument, Kind(value), allowed)


def check_text(argument: str, value: object, allowed: str) -> None:
    """
    Refuse what is no text, and empty text: a template that renders to nothing, mostly.

    :raises InvalidArgument: it is neither text nor a template.
    """
    if (not isinstance(value, str) or not value) and not is_unrendered(value):
        raise InvalidArgument(
            argument, value if value is None or isinstance(value, (str, int, float)) else Kind(value), allowed
        )


def check_botocore_config(value: object) -> None:
    """
    Refuse what is no dict, and a proxy with user and password: the dict is stored with a deferred task.

    :raises InvalidArgument: showing names and types only.
    """
    check_type("botocore_config", value, Mapping, "a dict of botocore.config.Config's arguments")
    proxies = value.get("proxies") if isinstance(value, Mapping) else None
    if proxies is None or is_unrendered(proxies):
        return
    check_type("botocore_config['proxies']", proxies, Mapping, "a dict of addresses")
    for scheme, address in proxies.items():
        if "@" in str(address):
            raise InvalidArgument(
                f"botocore_config['proxies'][{scheme!r}]",
                Kind(address),
                "an address without user and password, since these would be stored with the deferred task: put them "
                "into the Airflow connection (extra, config_kwargs), or into HTTPS_PROXY in the environment of workers "
                "and triggerers",
            )


class Kind:
    """Stands for a value in a message where the value itself may hold a secret: shows its type only."""

    def __init__(self, value: object) -> None:
        self.name = type(value).__name__

    def __repr__(self) -> str:
        return f"<{self.name}>"


def exit_code_test(value: Any) -> Callable[[int], bool]:
    """
    ``skip_on_exit_code`` as a question.

    :param value: None, a number, or anything that has ``in`` for numbers.
    :raises InvalidArgument: text, or something that cannot be asked.
    """
    if value is None:
        return lambda _: False
    if isinstance(value, int) and not isinstance(value, bool):
        return lambda code: code == value
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__contains__"):
        # "1" in "123" is true: text would skip by accident.
        raise InvalidArgument("skip_on_exit_code", value, "a number, or a list, set or range of numbers")
    if isinstance(value, (list, tuple, set, frozenset)):
        for one in value:
            if not isinstance(one, int) or isinstance(one, bool):
                raise InvalidArgument("skip_on_exit_code", one, "numbers only")
    return lambda code: code in value
