"""The WSGI application in front of moto: counts, throttles, injects faults, and routes each call."""

from __future__ import annotations

import contextlib
import hmac
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from asyncrun.local.aws import wire
from asyncrun.local.aws.controls import Controls
from asyncrun.local.aws.ecs import EcsApi
from asyncrun.local.aws.faults import Faults, Quotas, check_policy, fault_error
from asyncrun.local.aws.logs import LogsApi
from asyncrun.local.aws.options import EmbeddedAwsOptions, Fault
from asyncrun.local.aws.wire import AwsError, AwsRequest, Environ, StartResponse, WsgiApp

CONTROL_PATH = "/_asyncrun/"
TOKEN_HEADER = "X-Asyncrun-Token"


@dataclass(slots=True)
class Switches:
    """What the control endpoint can change of the gate."""

    policy: tuple[str, ...] | None
    refuse_all: bool = False


class Gate:
    """The whole server as one WSGI application.

    :param moto: moto's own application, for all that is not ours.
    :param token: what a call of the control endpoint must bring.
    :param lock: the lock of the whole server; moto runs under it, since its dictionaries are not made for threads.
    """

    def __init__(
        self,
        options: EmbeddedAwsOptions,
        moto: WsgiApp,
        ecs: EcsApi,
        logs: LogsApi,
        lock: threading.RLock,
        *,
        token: str,
    ) -> None:
        self._region = options.region
        self._moto = moto
        self._ecs = ecs
        self._lock = lock
        self._token = token
        self._operations = {"ecs": ecs.operations, "logs": logs.operations}
        self.faults = Faults(options.faults)
        self.quotas = Quotas(dict(options.quotas))
        self.switches = Switches(options.policy)
        self.calls: deque[dict[str, Any]] = deque(maxlen=200_000)
        self._controls = Controls(self.faults, self.quotas, self.switches, self.calls, ecs, logs, options)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one HTTP request."""
        if environ.get("PATH_INFO", "").startswith(CONTROL_PATH):
            return self._control(environ, start_response)
        request = wire.read_request(environ, self._region)
        record = self._count(request)
        try:
            if self.switches.refuse_all:
                _reset(environ)
            answer = self._call(request, environ, start_response)
        except AwsError as error:
            record["error"] = error.code
            return wire.answer_error(start_response, error, request)
        except ConnectionResetError:
            record["error"] = "reset"
            raise
        finally:
            record["ended"] = time.monotonic()
        return answer

    def _count(self, request: AwsRequest) -> dict[str, Any]:
        params = request.params
        items = params.get("tasks") or params.get("logStreamNames") or []
        record: dict[str, Any] = {
            "operation": request.operation,
            "service": request.service,
            "region": request.region,
            "time": time.monotonic(),
            "size": len(request.body),
            "items": len(items),
            "error": None,
        }
        self.calls.append(record)
        return record

    def _call(self, request: AwsRequest, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        check_policy(request, self.switches.policy)
        self.quotas.check(request, time.monotonic())
        fault = self.faults.pick(request)
        if fault is not None:
            time.sleep(fault.delay)
            error = fault_error(fault, request)
            if error is not None:
                raise error
            if fault.kind == "reset":
                _reset(environ)
        try:
            status, headers, payload = self._execute(request, environ)
        except AwsError:
            if fault is not None and fault.kind == "drop_answer":
                _reset(environ)
            raise
        if fault is not None:
            payload = _spoil(fault, payload, environ)
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
            headers.append(("Content-Length", str(len(payload))))
        start_response(status, headers)
        return [payload]

    def _execute(self, request: AwsRequest, environ: Environ) -> tuple[str, list[tuple[str, str]], bytes]:
        operation = self._operations.get(request.service, {}).get(request.operation)
        captured: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            captured[:] = [status, headers]

        if operation is not None:
            body = wire.answer(start_response, 200, json.dumps(operation(request)).encode())
        else:
            with self._lock:
                done = self._ecs.before_moto(request) if request.service == "ecs" else None
                if done is not None:
                    body = wire.answer(start_response, 200, json.dumps(done).encode())
                else:
                    body = list(self._moto(environ, start_response))
        return captured[0], captured[1], b"".join(body)

    def _control(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_ASYNCRUN_TOKEN", "")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return wire.answer(start_response, 403, b'{"error": "wrong token"}')
        length = int(environ.get("CONTENT_LENGTH") or 0)
        params = json.loads(environ["wsgi.input"].read(length) or b"{}")
        verb = environ["PATH_INFO"].removeprefix(CONTROL_PATH)
        try:
            result = self._controls.handle(verb, params)
        except (AwsError, KeyError, TypeError, ValueError) as error:
            return wire.answer(start_response, 400, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        return wire.answer(start_response, 200, json.dumps(result).encode())


def _spoil(fault: Fault, payload: bytes, environ: Environ) -> bytes:
    if fault.kind == "drop_answer":
        _reset(environ)
    return payload[: len(payload) // 2] if fault.kind == "malformed" else payload


def _reset(environ: Environ) -> None:
    """Closes the connection with a TCP reset.

    :raises ConnectionResetError: always, so that the server writes nothing.
    """
    connection: socket.socket = environ["werkzeug.socket"]
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RD)
    raise ConnectionResetError
