"""What the embedded AWS cannot be told to do: expire one role's credentials, spoil one task's answer."""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit


class Gateway:
    """
    An HTTP server in front of the embedded AWS that can refuse single access keys and change single answers.

    :ivar keys: access keys by operation, in order of use.
    :ivar expired: access keys whose calls are answered with ExpiredTokenException.
    :ivar change: called with operation and decoded answer; returns what is answered.
    """

    def __init__(self, endpoint: str) -> None:
        self.host, self.port = str(urlsplit(endpoint).hostname), int(urlsplit(endpoint).port or 0)
        self.keys: list[tuple[str, str]] = []
        self.expired: set[str] = set()
        self.change: Callable[[str, dict[str, Any]], dict[str, Any]] | None = None

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler) -> None:  # noqa: N805
                self._answer(handler)

            def log_message(handler, *_: object) -> None:  # noqa: N805
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="gateway", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def keys_of(self, operation: str) -> list[str]:
        return [key for name, key in list(self.keys) if name == operation]

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        operation = _operation(request.headers.get("X-Amz-Target", ""), body)
        credential = re.search(r"Credential=([^/]+)/", request.headers.get("Authorization", ""))
        key = credential.group(1) if credential else ""
        self.keys.append((operation, key))
        if key in self.expired:
            status, kind, answer = _expired(operation)
        else:
            status, kind, answer = self._forward(request, body)
            if self.change is not None and status == 200 and "json" in kind:
                answer = json.dumps(self.change(operation, json.loads(answer))).encode()
        request.send_response(status)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            kept = {name: value for name, value in request.headers.items() if name.lower() != "connection"}
            connection.request("POST", request.path, body, kept)
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
        finally:
            connection.close()


def _operation(target: str, body: bytes) -> str:
    named = re.search(rb"Action=(\w+)", body)
    return target.rpartition(".")[2] or (named.group(1).decode() if named else "")


def _expired(operation: str) -> tuple[int, str, bytes]:
    code, message = "ExpiredTokenException", "The security token is expired"
    if operation == "AssumeRole":  # STS speaks XML
        xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        return 400, "text/xml", xml.encode()
    return 400, "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode()
