"""Query parameters, read as Go reads them, and what a request is about."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from asyncrun.local.kube.access import Identity
from asyncrun.local.kube.resources import Resource
from asyncrun.local.kube.status import ApiError, Cause, bad_request, invalid

_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True, slots=True)
class Call:
    """
    One request for objects.

    :param verb: as RBAC has it.
    :param namespace: empty: none, or all.
    :param name: empty: the whole collection.
    :param subresource: ``log``, ...; empty: the object itself.
    :param selected_name: of the only object that a list's field selector lets through.
    :param warnings: for the answer's header.
    """

    verb: str
    resource: Resource
    namespace: str
    name: str
    subresource: str
    query: Mapping[str, str]
    identity: Identity
    accept: str = ""
    content_type: str = ""
    body: bytes = b""
    path: str = ""
    selected_name: str = ""
    warnings: list[str] = field(default_factory=list)

    def with_body(self, body: bytes) -> Call:
        """The same, with its body."""
        return replace(self, body=body)

    def applied(self, obj: object) -> Call:
        """The create that an apply of what does not exist is."""
        body = json.dumps(obj).encode()
        return replace(self, verb="create", body=body, content_type="application/json")

    @property
    def operation(self) -> str:
        """``list pods``, ``follow pods/log``; as `Fault.operation` has it."""
        if self.subresource == "log" and flag(self.query, "follow"):
            return f"follow {self.full_resource}"
        return f"{self.verb} {self.full_resource}"

    @property
    def full_resource(self) -> str:
        """``pods``, ``pods/log``."""
        return f"{self.resource.plural}/{self.subresource}" if self.subresource else self.resource.plural


def flag(query: Mapping[str, str], name: str) -> bool:
    """
    A boolean; anything but ``false`` and ``0`` is true (``follow=banana``: trace ``k_bad_requests``).

    In capitals, too: clients in Python say ``False``.
    """
    return name in query and query[name].lower() not in {"false", "0"}


def integer(query: Mapping[str, str], name: str) -> int | None:
    """
    A number, None if it is not given.

    :raises ApiError: 400.
    """
    text = query.get(name, "")
    if not text:
        return None
    if not _INTEGER.fullmatch(text):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if not -(1 << 63) <= int(text) < 1 << 63:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """``limit``, ``continue``, ``resourceVersion`` and their like."""

    label_selector: str
    field_selector: str
    limit: int
    token: str
    resource_version: str
    match: str
    timeout: int | None
    bookmarks: bool
    initial_events: bool | None

    @classmethod
    def read(cls, query: Mapping[str, str], *, watch: bool) -> ListOptions:
        """
        From a query.

        :raises ApiError: 400 or 422.
        """
        options = cls(
            label_selector=query.get("labelSelector", ""),
            field_selector=query.get("fieldSelector", ""),
            limit=integer(query, "limit") or 0,
            token=query.get("continue", ""),
            resource_version=query.get("resourceVersion", ""),
            match=query.get("resourceVersionMatch", ""),
            timeout=integer(query, "timeoutSeconds"),
            bookmarks=flag(query, "allowWatchBookmarks"),
            initial_events=flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None,
        )
        causes = options._watch_causes() if watch else options._list_causes()
        if causes:
            raise invalid("ListOptions", "", causes, group="meta.k8s.io")
        return options

    def _watch_causes(self) -> list[Cause]:
        if self.initial_events is not None and self.match != "NotOlderThan":
            detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            return [Cause.forbidden("resourceVersionMatch", detail)]
        if self.initial_events is None and self.match:
            detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            return [Cause.forbidden("resourceVersionMatch", detail)]
        return []

    def _list_causes(self) -> list[Cause]:
        if not self.match:
            return []
        if self.match not in {"Exact", "NotOlderThan"}:
            return [Cause.unsupported("resourceVersionMatch", self.match, ("Exact", "NotOlderThan", ""))]
        why = ""
        if not self.resource_version:
            why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        elif self.token:
            why = "resourceVersionMatch is forbidden when continue is provided"
        elif self.match == "Exact" and self.resource_version == "0":
            why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        return [Cause.forbidden("resourceVersionMatch", why)] if why else []


def revision(text: str, *, watch: bool) -> int | None:
    """
    A resourceVersion, None if it is not given.

    :raises ApiError: 500 in a watch, 400 in a list.
    """
    if not text:
        return None
    if not text.isascii() or not text.isdigit():
        said = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise ApiError(500, None, said) if watch else bad_request(f"invalid resource version: {said}")
    return int(text)
