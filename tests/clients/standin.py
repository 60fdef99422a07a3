"""A small AWS of ours: speaks JSON 1.1 and STS's query protocol over HTTP, and answers what a test says."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Reply = tuple[int, Any]
"""HTTP status and body; a body of None cuts the connection."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # of 5, the default, a burst of connections waits seconds for its retransmissions


class StandIn:
    """
    Answers on 127.0.0.1 in threads of its own.

    :ivar replies: by operation, what to answer next; when it is empty, ``default``.
    :ivar calls: by operation, the requests seen: (access key id, arguments).
    :ivar delays: by operation, seconds to wait before answering.
    :ivar ahead: seconds that its clock is ahead of ours.
    :ivar holds: by operation, an event to wait for before answering.
    """

    def __init__(self) -> None:
        self.replies: dict[str, deque[Reply]] = {}
        self.defaults: dict[str, Reply] = {
            "DescribeTasks": (200, {"tasks": [], "failures": []}),
            "ListTasks": (200, {"taskArns": []}),
            "StopTask": (200, {"task": {}}),
            "FilterLogEvents": (200, {"events": []}),
        }
        self.calls: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        self.headers: list[dict[str, str]] = []
        self.delays: dict[str, float] = {}
        self.holds: dict[str, threading.Event] = {}
        self.ahead = 0.0
        self.lifetime = timedelta(hours=1)
        self.tokens = Counter[str]()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def reply(self, operation: str, *replies: Reply) -> None:
        self.replies.setdefault(operation, deque()).extend(replies)

    def error(self, operation: str, code: str, status: int = 400, message: str = "said by AWS", times: int = 1) -> None:
        self.reply(operation, *[(status, {"__type": f"com.amazonaws.ecs#{code}", "message": message})] * times)

    def count(self, operation: str) -> int:
        return len(self.calls.get(operation, ()))

    def keys(self, operation: str) -> list[str]:
        return [key for key, _ in self.calls.get(operation, ())]

    def close(self) -> None:
        for hold in self.holds.values():
            hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, operation: str, key: str, arguments: dict[str, Any]) -> Reply:
        self.calls.setdefault(operation, []).append((key, arguments))
        time.sleep(self.delays.get(operation, 0))
        if operation in self.holds:
            self.holds[operation].wait(30)
        queue = self.replies.get(operation)
        if queue:
            return queue.popleft()
        if operation == "AssumeRole":
            return 200, self._assumed(arguments)
        return self.defaults.get(operation, (200, {}))

    def _assumed(self, arguments: dict[str, Any]) -> str:
        self.tokens["AssumeRole"] += 1
        until = (datetime.now(UTC) + self.lifetime).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
            f"<AccessKeyId>ASSUMED{self.tokens['AssumeRole']}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
            f"<SessionToken>t</SessionToken><Expiration>{until}</Expiration></Credentials></AssumeRoleResult>"
            "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></AssumeRoleResponse>"
        )

    def _handler(self) -> Callable[..., BaseHTTPRequestHandler]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """The credentials endpoint of a container, at any path."""
                self.send(*standin.answer("ContainerCredentials", "", {}), "application/json")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                target = self.headers.get("X-Amz-Target")
                if target:
                    operation, arguments = target.rsplit(".", 1)[-1], json.loads(body or b"{}")
                else:
                    arguments = {name: values[0] for name, values in parse_qs(body.decode()).items()}
                    operation = arguments.pop("Action")
                signed = self.headers.get("Authorization") or ""
                key = signed.partition("Credential=")[2].partition("/")[0]
                standin.headers.append(dict(self.headers))
                kind = "application/x-amz-json-1.1" if target else "text/xml"
                self.send(*standin.answer(operation, key, arguments), kind)

            def send(self, status: int, answer: Any, kind: str) -> None:
                if answer is None:
                    self.close_connection = True
                    return
                data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.send_header("x-amzn-RequestId", "request-1")
                self.end_headers()
                self.wfile.write(data)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + standin.ahead if timestamp is None else timestamp)

            def log_message(self, *args: Any) -> None:
                pass

        return Handler
