"""
What Kubernetes's API server answers instead of what was asked for becomes errors of ``asyncrun.model.errors``.

Its errors are ``Status`` objects (recorded: trace k_bad_requests). Anything else with an error's HTTP status comes from
something on the way, and says nothing about what was asked for: a load balancer's 404 does not mean that a pod is gone.
"""

from __future__ import annotations

import re
import ssl
from functools import lru_cache
from typing import Any

import msgspec

from asyncrun.clients.kube_wording import DENIED, KubeCall, on_the_way, proxy_refuses, sentence
from asyncrun.model.errors import (
    AccessDenied,
    AsyncrunError,
    CredentialsExpired,
    Expired,
    LaunchRefused,
    MalformedAnswer,
    NotFound,
    OutOfCapacity,
    RemoteError,
    RequestRefused,
    Throttled,
    Unavailable,
)

LONGEST_QUOTE = 1000
"""Characters of Kubernetes's text that are quoted: an admission webhook's reasons can be long."""

_PROXY_AUTHENTICATION = 407
_ANONYMOUS = "system:anonymous"
_QUOTA = "exceeded quota:"
# What lets a pod in is asked after permissions: quotas, limit ranges, pod security and others answer 403 themselves;
# webhooks and policies with the status that they choose.
_ADMISSION = re.compile(r"admission webhook .* denied the request|ValidatingAdmissionPolicy .* denied request")
_SAME_NAME = re.compile(r"UID in the precondition|Precondition failed: UID|metadata\.uid")


class _Details(msgspec.Struct, frozen=True, rename="camel"):
    name: str | None = None
    retry_after_seconds: int | None = None


class _Status(msgspec.Struct, frozen=True):
    kind: str
    message: str | None = None
    reason: str | None = None
    details: _Details | None = None


class Refusal(msgspec.Struct, frozen=True):
    """
    An error answer.

    :param retry_after: header ``Retry-After``.
    """

    http: int
    body: bytes
    retry_after: str = ""
    request_id: str = ""


def fault(refusal: Refusal, call: KubeCall) -> AsyncrunError:
    """Our error for an error answer: a ``RemoteError``; for a pod that is not let in a ``LaunchRefused``."""
    status = _status(refusal.body)
    if status is None and refusal.http == _PROXY_AUTHENTICATION:
        return _made(CredentialsExpired, call, proxy_refuses(call), refusal)
    if status is None:
        return _made(_KINDS_ON_THE_WAY.get(refusal.http, Unavailable), call, on_the_way(refusal.http, call), refusal)
    said = " ".join((status.message or "").split())[:LONGEST_QUOTE]
    if call.operation == "create pods" and (refused := _not_let_in(refusal.http, said, call)) is not None:
        return refused
    kind, code = _kind(refusal.http, status, said, call), status.reason or ""
    return _made(kind, call, sentence(kind, code, said, call, refusal.http), refusal, code, said)


def pause_of(refusal: Refusal) -> float:
    """Seconds that an error answer asks to wait."""
    status = _status(refusal.body)
    asked = status.details.retry_after_seconds if status is not None and status.details is not None else 0
    return float(max(asked or 0, int(refusal.retry_after) if refusal.retry_after.isdecimal() else 0))


def names_another(error: RemoteError) -> bool:
    """Whether a deletion or a patch with a uid was refused since the name belongs to another pod now (trace g6)."""
    return isinstance(error, RequestRefused) and _SAME_NAME.search(error.said) is not None


def unanswered(error: BaseException, call: KubeCall) -> RemoteError:
    """Our error where nobody answered, or not to the end."""
    if (why := _mistrusted(error)) is not None:
        return _made(
            CredentialsExpired,
            call,
            f"The TLS certificate of {call.api} is not trusted ({why}): {call.steward} must correct the certificate "
            "authority or the server.",
        )
    if _own_certificate_refused(error):
        return _made(
            CredentialsExpired,
            call,
            f"{call.api} does not accept the client certificate {call.identity} ({_reason(error)}): {call.steward} "
            "must renew it.",
        )
    if any(_proxy_status(one) == _PROXY_AUTHENTICATION for one in _chain(error)):
        return _made(CredentialsExpired, call, proxy_refuses(call))
    return _made(Unavailable, call, f"{call.api} did not answer ({_reason(error)}) when it was asked to {call.text}.")


def cut(error: BaseException, call: KubeCall) -> Unavailable:
    """A stream broke."""
    return Unavailable(
        f"{call.api} broke off its answer ({_reason(error)}) when it was asked to {call.text}.",
        service="kubernetes",
        operation=call.operation,
    )


def closed(call: KubeCall) -> Unavailable:
    """We ourselves closed the session."""
    return Unavailable(
        f"The request to {call.text} was not answered: this way to Kubernetes was closed.",
        service="kubernetes",
        operation=call.operation,
    )


