"""AWS JSON 1.1 over WSGI: the request as we see it, its errors, and the answers."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]

SERVICES = {"AmazonEC2ContainerServiceV20141113": "ecs", "Logs_20140328": "logs"}
ACCOUNT = "123456789012"
CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/asyncrun/embedded"


class AwsError(Exception):
    """An error answer of AWS.

    :param code: the error's code, as botocore shows it.
    :param message: AWS's sentence.
    :param status: HTTP status.
    :param extra: further members of the error's shape.
    """

    def __init__(self, code: str, message: str, *, status: int = 400, **extra: Any) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.extra = extra


@dataclass(slots=True)
class AwsRequest:
    """One call. ``service`` and ``operation`` are empty for what is not AWS JSON (then moto handles it)."""

    service: str
    operation: str
    region: str
    body: bytes
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def action(self) -> str:
        """The name that IAM policies use, such as ``ecs:RunTask``."""
        return f"{self.service}:{self.operation}"


def read_request(environ: Environ, default_region: str) -> AwsRequest:
    """Reads the whole body (and puts it back for moto), and who is asked for what."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(body)
    scope_region, scope_service = _credential_scope(environ.get("HTTP_AUTHORIZATION", ""))
    prefix, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
    service = SERVICES.get(prefix, scope_service)
    if not operation and body.startswith(b"Action="):  # the query protocol of STS and others
        operation = parse_qs(body.decode(errors="replace"))["Action"][0]
    request = AwsRequest(service, operation, scope_region or default_region, body)
    if service in ("ecs", "logs") and body:
        try:
            request.params = json.loads(body)
        except ValueError:
            request.params = {}
    return request


def _credential_scope(authorization: str) -> tuple[str, str]:
    _, found, rest = authorization.partition("Credential=")
    parts = rest.split(",")[0].split("/")
    return (parts[2], parts[3]) if found and len(parts) >= 5 else ("", "")


REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}


def answer(start_response: StartResponse, status: int, payload: bytes) -> list[bytes]:
    """Sends ``payload`` as AWS JSON 1.1."""
    start_response(
        f"{status} {REASONS.get(status, 'Error')}",
        [
            ("Content-Type", "application/x-amz-json-1.1"),
            ("Content-Length", str(len(payload))),
            ("x-amzn-RequestId", str(uuid.uuid4())),
        ],
    )
    return [payload]


def answer_error(start_response: StartResponse, error: AwsError, request: AwsRequest) -> list[bytes]:
    """Sends ``error`` in the form botocore expects of the service."""
    if request.body.startswith(b"Action="):
        code, message = escape(error.code), escape(error.message)
        xml = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        return answer(start_response, error.status, xml.encode())
    body = {"__type": error.code, "message": error.message, **error.extra}
    return answer(start_response, error.status, json.dumps(body).encode())
