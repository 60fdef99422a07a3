"""A trigger's only argument, as small as it can be kept: it is asked for once, and thousands of triggers wait."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec


class StoredWatch:
    """
    The attribute ``watch`` of a trigger: what was given, until it was read; from then on as JSON.

    Decoded it takes 2.5 KiB, and nobody looks at it again but who serializes the trigger. Setting it never fails, which
    a trigger's constructor must not. What JSON would change (infinity, keys that are no strings) stays as it is.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}_stored"

    def __get__(self, trigger: Any, owner: type | None = None) -> Any:
        if trigger is None:
            return self
        kept = trigger.__dict__[self._name]
        return msgspec.json.decode(kept) if isinstance(kept, bytes) else kept

    def __set__(self, trigger: Any, value: Any) -> None:
        trigger.__dict__[self._name] = value

    def was_read(self, trigger: Any) -> None:
        """It was read, so it most likely is plain JSON: dicts, lists, strings and numbers."""
        kept = trigger.__dict__[self._name]
        if isinstance(kept, dict):
            with suppress(TypeError, ValueError):
                text = msgspec.json.encode(kept)
                if msgspec.json.decode(text) == kept:
                    trigger.__dict__[self._name] = text
