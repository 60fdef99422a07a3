"""``python -m benchmarks.standin``: serve until the standard input closes or a signal comes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys

import msgspec
from aiohttp import web

from benchmarks.standin.options import Options
from benchmarks.standin.server import Server


def main() -> None:
    """Read the options, serve, say on one line of JSON where."""
    parser = argparse.ArgumentParser(description="A fast stand-in for ECS and CloudWatch Logs, on loopback.")
    parser.add_argument("--port", type=int, default=0, help="0: a free one, which the first line of output tells")
    parser.add_argument("--options", default="{}", help="JSON, see benchmarks.standin.options.Options")
    parser.add_argument("--quotas", action="store_true", help="enforce AWS's token buckets of the strict regions")
    parser.add_argument("--throttle", type=float, default=0.0, help="share of calls throttled at random")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    parser.add_argument("--with-parent", action="store_true", help="end when the standard input closes")
    arguments = parser.parse_args()
    given = {"quotas": arguments.quotas, "throttle": arguments.throttle, "latency": arguments.latency}
    options = msgspec.convert({**given, **json.loads(arguments.options)}, Options)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(options, arguments.port, arguments.with_parent))


async def _serve(options: Options, port: int, with_parent: bool) -> None:
    runner = web.AppRunner(Server(options).application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, backlog=2048)
    await site.start()
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    if with_parent:
        loop.add_reader(sys.stdin.fileno(), over.set)  # nothing is ever written there: readable means closed
    print(json.dumps({"url": f"http://127.0.0.1:{runner.addresses[0][1]}"}), flush=True)
    await over.wait()
    await runner.cleanup()


if __name__ == "__main__":
    main()
