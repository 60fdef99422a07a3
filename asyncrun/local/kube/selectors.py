"""Label and field selectors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from asyncrun.local.kube.changes import Json
from asyncrun.local.kube.resources import Resource
from asyncrun.local.kube.status import bad_request

Matches = Callable[[Json], bool]

_TOKEN = re.compile(r"\s*(==|!=|=|!|\(|\)|,|<|>|[^\s=!(),<>]+)")
_SYMBOLS = frozenset({"==", "!=", "=", "!", "(", ")", ",", "<", ">"})

_FIELDS = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "secrets": ("type",),
    "nodes": ("spec.unschedulable",),
    "namespaces": ("status.phase",),
}


class _Parser:
    """Reads label selectors: ``a=b,c!=d,e in (f,g),h notin (i),j,!k``."""

    def __init__(self, text: str) -> None:
        self.tokens = _TOKEN.findall(text)
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def requirements(self) -> list[Matches]:
        found = [self.requirement()]
        while self.at < len(self.tokens):
            if self.take() != ",":
                raise bad_request(f"found '{self.tokens[self.at - 1]}', expected: ',' or 'end of string'")
            found.append(self.requirement())
        return found

    def requirement(self) -> Matches:
        if self.peek() == "!":
            self.take()
            key = self.key()
            return lambda labels: key not in labels
        key = self.key()
        operator = self.peek()
        if operator in {"", ","}:
            return lambda labels: key in labels
        self.take()
        if operator in {"=", "==", "!="}:
            return self.equality(key, operator)
        if operator in {"in", "notin"}:
            return self.membership(key, operator)
        raise bad_request(f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt")

    def key(self) -> str:
        token = self.take()
        if not token or token in _SYMBOLS:
            raise bad_request(f"unable to parse requirement: found '{token}', expected: identifier")
        return token

    def equality(self, key: str, operator: str) -> Matches:
        value = "" if self.peek() in {"", ","} else self.take()
        if value in _SYMBOLS:
            raise bad_request(f"unable to parse requirement: found '{value}', expected: identifier")
        if operator == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value

    def membership(self, key: str, operator: str) -> Matches:
        if self.take() != "(":
            raise bad_request(f"unable to parse requirement: found '{self.tokens[self.at - 1]}', expected: '('")
        values: set[str] = set()
        while (token := self.take()) != ")":
            if not token:
                raise bad_request("unable to parse requirement: found '', expected: ',' or ')'")
            if token != ",":
                values.add(token)
        if operator == "notin":
            return lambda labels: labels.get(key) not in values
        return lambda labels: key in labels and labels[key] in values


def label_selector(text: str) -> Matches | None:
    """
    Whether an object's labels match; None: all do.

    :raises ApiError: 400: it cannot be parsed.
    """
    if not text.strip():
        return None
    wanted = _Parser(text).requirements()

    def matches(obj: Json) -> bool:
        labels = obj["metadata"].get("labels") or {}
        return all(one(labels) for one in wanted)

    return matches


def field_requirements(resource: Resource, text: str) -> list[tuple[str, bool, str]]:
    """
    What a field selector asks for: path, whether it must be equal, value.

    :raises ApiError: 400: it cannot be parsed, or this kind of objects cannot be selected by that field.
    """
    found: list[tuple[str, bool, str]] = []
    for part in filter(None, (one.strip() for one in text.split(","))):
        match = re.match(r"^([^=!]*)(==|!=|=)(.*)$", part)
        if match is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        path, operator, value = match.groups()
        if path not in ("metadata.name", "metadata.namespace", *_FIELDS.get(resource.key, ())):
            raise bad_request(f"field label not supported: {path}")
        found.append((path, operator != "!=", value))
    return found


def field_selector(resource: Resource, text: str) -> Matches | None:
    """
    Whether an object's fields match; None: all do.

    :raises ApiError: 400.
    """
    wanted = [(path.split("."), equal, value) for path, equal, value in field_requirements(resource, text)]
    if not wanted:
        return None
    return lambda obj: all((_field(obj, path) == value) is equal for path, equal, value in wanted)


def _field(obj: Json, path: list[str]) -> str:
    if path == ["source"]:
        source = obj.get("source") or {}
        return str(source.get("component") or obj.get("reportingComponent") or "")
    value: Any = obj
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
