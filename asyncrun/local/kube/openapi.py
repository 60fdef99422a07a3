"""As much of OpenAPI as kubectl asks for: that field validation is done by the server."""

from __future__ import annotations

from typing import Any

from asyncrun.local.kube.resources import GROUPS, RESOURCES


def openapi(path: str, accept: str) -> dict[str, Any] | None:
    """
    ``/openapi/v3`` and what it points to; None: there is no such document (``/openapi/v2``, which has been long).

    :param accept: the request's header.
    """
    if "protobuf" in accept and "json" not in accept:
        return None
    if path == "/openapi/v3":
        places = ["api/v1", *(f"apis/{group}/v1" for group in GROUPS)]
        return {"paths": {one: {"serverRelativeURL": f"/openapi/v3/{one}?hash=1"} for one in places}}
    for group in ("", *GROUPS):
        place = f"apis/{group}/v1" if group else "api/v1"
        if path == f"/openapi/v3/{place}":
            return _document(group, place)
    return None


def _document(group: str, place: str) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for one in RESOURCES:
        if one.group != group or "patch" not in one.verbs:
            continue
        kind = {"group": group, "kind": one.kind, "version": "v1"}
        parameters = [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in ("dryRun", "fieldManager", "fieldValidation")
        ]
        operation = {
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": kind,
        }
        space = "/namespaces/{namespace}" if one.namespaced else ""
        paths[f"/{place}{space}/{one.plural}/{{name}}"] = {"patch": operation}
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": paths,
        "components": {"schemas": {}},
    }
