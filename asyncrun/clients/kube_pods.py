"""Pods of one namespace: ``PodsApi``."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

import msgspec

from asyncrun.clients.budget import Group
from asyncrun.clients.kube_api import LogStream, PodPage, WatchStream
from asyncrun.clients.kube_calls import KubeCalls, Request, path_of
from asyncrun.clients.kube_faults import malformed, names_another
from asyncrun.clients.kube_streams import Following, Listening, Watching
from asyncrun.clients.kube_wording import KubeCall
from asyncrun.model.errors import MalformedAnswer, NotFound, RequestRefused
from asyncrun.model.pod import Pod, PodEvent, read_pod

EVENTS = 500
"""Events of one pod that are read: the API server merges repeated ones and keeps them for an hour."""


class _ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""
    next_page: str = msgspec.field(default="", name="continue")


class _List(msgspec.Struct, frozen=True):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Named(msgspec.Struct, frozen=True):
    class Meta(msgspec.Struct, frozen=True):
        uid: str

    metadata: Meta


class _Series(msgspec.Struct, frozen=True, rename="camel"):
    count: int | None = None
    last_observed_time: datetime | None = None


class _Event(msgspec.Struct, frozen=True, rename="camel"):
    metadata: _Named.Meta
    type: str | None = None
    reason: str | None = None
    message: str | None = None
    count: int | None = None
    first_timestamp: datetime | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: _Series | None = None


class Pods:
    """``PodsApi`` over the requests of one target."""

    def __init__(self, calls: KubeCalls, namespace: str) -> None:
        self._calls, self._namespace = calls, namespace

    def __repr__(self) -> str:
        return f"<Pods of namespace {self._namespace!r}>"

    @property
    def namespace(self) -> str:
        """Its name."""
        return self._namespace

    async def create(self, manifest: Mapping[str, Any]) -> Pod:
        """See ``PodsApi``."""
        body = msgspec.json.encode(manifest)
        return read_pod(await self._calls.ask(self._request("create", "POST", body=body)))

    async def get(self, name: str) -> Pod:
        """See ``PodsApi``."""
        return read_pod(await self._calls.ask(self._request("get", "GET", name)))

    async def read(self, name: str) -> dict[str, Any]:
        """See ``PodsApi``."""
        request = self._request("get", "GET", name)
        try:
            whole = msgspec.json.decode(await self._calls.ask(request))
        except msgspec.MsgspecError as error:
            raise malformed(request.call, str(error)) from None
        if not isinstance(whole, dict):
            raise malformed(request.call, "it is no JSON object")
        return whole

    async def list(self, *, label_selector: str, limit: int, next_page: str = "") -> PodPage:
        """See ``PodsApi``."""
        query = {"labelSelector": label_selector, "limit": str(limit)}
        if next_page:
            query["continue"] = next_page
        request = self._request("list", "GET", query=query)
        body = await self._calls.ask(request)
        found = _read_list(body, request.call)
        pods: list[Pod] = []
        unreadable: dict[str, MalformedAnswer] = {}
        for item in found.items or ():
            try:
                pods.append(read_pod(item))
            except MalformedAnswer as error:
                unreadable[_uid_of(item, request.call)] = error
        return PodPage(pods, unreadable, found.metadata.resource_version, found.metadata.next_page)

    def watch(
        self, *, label_selector: str, resource_version: str, seconds: float, silence: float
    ) -> AbstractAsyncContextManager[WatchStream]:
        """See ``PodsApi``."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": label_selector,
            "resourceVersion": resource_version,
            "timeoutSeconds": str(max(1, round(seconds))),
        }
        request = self._request("watch", "GET", query=query)
        request = msgspec.structs.replace(request, stream=True, silence=silence)
        return Listening(self._calls, request, Watching)

    async def patch(self, name: str, body: Mapping[str, Any]) -> Pod:
        """See ``PodsApi``."""
        request = self._request("patch", "PATCH", name, body=msgspec.json.encode(body))
        request = msgspec.structs.replace(request, content_type="application/merge-patch+json")
        return read_pod(await self._calls.ask(request))

    async def delete(self, name: str, *, uid: str, grace_seconds: int | None = None) -> None:
        """See ``PodsApi``."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self._calls.ask(self._request("delete", "DELETE", name, body=msgspec.json.encode(options)))
        except NotFound:
            return
        except RequestRefused as error:
            if not names_another(error):
                raise

    def log(
        self,
        name: str,
        container: str,
        *,
        follow: bool,
        silence: float,
        since: str = "",
        previous: bool = False,
    ) -> AbstractAsyncContextManager[LogStream]:
        """See ``PodsApi``."""
        query = {"container": container, "timestamps": "true"}
        query |= {"follow": "true"} if follow else {}
        query |= {"previous": "true"} if previous else {}
        query |= {"sinceTime": since} if since else {}
        request = Request(
            self._calls.call("get", "pods/log", self._namespace, name),
            "GET",
            path_of(self._namespace, "pods", name, "log"),
            query,
            silence=silence,
            stream=True,
            group=Group.KUBE_LOGS if follow else Group.KUBE_LOG_READS,
        )
        return Listening(self._calls, request, Following)

    async def events(self, name: str, uid: str) -> Sequence[PodEvent]:
        """See ``PodsApi``."""
        call = self._calls.call("list", "events", self._namespace)
        selector = f"involvedObject.kind=Pod,involvedObject.name={name},involvedObject.uid={uid}"
        query = {"fieldSelector": selector, "limit": str(EVENTS)}
        body = await self._calls.ask(Request(call, "GET", path_of(self._namespace, "events"), query))
        found: list[PodEvent] = []
        for item in _read_list(body, call).items or ():
            with contextlib.suppress(MalformedAnswer):  # the others still explain something
                found.append(read_event(item, call))
        return sorted(found, key=lambda one: (one.last_at or one.first_at or 0.0, one.first_at or 0.0))

    def _request(
        self,
        verb: str,
        method: str,
        name: str = "",
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Request:
        path = path_of(self._namespace, "pods", *([name] if name else []))
        call = self._calls.call(verb, "pods", self._namespace, name)
        group = Group.KUBE if method == "GET" else Group.KUBE_CHANGES
        return Request(call, method, path, query or {}, body, group=group)


def read_event(item: bytes | msgspec.Raw, call: KubeCall) -> PodEvent:
    """
    One event; the scheduler's have ``eventTime`` and ``series`` where the kubelet's have two stamps (trace e).

    :raises MalformedAnswer: it is none.
    """
    try:
        event = msgspec.json.decode(item, type=_Event)
    except msgspec.MsgspecError as error:
        raise malformed(call, str(error)) from None
    series = event.series or _Series()
    first = event.first_timestamp or event.event_time
    last = series.last_observed_time or event.last_timestamp or event.event_time
    return PodEvent(
        uid=event.metadata.uid,
        kind=event.type or "Normal",
        reason=event.reason or "",
        message=event.message or "",
        count=series.count or event.count or 1,
        first_at=None if first is None else first.timestamp(),
        last_at=None if last is None else last.timestamp(),
    )


def _read_list(body: bytes, call: KubeCall) -> _List:
    try:
        return msgspec.json.decode(body, type=_List)
    except msgspec.MsgspecError as error:
        raise malformed(call, str(error)) from None


def _uid_of(item: msgspec.Raw, call: KubeCall) -> str:
    """Of a pod that cannot be read, to tell whose run it hits; without it the page is what cannot be read."""
    try:
        return msgspec.json.decode(item, type=_Named).metadata.uid
    except msgspec.MsgspecError as error:
        raise malformed(call, str(error)) from None
