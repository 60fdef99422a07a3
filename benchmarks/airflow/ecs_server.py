"""
The stand-in of ECS and CloudWatch, with tasks that write and end when they are told to.

``python -m benchmarks.airflow.ecs_server`` is started by ``containers.EcsTasks``: a line of JSON goes in (``parent``),
a line of JSON comes out (``url``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import sys
import time
from typing import Any

from aiohttp import web

from benchmarks.airflow.plan import LABEL_VARIABLE
from benchmarks.standin.ecs import World
from benchmarks.standin.logs import Logs
from benchmarks.standin.options import Options, TaskSpec
from benchmarks.standin.server import Server
from benchmarks.standin.simulation import Event, SimulatedTask, Stream


class HeldStream(Stream):
    """One line at the start, as most programs write, and then lines from the signal on."""

    task: HeldTask

    def _write(self) -> list[Event]:
        task, rate = self.task, self.task.spec.lines_per_second
        count = 0 if task.released_at is None else int((task.ended_at - task.released_at) * rate)
        begin = task.released_at or 0.0
        moments = [task.running_at, *(begin + (number + 0.5) / rate for number in range(count))]
        chance = random.Random(self.number)
        return sorted(self._event(number, moment, chance) for number, moment in enumerate(moments))


class HeldTask(SimulatedTask):
    """Runs without end, until the signal says when it ends."""

    def __init__(self, spec: TaskSpec, cluster: str, definition: str, now: float, number: int, **launch: Any) -> None:
        super().__init__(spec, cluster, definition, now, number, **launch)
        self.ended_at = math.inf
        self.released_at: float | None = None
        self.streams = [HeldStream(self, index, number * 16 + index) for index in range(len(spec.containers))]

    @property
    def label(self) -> str:
        """As its operator gave it."""
        overrides = self.launch.get("overrides") or {}
        variables = [one for part in overrides.get("containerOverrides", ()) for one in part.get("environment", ())]
        return next((str(one["value"]) for one in variables if one["name"] == LABEL_VARIABLE), "")

    def release(self, begin: float, end: float) -> None:
        """Lines from `begin` on, the end at `end`; seconds since the epoch."""
        self.released_at, self.ended_at = begin, end
        for stream in self.streams:
            stream.forget()


class HeldWorld(World):
    """Its tasks are held."""

    def create(self, spec: TaskSpec, cluster: str, definition: str | None = None, **launch: Any) -> SimulatedTask:
        """A new task, launched now."""
        arn = definition or self.definition_for(spec)
        task = HeldTask(spec, cluster, arn, time.time(), len(self.tasks) + 1, **launch)
        self.tasks[task.arn] = task
        self.streams.update({stream.name: stream for stream in task.streams})
        return task


class HeldServer(Server):
    """See the module."""

    def __init__(self) -> None:
        super().__init__(Options())
        self.world = HeldWorld(self.book)
        self._services = {"ecs": self.world, "logs": Logs(self.world, self.gate)}
        self.world.definition_for(TaskSpec())

    def application(self) -> web.Application:
        """For aiohttp."""
        app = super().application()
        app.router.add_post("/control/release", self._release)
        app.router.add_post("/control/tasks", self._tasks)
        return app

    def _launched(self, since: float) -> dict[str, HeldTask]:
        """By label; of two of one label, the later one."""
        tasks = [one for one in self.world.tasks.values() if isinstance(one, HeldTask)]
        return {one.label: one for one in tasks if one.created_at >= since}

    async def _release(self, request: web.Request) -> web.Response:
        """``{"since", "begin", "ends": {label: when}}``: see ``HeldTask.release``; tells how many there are."""
        body = await request.json()
        tasks = self._launched(body["since"])
        for label, end in body["ends"].items():
            tasks[label].release(body["begin"], end)
        return web.json_response(len(tasks))

    async def _tasks(self, request: web.Request) -> web.Response:
        """``{"since"}``: what there is, with every line: when written and when readable, seconds since the epoch."""
        tasks = self._launched((await request.json())["since"])
        return web.json_response([_told(one) for one in tasks.values()])


def _told(task: HeldTask) -> dict[str, Any]:
    (stream,) = task.streams
    return {
        "label": task.label,
        "running": task.running_at <= time.time(),
        "ended": None if math.isinf(task.ended_at) else task.ended_at,
        "readable": [one.readable_at for one in sorted(stream.events(), key=lambda event: event.event_id)],
    }


def main() -> None:
    """Serve until the parent closes our standard input."""
    json.loads(sys.stdin.buffer.readline())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())


async def _serve() -> None:
    runner = web.AppRunner(HeldServer().application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=2048).start()
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), over.set)
    print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await over.wait()
    await runner.cleanup()


if __name__ == "__main__":
    main()
