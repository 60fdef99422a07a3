"""Values that lie in Airflow's database for a while: to plain values, and back in this or a later release."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import msgspec

from asyncrun.model.errors import MalformedAnswer


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """
    Base of these values. A row that the last release wrote must still load: fields are only ever added, with a default.

    :cvar what: whose value it is, for messages.
    :param version: of the structure.
    """

    what: ClassVar[str]
    version: int = 1

    def to_dict(self) -> dict[str, Any]:
        """As Airflow stores it: dicts, lists, strings and numbers."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @classmethod
    def from_dict(cls, plain: object) -> Self:
        """
        Read what ``to_dict`` wrote, in this or another release: unknown fields are ignored, missing ones have defaults.

        :raises MalformedAnswer: where it is something else.
        """
        try:
            return msgspec.convert(plain, cls)
        except msgspec.ValidationError as error:
            raise MalformedAnswer(f"{cls.what} cannot be read: {error}") from error
