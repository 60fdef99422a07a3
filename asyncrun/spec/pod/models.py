"""
Anything that upstream's operator takes for a part of a pod -> plain JSON values under the API's own names.

Known by its shape, so that no client library is imported: a model of ``kubernetes`` or ``kubernetes_asyncio`` has
``attribute_map`` and ``openapi_types``; Airflow's old classes have ``to_k8s_client_obj``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from difflib import get_close_matches
from enum import Enum
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.model.pod_fields import KUBERNETES, fields_of
from asyncrun.spec.values import Kind, check_type, is_unrendered


class Part(dict[str, Any]):
    """
    The fields of an API object, as opposed to a map of the user's own keys: true even without any field.

    Where two pods are merged, upstream asks whether the user's value is true. Its model objects always are, so
    ``V1ResourceRequirements()`` clears a template's resources, and ``{}`` does not.
    """

    def __bool__(self) -> bool:
        return True


def plain(value: object, kind: str = "", *, where: str = "value", lenient: bool = False) -> Any:
    """
    The value as JSON-able dicts, lists and scalars.

    Like the client's ``sanitize_for_serialization``: fields that are None are dropped, empty lists and dicts are kept.
    A dict may have the API's names (``mountPath``) or Python's (``mount_path``). What is still a template stays.

    :param kind: what it has to be, in the notation of ``pod_fields``: ``[]Volume``, ``Container``, ``{}s``; empty: any.
    :param where: the argument's name, for the message.
    :param lenient: whether scalars are converted where the API wants another type, as upstream does with what it reads
        from a pod template (``value: 5``); otherwise they are refused, since the API server refuses them.
    :return: model objects, and dicts that stand for them if ``lenient``, as ``Part``.
    :raises InvalidArgument: it cannot be that; a field is unknown. The message shows names and types only.
    """
    if isinstance(value, Enum):
        value = value.value
    elif callable(convert := getattr(value, "to_k8s_client_obj", None)):
        value = convert()
    if value is None or is_unrendered(value):
        return value
    if is_model(value):
        return _model(value, kind, where)
    if isinstance(value, Mapping):
        return _mapping(value, kind, where, lenient)
    if isinstance(value, (list, tuple)):
        return _listed(value, kind, where, lenient)
    return _scalar(value, kind, where, lenient)


def is_model(value: object) -> bool:
    """Whether it is an object of a Kubernetes client library, which says itself how it is written."""
    return isinstance(getattr(value, "attribute_map", None), Mapping) and isinstance(
        getattr(value, "openapi_types", None), Mapping
    )


def settled(value: Any) -> Any:
    """A copy in which every ``Part`` is an ordinary dict."""
    if isinstance(value, Mapping):
        return {key: settled(one) for key, one in value.items()}
    return [settled(one) for one in value] if isinstance(value, list) else value


def _model(value: Any, kind: str, where: str) -> Part:
    own = next((name for one in type(value).__mro__ if fields_of(name := _kind_name(one.__name__)) is not None), "")
    if kind not in ("", "*") and own != kind:
        raise InvalidArgument(where, Kind(value), _expected(kind))
    fields = fields_of(own) or {}
    part = Part()
    for attribute, name in value.attribute_map.items():
        if (one := getattr(value, attribute)) is not None:
            # A field of a newer client's model is passed on: its writer knows it.
            part[name] = plain(one, fields.get(name, ""), where=f"{where}.{name}")
    return part


def _kind_name(class_name: str) -> str:
    """``V1Volume`` -> ``Volume``, ``CoreV1ResourceClaim`` -> ``CoreResourceClaim``."""
    return class_name.replace("V1", "", 1)


def _mapping(value: Mapping[Any, Any], kind: str, where: str, lenient: bool) -> dict[str, Any]:
    if kind.startswith("{}"):
        return {
            _key(key, where, lenient): plain(one, kind[2:], where=f"{where}[{key!r}]", lenient=lenient)
            for key, one in value.items()
        }
    if kind in ("", "*"):
        return {
            _key(key, where, lenient): plain(one, where=f"{where}.{key}", lenient=lenient) for key, one in value.items()
        }
    fields = fields_of(kind)
    if fields is None:
        raise InvalidArgument(where, Kind(value), _expected(kind))
    part: dict[str, Any] = Part() if lenient else {}
    for key, one in value.items():
        name = _field_name(key, kind, fields, where)
        if one is not None:
            if name in part:
                raise InvalidArgument(where, key, f"{name} once: it is given under both of its names")
            part[name] = plain(one, fields[name], where=f"{where}.{name}", lenient=lenient)
    return part


def _key(key: object, where: str, lenient: bool) -> str:
    if isinstance(key, str):
        return key
    if lenient and isinstance(key, (int, float)):
        return str(key)
    raise InvalidArgument(where, Kind(key), "text as keys")


def _field_name(key: object, kind: str, fields: Mapping[str, str], where: str) -> str:
    if isinstance(key, str):
        if key in fields:
            return key
        for name in fields:
            if python_name(name) == key:
                return name
    near = get_close_matches(_camel(str(key)), fields, 1)
    raise InvalidArgument(
        where,
        key,
        f"a field of {kind} in Kubernetes {KUBERNETES}"
        + (f"; did you mean {near[0]!r}?" if near else f" ({_some(fields)})"),
    )


def _some(fields: Mapping[str, str]) -> str:
    names = sorted(fields)
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


_IRREGULAR = {"exec": "_exec", "targetWWNs": "target_wwns"}


def python_name(name: str) -> str:
    """
    The client libraries' name of a field: ``hostIP`` -> ``host_ip``, ``setHostnameAsFQDN`` -> ``set_hostname_as_fqdn``.

    A test compares it with the client's for every field of a pod.
    """
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    text = ""
    for index, letter in enumerate(name):
        after_lower = index > 0 and not name[index - 1].isupper()
        before_lower = index + 1 < len(name) and name[index + 1].islower()
        if letter.isupper() and index > 0 and (after_lower or before_lower):
            text += "_"
        text += letter.lower()
    return text


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(one.capitalize() for one in rest)


def _listed(value: list[Any] | tuple[Any, ...], kind: str, where: str, lenient: bool) -> list[Any]:
    if kind not in ("", "*") and not kind.startswith("[]"):
        raise InvalidArgument(where, Kind(value), _expected(kind))
    return [plain(one, kind[2:], where=f"{where}[{index}]", lenient=lenient) for index, one in enumerate(value)]


def _scalar(value: object, kind: str, where: str, lenient: bool) -> Any:
    if isinstance(value, date):  # a datetime is one too
        value = value.isoformat()
    if isinstance(value, (str, bool, int, float)) and (lenient or _fits(value, kind)):
        converted = _converted(value, kind) if lenient else value
        if _fits(converted, kind):
            return converted
    if isinstance(value, str) and kind not in _WORDS:
        check_type(where, value, Mapping, _expected(kind))  # adds how templates render
    raise InvalidArgument(where, Kind(value), _expected(kind))


def _fits(value: object, kind: str) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match kind:
        case "s" | "t":
            return isinstance(value, str)
        case "i":
            return isinstance(value, int) and number
        case "b":
            return isinstance(value, bool)
        case "q":
            return isinstance(value, str) or number
    return kind in ("", "*")


def _converted(value: str | bool | float, kind: str) -> str | bool | float:
    if kind in ("s", "q") and not isinstance(value, str):
        return str(value)
    if kind == "i" and isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return value
    return value


_WORDS = {
    "": "text, a number, a list, a dict, or a model of the Kubernetes client",
    "s": "text",
    "t": "a time as text, 2030-01-31T12:00:00Z",
    "i": "a whole number",
    "b": "True or False",
    "q": "a quantity: text as '500m' or '256Mi', or a number",
}


def _expected(kind: str) -> str:
    if kind.startswith("[]"):
        return f"a list, of which each is {_expected(kind[2:])}"
    if kind.startswith("{}"):
        return f"a dict with text as keys, and values of which each is {_expected(kind[2:])}"
    return _WORDS.get(kind) or f"{_article(kind)}: V1{kind} of the Kubernetes client, or a dict of its fields"


def _article(kind: str) -> str:
    return f"a Kubernetes {kind}"
