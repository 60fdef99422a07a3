"""What is done for a request, once it is known what it asks for and that it may."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from aiohttp import web
from aiohttp.web_request import BaseRequest

from asyncrun.local.kube import reviews
from asyncrun.local.kube.answers import answer_list, answer_object, json_answer, shower
from asyncrun.local.kube.decoding import BODY_LIMIT, wants
from asyncrun.local.kube.execs import execute
from asyncrun.local.kube.faults import Stream, Traffic
from asyncrun.local.kube.kubelet import Kubelet
from asyncrun.local.kube.lists import list_objects
from asyncrun.local.kube.log_text import LogOptions
from asyncrun.local.kube.logs import chosen_container, chosen_instance, text_of, unreachable
from asyncrun.local.kube.node_api import ContainerLog, Node
from asyncrun.local.kube.objects import Objects
from asyncrun.local.kube.options import EmbeddedKubeOptions
from asyncrun.local.kube.query import Call
from asyncrun.local.kube.status import ApiError, method_not_allowed, no_such_resource
from asyncrun.local.kube.store import Store, TooOld
from asyncrun.local.kube.watching import Watch, too_old_line

_TOO_LARGE = f"Request entity too large: limit is {BODY_LIMIT}"


class Verbs:
    """
    Carries out what requests ask for.

    :param traffic: where open streams are known.
    """

    def __init__(
        self, store: Store, node: Node, objects: Objects, traffic: Traffic, options: EmbeddedKubeOptions
    ) -> None:
        self.kubelet = Kubelet(node)
        self._store, self._objects, self._traffic, self._options = store, objects, traffic, options

    async def carry_out(self, request: BaseRequest, call: Call) -> web.StreamResponse:
        """
        The answer; streams are through when it returns.

        :raises ApiError: what the client is refused.
        """
        _check_method(call)
        if call.verb == "watch":
            return await self._watch(request, call)
        if call.verb not in {"get", "list"}:
            call = await _with_body(request, call)
        if call.resource.group.startswith("auth"):
            return json_answer(reviews.answer(call), 201)
        if call.subresource and call.subresource != "status":
            return await self._subresource(request, call)
        if call.verb == "list":
            form = wants(call.accept)
            objects, metadata = await list_objects(self._store, call, future_wait=self._options.future_wait)
            return answer_list(call.resource, objects, metadata, form)
        return self._one(call)

    def _one(self, call: Call) -> web.Response:
        form = wants(call.accept)
        if call.verb == "deletecollection":
            removed = self._objects.delete_collection(call)
            return answer_list(call.resource, removed, {"resourceVersion": str(self._store.revision)}, form)
        if call.verb == "create":
            if call.name:
                raise method_not_allowed()
            return answer_object(call.resource, self._objects.create(call), form, 201, call.warnings)
        done = {
            "get": self._objects.get,
            "update": self._objects.replace,
            "patch": self._objects.patch,
            "delete": self._objects.delete,
        }[call.verb](call)
        return answer_object(call.resource, done, form, 200, call.warnings)

    async def _subresource(self, request: BaseRequest, call: Call) -> web.StreamResponse:
        if call.subresource == "log":
            return await self._log(request, call)
        if call.subresource == "exec":
            return await execute(request, call, self.kubelet, self._objects.get(call))
        return json_answer(self._objects.evict(call), 201)

    async def _watch(self, request: BaseRequest, call: Call) -> web.StreamResponse:
        show = shower(call.resource, wants(call.accept))
        watch = Watch(self._store, call, show, self._options.watch_timeout)
        response = web.StreamResponse(
            headers={"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        )
        response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            first = watch.begin()
        except TooOld as error:
            await response.write(too_old_line(error))
            return response
        try:
            async with asyncio.timeout(watch.timeout) as scope:
                with self._traffic.stream(Stream(call, request.transport, scope)):
                    await self._send(response, first)
                    await self._follow_watch(watch, response)
        except TimeoutError:
            pass  # a watch ends in no other way
        return response

    async def _follow_watch(self, watch: Watch, response: web.StreamResponse) -> None:
        loop = asyncio.get_running_loop()
        interval, end = self._options.bookmark_interval, loop.time() + watch.timeout
        mark = watch.next_bookmark(loop.time(), end, interval)
        while True:
            try:
                # Without bookmarks, too: what matters to nobody here must not be kept until the end.
                async with asyncio.timeout_at(mark or loop.time() + interval):
                    await watch.subscription.wait()
                await self._send(response, watch.take())
            except TimeoutError:
                await self._traffic.flowing.wait()
                while watch.subscription.behind:
                    await self._send(response, watch.take())
                await self._send(response, watch.bookmark() if mark else b"")
                mark = watch.next_bookmark(loop.time(), end, interval)

    async def _send(self, response: web.StreamResponse, lines: bytes) -> None:
        if lines:
            await self._traffic.flowing.wait()
            await response.write(lines)

    async def _log(self, request: BaseRequest, call: Call) -> web.StreamResponse:
        wants(call.accept, log=True)
        pod = self._objects.get(call)
        options = LogOptions.read(call.query, call.name)
        container = chosen_container(pod, options.container)
        if not pod["spec"].get("nodeName"):
            return web.Response(status=204)
        self.kubelet.check(pod, container, request.query_string)
        instance = chosen_instance(pod, container, previous=options.previous)
        response = web.StreamResponse(headers={"Content-Type": "text/plain", "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        try:
            log = self.kubelet.log(pod, container, instance)
        except ConnectionError:
            raise unreachable(pod, container, request.query_string) from None
        if log is None:
            await response.prepare(request)
            await response.write(f"unable to retrieve container logs for {instance}".encode())
            return response
        return await self._send_log(request, call, response, log, options)

    async def _send_log(
        self, request: BaseRequest, call: Call, response: web.StreamResponse, log: ContainerLog, options: LogOptions
    ) -> web.StreamResponse:
        await response.prepare(request)
        try:
            async with asyncio.timeout(None) as scope, aclosing(text_of(log, options)) as text:
                with self._traffic.stream(Stream(call, request.transport, scope)):
                    async for piece in text:
                        await response.write(piece)
        except TimeoutError:
            pass  # cut by the control endpoint, cleanly
        return response


def _check_method(call: Call) -> None:
    """
    Whether that can be done to such objects at all.

    :raises ApiError: 404, 405, or 501 for what is not imitated.
    """
    verbs: tuple[str, ...] | None = call.resource.verbs
    if call.subresource:
        verbs = next((one for name, _, one in call.resource.subresources if name == call.subresource), None)
        if call.resource.key == "pods" and call.subresource in {"attach", "portforward"}:
            raise ApiError(501, "NotImplemented", f"{call.subresource} is not imitated by the embedded Kubernetes")
    if verbs is None:
        raise no_such_resource()
    if call.verb not in verbs:
        raise method_not_allowed()


async def _with_body(request: BaseRequest, call: Call) -> Call:
    try:
        return call.with_body(await request.read())
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(413, "RequestEntityTooLarge", _TOO_LARGE) from None
