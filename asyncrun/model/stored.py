"""Values that lie in Airflow's database for a while: to plain values, and back in this or a later release."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from asyncrun.model.errors import MalformedAnswer

T = TypeVar("T", bound=msgspec.Struct)


def to_plain(value: msgspec.Struct) -> dict[str, Any]:
    """As Airflow stores it: dicts, lists, strings and numbers."""
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain


def from_plain(plain: object, kind: type[T], what: str) -> T:
    """
    Read what ``to_plain`` wrote, in this or an older release: unknown fields are ignored, missing ones have defaults.

    :param what: whose value it is, for the message.
    :raises MalformedAnswer: where it is something else.
    """
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise MalformedAnswer(f"{what} cannot be read: {error}") from error
