"""The HTTP server: AWS's JSON 1.1 at ``/``, the harness's own questions at ``/control/...``."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from typing import Any

import msgspec
from aiohttp import web

from benchmarks.standin.ecs import World
from benchmarks.standin.gate import Book, Gate, Refused
from benchmarks.standin.logs import Logs
from benchmarks.standin.options import Options, TaskSpec
from benchmarks.standin.simulation import LOG_GROUP, SimulatedTask

_TARGETS = {"AmazonEC2ContainerServiceV20141113": "ecs", "Logs_20140328": "logs"}
_SLICE = 500  # tasks; creating more at once would hold up the answers


class Server:
    """Answers calls. One event loop, no threads."""

    def __init__(self, options: Options) -> None:
        self.book = Book()
        self.gate = Gate(options)
        self.world = World(self.book)
        self._services: dict[str, Any] = {"ecs": self.world, "logs": Logs(self.world, self.gate)}

    def application(self) -> web.Application:
        """For aiohttp."""
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_post("/", self._call)
        app.router.add_post("/control/create", self._create)
        app.router.add_post("/control/options", self._options)
        app.router.add_get("/control/truth", self._truth)
        app.router.add_get("/control/calls", self._calls)
        app.router.add_get("/control/counts", self._counts)
        return app

    async def _call(self, request: web.Request) -> web.Response:
        began, work = time.time(), 0.0
        prefix, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
        asked, error, status = 0, "", 200
        try:
            body = json.loads(await request.read() or b"{}")
            asked = len(body.get("tasks") or body.get("logStreamNames") or ())
            await self.gate.enter(operation)
            answer = getattr(self._services.get(_TARGETS.get(prefix, "")), operation, None)
            if answer is None or not operation[:1].isupper():
                raise Refused("UnknownOperationException", f"the stand-in has no {prefix}.{operation}")
            at = time.perf_counter()
            result = answer(body)
            payload = result if isinstance(result, bytes) else json.dumps(result).encode()
            work = time.perf_counter() - at
        except Refused as refused:
            error, status = refused.code, refused.status
            payload = json.dumps({"__type": refused.code, "message": refused.message}).encode()
        self.book.note(operation, asked, len(payload), error, began, work)
        return web.Response(
            body=payload,
            status=status,
            headers={"Content-Type": "application/x-amz-json-1.1", "x-amzn-RequestId": str(uuid.uuid4())},
        )

    async def _create(self, request: web.Request) -> web.Response:
        """``{"count": N, "cluster": ..., "spec": TaskSpec, "stagger": s}``: N tasks that start within that time."""
        body = await request.json()
        spec, cluster = msgspec.convert(body.get("spec") or {}, TaskSpec), str(body.get("cluster") or "default")
        self.world.clusters.add(cluster)
        count, stagger = int(body.get("count", 1)), float(body.get("stagger") or 0)
        created: list[SimulatedTask] = []
        for number in range(count):
            own = msgspec.structs.replace(spec, startup=spec.startup + stagger * number / count)
            created.append(self.world.create(own, cluster))
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        return web.json_response([
            {"arn": task.arn, "task_id": task.task_id, "definition": task.definition, "cluster": cluster,
             "log_group": LOG_GROUP, "streams": {one.container: one.name for one in task.streams}}
            for task in created
        ])  # fmt: skip

    async def _options(self, request: web.Request) -> web.Response:
        for name, value in (await request.json()).items():
            setattr(self.gate.options, name, value)
        return web.json_response(msgspec.to_builtins(self.gate.options))

    async def _truth(self, _: web.Request) -> web.Response:
        return web.json_response([self._true(task) for task in self.world.tasks.values()])

    @staticmethod
    def _true(task: SimulatedTask) -> dict[str, Any]:
        return {
            "arn": task.arn,
            "created_at": task.created_at,
            "running_at": task.running_at,
            "ended_at": task.ended_at,
            "ran_until": task.ended_at,
            "stopped_at": task.ended_at + task.spec.deprovisioning,
            "first_described": task.first_described,
            "end_described": task.end_described,
            "exit_codes": [task.spec.exit_code(index) for index in range(len(task.spec.containers))],
            "stop_asked_at": task.stop_asked_at,
            # Per line, in the order written: [when written (ms), when readable (s)].
            "lines": {
                one.container: [
                    (event.time_ms, round(event.readable_at, 3))
                    for event in sorted(one.events(), key=lambda event: event.event_id)
                ]
                for one in task.streams
            },
        }

    async def _calls(self, _: web.Request) -> web.Response:
        return web.json_response({"calls": self.book.calls, "rounds": self.book.rounds})

    async def _counts(self, _: web.Request) -> web.Response:
        return web.json_response(self.book.counts())
