"""
The fields of a pod and their types (``asyncrun.model.pod_fields``), in the codes of this server's checks.

Codes: s string, i number, b boolean, t time, q quantity, o anything, ``[...]`` a list, ``{...}`` a map, everything else
is the name of a type as Go's errors have it.
"""

from __future__ import annotations

from asyncrun.model.pod_fields import fields_of, kinds

_NAMES = {"CoreResourceClaim": "ResourceClaim"}  # the Python client's name, and the API's


def _code(holds: str) -> str:
    if holds.startswith("[]"):
        return f"[{_code(holds[2:])}]"
    if holds.startswith("{}"):
        return f"{{{_code(holds[2:])}}}"
    return "o" if holds == "*" else _NAMES.get(holds, holds)


def _read() -> dict[str, dict[str, str]]:
    types = {
        _NAMES.get(kind, kind): {name: _code(holds) for name, holds in (fields_of(kind) or {}).items()}
        for kind in kinds()
    }
    types["ObjectMeta"]["managedFields"] = "o"  # the server's own, which it does not check
    return types


TYPES = _read()
