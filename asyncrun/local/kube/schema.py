"""Unknown fields and wrong types, as the API server words them (trace ``k_bad_requests``)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from asyncrun.local.kube.fields import TYPES
from asyncrun.local.kube.quantities import parse
from asyncrun.local.kube.query import Call
from asyncrun.local.kube.status import ApiError, bad_request
from asyncrun.local.kube.store import Json

_GO = {"s": "string", "i": "int64", "b": "bool", "t": "string"}


def check_fields(call: Call, obj: Json) -> None:
    """
    Warn about fields that the kind does not have, or refuse them, as ``fieldValidation`` says.

    Only of pods the whole is known, of other kinds the metadata.

    :raises ApiError: 400: an unknown field (strict), or a value of the wrong type.
    """
    kind = obj.get("kind", call.resource.kind)
    version = obj.get("apiVersion", call.resource.api_version)
    call.warnings.clear()
    try:
        if call.resource.key == "pods" and not call.subresource:
            unknown = list(_walk("Pod", obj, "", ""))
        else:
            metadata = obj.get("metadata")
            unknown = list(_check("ObjectMeta", metadata, "metadata", "metadata", kind)) if metadata else []
    except _Unreadable as error:
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {error}') from None
    mode = call.query.get("fieldValidation") or "Warn"
    if not unknown or mode == "Ignore":
        return
    if mode == "Strict":
        said = ", ".join(f'unknown field "{one}"' for one in unknown)
        message = f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: {said}'
        raise ApiError(400, "BadRequest", message)
    call.warnings.extend(f'299 - "unknown field \\"{one}\\""' for one in unknown)


def clean(call: Call, obj: Json) -> Json:
    """
    The object as Go would decode it.

    What its type does not have is dropped; a null is as good as nothing, or as an empty value in a list or map.
    """
    if call.resource.key == "pods" and not call.subresource:
        return dict(_clean("Pod", obj))
    metadata = _clean("ObjectMeta", obj.get("metadata") or {})
    return {**{key: value for key, value in obj.items() if value is not None}, "metadata": metadata}


def _clean(code: str, value: Any) -> Any:
    if code in TYPES:
        fields = TYPES[code]
        known = {key: one for key, one in (value or {}).items() if key in fields and one is not None}
        return {key: _clean(fields[key], one) for key, one in known.items()}
    if code[0] == "[":
        return [_clean(code[1:-1], one) for one in value]
    if code[0] == "{":
        return {key: _clean(code[1:-1], one) for key, one in value.items()}
    if value is None:
        return {"s": "", "i": 0, "b": False, "q": "0"}.get(code)
    return value


class _Unreadable(Exception):
    """In the words of Go's JSON decoder."""


def _wrong_type(value: Any, owner: str, path: str, code: str) -> _Unreadable:
    literal = f" {value}" if code == "i" and isinstance(value, float) else ""
    what = f"{_json_type(value)}{literal} into Go struct field {owner}.{path} of type {_go_type(code)}"
    return _Unreadable(f"json: cannot unmarshal {what}")


def _walk(kind: str, value: Json, place: str, path: str) -> Iterator[str]:
    """
    The places of unknown fields.

    :param place: with indices, for warnings.
    :param path: without, for type errors.
    """
    fields = TYPES[kind]
    for name, one in value.items():
        code = fields.get(name)
        here, way = (f"{place}.{name}", f"{path}.{name}") if place else (name, name)
        if code is None:
            yield here
        elif one is not None:
            yield from _check(code, one, here, way, kind)


def _check(code: str, value: Any, place: str, path: str, owner: str) -> Iterator[str]:
    if not _fits(code, value):
        raise _wrong_type(value, owner, path, code)
    if code in TYPES:
        yield from _walk(code, value, place, path)
    elif code[0] in "[{":
        parts = enumerate(value) if code[0] == "[" else value.items()
        for key, one in parts:
            if one is not None:
                here = f"{place}[{key}]" if code[0] == "[" else f"{place}.{key}"
                yield from _check(code[1:-1], one, here, path, owner)
    elif code == "q":
        try:
            parse(value)
        except ValueError as error:
            raise _Unreadable(str(error)) from None


def _fits(code: str, value: Any) -> bool:
    if isinstance(value, bool):
        return code in {"b", "o"}
    wanted: dict[str, tuple[type, ...]] = {
        "s": (str,),
        "t": (str,),
        "b": (),
        "i": (int,),  # Go takes no 30.0 for an int64
        "q": (str, int, float),
        "o": (object,),
        "[": (list,),
    }
    return isinstance(value, wanted.get(code[0] if code not in TYPES else "", (dict,)))


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, list):
        return "array"
    return "object" if isinstance(value, dict) else "string"


def _go_type(code: str) -> str:
    if code.startswith("["):
        return f"[]{_go_type(code[1:-1])}"
    if code.startswith("{"):
        return f"map[string]{_go_type(code[1:-1])}"
    return _GO.get(code, f"v1.{code}")