def malformed(call: KubeCall, what: str) -> MalformedAnswer:
    """An answer that is not what the API documents."""
    return MalformedAnswer(
        f"The answer of {call.api} cannot be read when it was asked to {call.text}: {what}.",
        service="kubernetes",
        operation=call.operation,
    )


def page(http: int, call: KubeCall) -> RemoteError:
    """A page for people where data should be."""
    return _made(Unavailable, call, on_the_way(http, call))


@lru_cache(maxsize=1)
def transport_errors() -> tuple[type[BaseException], ...]:
    """What a session may raise; nothing broader, so that our own mistakes stay visible."""
    import aiohttp

    return (aiohttp.ClientError, OSError, EOFError)  # TimeoutError is an OSError


_KINDS_ON_THE_WAY: dict[int, type[RemoteError]] = {401: CredentialsExpired, 403: AccessDenied, 429: Throttled}
_KINDS: dict[int, type[RemoteError]] = {
    401: CredentialsExpired,
    403: AccessDenied,
    404: NotFound,
    408: Unavailable,
    410: Expired,
    429: Throttled,
}


def _kind(http: int, status: _Status, said: str, call: KubeCall) -> type[RemoteError]:
    if http == 403 and (denied := DENIED.search(said)) and denied["user"] == _ANONYMOUS:
        return CredentialsExpired  # nothing that was shown counted as credentials
    if _ADMISSION.search(said):
        return RequestRefused
    if http == 404 and not (status.details is not None and status.details.name) and call.resource != "pods/log":
        return Unavailable  # "could not find the requested resource": the API itself, as while a server starts
    return _KINDS.get(http) or (RequestRefused if 400 <= http < 500 else Unavailable)


def _not_let_in(http: int, said: str, call: KubeCall) -> LaunchRefused | None:
    if _ADMISSION.search(said) is None and (http != 403 or DENIED.search(said)):
        return None
    where = f"namespace {call.namespace!r} of {call.api}"
    if _QUOTA in said:
        return OutOfCapacity(
            f"There is no room for the pod in {where}: {said}. It can start when others have ended, or when whoever "
            "manages the namespace raises the quota.",
            reasons=(said,),
        )
    return LaunchRefused(
        f"The pod is not let into {where}: {said}. Its definition must be corrected, or whoever manages the namespace "
        "must allow it.",
        reasons=(said,),
    )


def _made(
    kind: type[RemoteError],
    call: KubeCall,
    message: str,
    refusal: Refusal | None = None,
    code: str = "",
    said: str = "",
) -> RemoteError:
    return kind(
        message,
        service="kubernetes",
        operation=call.operation,
        code=code,
        request_id=refusal.request_id if refusal is not None else "",
        said=said,
    )


def _status(body: bytes) -> _Status | None:
    try:
        status = msgspec.json.decode(body, type=_Status)
    except msgspec.MsgspecError:
        return None
    return status if status.kind == "Status" else None


def _proxy_status(error: BaseException) -> int | None:
    """What a proxy answered that was to connect us, None if that is not it."""
    import aiohttp

    return error.status if isinstance(error, aiohttp.ClientHttpProxyError) else None


def _mistrusted(error: BaseException) -> str | None:
    """Why the server's certificate was not accepted, None if that is not it."""
    found = [one for one in _chain(error) if isinstance(one, ssl.SSLCertVerificationError)]
    if not found:
        return None
    messages = [getattr(one, "verify_message", "") for one in found]  # aiohttp's own of this class have none
    return next(filter(None, messages), "certificate verify failed")


def _own_certificate_refused(error: BaseException) -> bool:
    reasons = [str(getattr(one, "reason", "")) for one in _chain(error) if isinstance(one, ssl.SSLError)]
    return any("ALERT" in one and ("CERTIFICATE" in one or "UNKNOWN_CA" in one) for one in reasons)


def _reason(error: BaseException) -> str:
    """What happened to the connection: its own text may hold a proxy's password."""
    if isinstance(error, TimeoutError):
        return "timed out"
    chain = [one for one in _chain(error) if isinstance(one, transport_errors())]
    for one in reversed(chain):
        if isinstance(one, ssl.SSLError):
            if reason := getattr(one, "reason", None):
                return f"TLS: {reason}"
        elif (http := _proxy_status(one)) is not None:
            return f"the proxy on the way answered HTTP {http}"
        elif isinstance(one, OSError) and one.strerror and isinstance(one.errno, int):
            return one.strerror
    return type(chain[-1]).__name__


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    current: Any = error
    while current is not None and current not in found:
        found.append(current)
        current = getattr(current, "os_error", None) or current.__cause__ or current.__context__
    return found
