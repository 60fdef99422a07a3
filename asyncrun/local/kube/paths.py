"""What a request's path means."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from asyncrun.local.kube.access import ANONYMOUS, Identity
from asyncrun.local.kube.answers import answer_error, json_answer, text_answer
from asyncrun.local.kube.faults import refusal
from asyncrun.local.kube.openapi import openapi
from asyncrun.local.kube.query import Call, flag
from asyncrun.local.kube.resources import (
    GROUPS,
    VERSION,
    Resource,
    api_versions,
    find,
    group_document,
    group_list,
    resource_list,
)
from asyncrun.local.kube.selectors import field_requirements
from asyncrun.local.kube.status import ApiError, no_such_resource

_OPEN = ("/version", "/healthz", "/livez", "/readyz")
_WRITES = {"POST": "create", "PUT": "update", "PATCH": "patch"}


class PageNotFound(Exception):
    """404 in plain text: nothing is known below that path."""


def other_path(path: str, identity: Identity, address: str, accept: str) -> web.Response | None:
    """The answer for paths that name no objects: health, version, discovery; None: it is about objects."""
    path = path.rstrip("/") or "/"
    health = path in _OPEN or path.startswith(("/healthz/", "/livez/", "/readyz/"))
    document = None if health else _document(path, address, accept)
    if not health and document is None:
        return None
    if identity is ANONYMOUS and not health:
        message = f'forbidden: User "{identity.user}" cannot get path "{path}"'
        return answer_error(ApiError(403, "Forbidden", message, {}))
    if path == "/version":
        return json_answer(VERSION)
    return text_answer("ok") if health else json_answer(document)


def _document(path: str, address: str, accept: str) -> dict[str, Any] | None:
    parts = path.strip("/").split("/")
    if parts[0] == "openapi":
        return openapi(path, accept)
    if path in {"/api", "/apis"}:
        return api_versions(address) if path == "/api" else group_list()
    if path == "/api/v1":
        return resource_list("")
    if parts[0] != "apis" or parts[1] not in GROUPS:
        return None
    if len(parts) == 2:
        return {"kind": "APIGroup", "apiVersion": "v1", **group_document(parts[1])}
    return resource_list(parts[1]) if parts[2:] == ["v1"] else None


def read_call(request: BaseRequest, identity: Identity) -> Call:
    """
    What objects a request is about, and what is to be done with them; without its body.

    :raises ApiError: 403 or 404: no such kind of objects.
    :raises PageNotFound: no such group.
    """
    parts = request.path.strip("/").split("/")
    group, rest = _group(parts)
    watching = rest[:1] == ["watch"]
    rest = rest[1:] if watching else rest
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) >= 3:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = ([*rest, "", "", ""])[:3]
    resource = find(group, "v1", plural)
    if resource is None or len(rest) > 3:
        unknown = Resource(plural, "", group=group)
        call = _call(request, unknown, namespace, name, subresource, identity, watching)
        raise no_such_resource() if identity.may(call.verb, plural, namespace) else refusal(call)
    return _call(request, resource, namespace, name, subresource, identity, watching)


def _group(parts: list[str]) -> tuple[str, list[str]]:
    if parts[:2] == ["api", "v1"] and len(parts) > 2:
        return "", parts[2:]
    if parts[0] == "apis" and len(parts) > 3 and parts[1] in GROUPS and parts[2] == "v1":
        return parts[1], parts[3:]
    raise PageNotFound


def _call(
    request: BaseRequest,
    resource: Resource,
    namespace: str,
    name: str,
    subresource: str,
    identity: Identity,
    watching: bool,
) -> Call:
    query = dict(request.query)
    verb = _verb(request.method, query, name, watching)
    if resource.kind and not name and verb in {"list", "watch"}:
        # RBAC knows a list by name, so that a permission for one object covers it.
        wanted = field_requirements(resource, query.get("fieldSelector", "")) if "fieldSelector" in query else []
        named = next((value for path, equal, value in wanted if path == "metadata.name" and equal), "")
    else:
        named = ""
    return Call(
        verb=verb,
        resource=resource,
        namespace=namespace,
        name=name,
        subresource=subresource,
        query=query,
        identity=identity,
        accept=request.headers.get("Accept", ""),
        content_type=request.headers.get("Content-Type", ""),
        path=request.path,
        selected_name=named,
    )


def _verb(method: str, query: dict[str, str], name: str, watching: bool) -> str:
    if method in _WRITES:
        return _WRITES[method]
    if method == "DELETE":
        return "delete" if name else "deletecollection"
    if watching or (flag(query, "watch") and not name):
        return "watch"
    return "get" if name else "list"
