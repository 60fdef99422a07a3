"""Bodies of requests, and the formats of answers."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from asyncrun.local.kube import protobuf
from asyncrun.local.kube.query import Call, integer
from asyncrun.local.kube.status import ApiError, bad_request
from asyncrun.local.kube.store import Json

BODY_LIMIT = 3 * 1024 * 1024

_UNKNOWN_FORMAT = (
    "the body of the request was in an unknown format - accepted media types include:"
    " application/json, application/yaml, application/vnd.kubernetes.protobuf"
)
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)


def media_type(header: str) -> str:
    """``application/json`` of ``application/json; charset=utf-8``."""
    return header.partition(";")[0].strip().lower()


def read_object(call: Call) -> Json:
    """
    The object in the body.

    :raises ApiError: 400: it is no JSON (or YAML), or of another kind; 415.
    """
    kind = call.resource.kind
    kind = "Eviction" if call.subresource == "eviction" else kind
    obj = _parse(call, kind)
    if not isinstance(obj, dict):
        raise _unrecognized(kind, f"json: cannot unmarshal {_go_type(obj)} into Go value of type struct", call.body)
    given, version = obj.get("kind"), obj.get("apiVersion")
    if not given and not version:
        return {"kind": kind, "apiVersion": call.resource.api_version, **obj}
    if given and given != kind:
        message = (
            f'{given} in version "{version}" cannot be handled as a {kind}: '
            f"converting (v1.{given}) to (core.{kind}): unknown conversion"
        )
        raise bad_request(message)
    return obj


def _parse(call: Call, kind: str) -> Any:
    media = media_type(call.content_type) or "application/json"
    if media in {"application/yaml", "application/x-yaml"}:
        try:
            return msgspec.yaml.decode(call.body)
        except msgspec.DecodeError as error:
            raise bad_request(f"error converting YAML to JSON: {error}") from None
    if media == "application/vnd.kubernetes.protobuf":
        try:
            return protobuf.decode(call.body)
        except ValueError as error:
            raise ApiError(415, "UnsupportedMediaType", f"{_UNKNOWN_FORMAT} ({error})") from None
    if media != "application/json":
        raise ApiError(415, "UnsupportedMediaType", _UNKNOWN_FORMAT)
    try:
        return json.loads(call.body)
    except ValueError as error:
        raise _unrecognized(kind, _go_json_error(call.body, error), call.body) from None


def _unrecognized(kind: str, why: str, body: bytes) -> ApiError:
    shown = body[:1024].decode(errors="replace")
    return bad_request(
        f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
        f"json parse error: {why} ({shown})"
    )


def _go_json_error(body: bytes, error: ValueError) -> str:
    position = getattr(error, "pos", len(body))
    text = body.decode(errors="replace")
    if position >= len(text):
        return "unexpected end of JSON input"
    character = "\\'" if text[position] == "'" else text[position]
    before = text[:position].rstrip()
    where = "object key string" if before.endswith("{") else "value"
    return f"invalid character '{character}' looking for beginning of {where}"


def _go_type(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    return "array" if isinstance(value, list) else "string"


def read_patch(call: Call) -> tuple[str, Any]:
    """
    Media type and content of a patch.

    :raises ApiError: 400, 415.
    """
    media = media_type(call.content_type)
    if media not in PATCHES:
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    try:
        if media.endswith("yaml"):
            return media, msgspec.yaml.decode(call.body)
        return media, json.loads(call.body)
    except ValueError as error:
        raise bad_request(f"error decoding patch: {_go_json_error(call.body, error)}") from None


def read_delete_options(call: Call) -> Json:
    """
    A DeleteOptions, from the body and the query.

    :raises ApiError: 400.
    """
    options: Json = {}
    if call.body.strip():
        options = {key: value for key, value in _read_options(call).items() if value is not None}
    grace = integer(call.query, "gracePeriodSeconds")
    if grace is not None:
        options.setdefault("gracePeriodSeconds", grace)
    if "propagationPolicy" in call.query:
        options.setdefault("propagationPolicy", call.query["propagationPolicy"])
    return check_delete_options(call, options)


def check_delete_options(call: Call, options: Any) -> Json:
    """
    A DeleteOptions whose fields are what they must be.

    :raises ApiError: 400: they are not.
    """
    if not isinstance(options, dict):
        raise _unrecognized("DeleteOptions", f"json: cannot unmarshal {_go_type(options)}", call.body)
    given = {key: value for key, value in options.items() if value is not None}
    kinds = {"gracePeriodSeconds": int, "preconditions": dict, "propagationPolicy": str, "dryRun": list}
    for name, kind in kinds.items():
        if name in given and (not isinstance(given[name], kind) or isinstance(given[name], bool)):
            raise _unrecognized("DeleteOptions", f"json: cannot unmarshal {_go_type(given[name])}", call.body)
    return given


def _read_options(call: Call) -> Json:
    if call.body.startswith(protobuf.MAGIC):
        try:
            return protobuf.decode(call.body)
        except ValueError as error:
            raise _unrecognized("DeleteOptions", str(error), b"") from None
    try:
        read = json.loads(call.body)
    except ValueError as error:
        raise _unrecognized("DeleteOptions", _go_json_error(call.body, error), call.body) from None
    return read if isinstance(read, dict) else {}


def wants(accept: str, *, log: bool = False) -> str:
    """
    In which form to answer: ``json``, ``yaml``, ``table``, ``partial``.

    :param log: the answer is text anyway, but what is not accepted is refused all the same (trace ``k_bad_requests``).
    :raises ApiError: 406.
    """
    for part in accept.split(","):
        media, *parameters = (one.strip() for one in part.split(";"))
        given = dict(one.split("=", 1) for one in parameters if "=" in one)
        form = given.get("as", "")
        if media in {"", "*/*", "application/*"} or (media == "application/json" and not form):
            return "json"
        if media == "application/yaml" and not form:
            return "yaml"
        if media == "application/json" and form == "Table" and given.get("v") == "v1":
            return "table"
        if media == "application/json" and form.startswith("PartialObjectMetadata"):
            return "partial"
    formats = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
    if log:
        message = f"only the following media types are accepted: {formats}"
        raise ApiError(406, "NotAcceptable", message)
    raise ApiError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {formats}", {})
