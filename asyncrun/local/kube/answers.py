"""Answers: JSON, YAML, Tables, and older and newer forms of an object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from asyncrun.local.kube.resources import Resource
from asyncrun.local.kube.status import ApiError
from asyncrun.local.kube.store import Json
from asyncrun.local.kube.tables import table

_CACHE = {"Cache-Control": "no-cache, private"}


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer in JSON; ``content`` as bytes is sent as it is."""
    body = content if isinstance(content, bytes) else msgspec.json.encode(content) + b"\n"
    return web.Response(
        status=status, body=body, headers={"Content-Type": "application/json", **_CACHE, **(headers or {})}
    )


def text_answer(text: str, status: int = 200) -> web.Response:
    """An answer in plain text."""
    return web.Response(status=status, text=text, headers={"X-Content-Type-Options": "nosniff"})


def answer_error(error: ApiError) -> web.Response:
    """A Status."""
    return json_answer(error.body(), error.code, error.headers)


def shown(resource: Resource, obj: Json) -> Json:
    """An object of the store as that version of its kind has it."""
    if resource.group != "events.k8s.io":
        return obj
    rest = {
        key: value
        for key, value in obj.items()
        if key
        not in {
            "involvedObject",
            "message",
            "source",
            "firstTimestamp",
            "lastTimestamp",
            "count",
            "reportingComponent",
            "reportingInstance",
        }
    }
    return {
        **rest,
        "apiVersion": "events.k8s.io/v1",
        "regarding": obj.get("involvedObject") or {},
        "note": obj.get("message", ""),
        "reportingController": obj.get("reportingComponent", ""),
        "reportingInstance": obj.get("reportingInstance", ""),
        "deprecatedSource": obj.get("source") or {},
        "deprecatedFirstTimestamp": obj.get("firstTimestamp"),
        "deprecatedLastTimestamp": obj.get("lastTimestamp"),
        **({"deprecatedCount": obj["count"]} if obj.get("count") is not None else {}),
    }


def shower(resource: Resource, form: str) -> Callable[[Json], Json] | None:
    """How a watch shows its objects; None: as they are in the store."""
    if form == "table":
        return lambda obj: table(resource, [obj], {"resourceVersion": obj["metadata"]["resourceVersion"]})
    if form == "partial":
        return partial
    if resource.group == "events.k8s.io":
        return lambda obj: shown(resource, obj)
    return None


def partial(obj: Json) -> Json:
    """Only its metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def answer_object(resource: Resource, obj: Json, form: str, status: int, warnings: list[str]) -> web.Response:
    """One object, or a Status."""
    headers = {"Warning": ", ".join(warnings)} if warnings else {}
    if obj.get("kind") == "Status" or "metadata" not in obj:
        return json_answer(obj, status, headers)
    if form == "table":
        version = obj["metadata"].get("resourceVersion", "")
        return json_answer(table(resource, [obj], {"resourceVersion": version}), status, headers)
    if form == "partial":
        return json_answer(partial(obj), status, headers)
    if form == "yaml":
        body = msgspec.yaml.encode(shown(resource, obj), order="sorted")
        return web.Response(status=status, body=body, headers={"Content-Type": "application/yaml", **_CACHE, **headers})
    return json_answer(shown(resource, obj), status, headers)


def answer_list(resource: Resource, objects: list[Json], metadata: Json, form: str) -> web.Response:
    """A list, whose items do not say their kind."""
    if form == "table":
        return json_answer(table(resource, objects, metadata))
    if form == "partial":
        items = [partial(one) for one in objects]
        head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        return json_answer({**head, "metadata": metadata, "items": items})
    items = [_item(shown(resource, one)) for one in objects]
    content = {
        "kind": f"{resource.kind}List",
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": items,
    }
    if form == "yaml":
        body = msgspec.yaml.encode(content, order="sorted")
        return web.Response(body=body, headers={"Content-Type": "application/yaml", **_CACHE})
    return json_answer(content)


def _item(obj: Json) -> Json:
    return {key: value for key, value in obj.items() if key not in {"kind", "apiVersion"}}
