"""
Errors of the AWS SDK become errors of ``asyncrun.model.errors``, here and nowhere else.

What was answered is classed by its code (``error_codes``) and told by ``wording``; here stands what was not answered:
which exception of the SDK is an outage, which one a want of credentials, which one a request that cannot be sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from asyncrun.clients.error_codes import kind_of
from asyncrun.clients.refresh import RefreshFailed
from asyncrun.clients.wording import LONGEST_QUOTE, Call, on_the_way, sentence
from asyncrun.model.errors import CredentialsExpired, MalformedAnswer, RemoteError, RequestRefused, Unavailable

_ASSUME = ("AssumeRole", "GetSessionToken", "GetFederationToken")
# The SDK quotes arguments that it refuses, and one of them may be the value of an environment variable: what begins a
# quote, and what may follow it at the end of a report about a single argument.
_QUOTE = ", value: "
_TYPES = re.compile(r", type: (<class '[\w.]+'>, valid types: <class '[\w.]+'>(?:, <class '[\w.]+'>)*)\Z")


@lru_cache(maxsize=1)
def sdk_errors() -> tuple[type[BaseException], ...]:
    """What a call of the SDK may raise; nothing broader, so that our own mistakes stay visible."""
    import aiohttp
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    return (
        ClientError,
        BotoCoreError,
        ResponseParserError,
        RefreshFailed,
        aiohttp.ClientError,
        OSError,  # TimeoutError too
        EOFError,
        asyncio.IncompleteReadError,
        # An answer that is not of the documented form breaks the SDK's parser in one of these ways; an expired
        # credential that its refresh did not renew is a RuntimeError.
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
    )


def translate(error: BaseException, call: Call) -> RemoteError:
    """
    Our error for one of ``sdk_errors()``. The caller raises it ``from`` the original.

    :param error: what the SDK raised.
    :param call: what was asked.
    """
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return _answered(error, call)
    for kinds, make in _unanswered():
        if isinstance(error, kinds):
            return make(error, call)
    return _malformed(error, call)


def may_quote_secrets(error: BaseException) -> bool:
    """Whether the SDK's own text may hold values of the request: such an error is not chained to ours."""
    from botocore.exceptions import ParamValidationError

    return isinstance(error, ParamValidationError)


def cause_outside(error: BaseException) -> BaseException | None:
    """
    The error, where it came from a service or the network: what a look-up's error may be chained to.

    Any other one that is raised while a connection is made into clients is about what stands in it, and quotes it: an
    endpoint, the arguments of a role.
    """
    from botocore.exceptions import ClientError

    return error if isinstance(error, (ClientError, *_cuts())) else None


def malformed(call: Call, what: str) -> MalformedAnswer:
    """An answer without something that the API documents."""
    return MalformedAnswer(
        f"The answer to {call.text} cannot be read: {what}.", service=call.service, operation=call.operation
    )


def _answered(error: Any, call: Call) -> RemoteError:
    answer = error.response if isinstance(error.response, Mapping) else {}
    problem, meta = answer.get("Error") or {}, answer.get("ResponseMetadata") or {}
    code, status = str(problem.get("Code") or ""), meta.get("HTTPStatusCode") or 0
    operation = str(error.operation_name or call.operation)
    if operation.startswith(_ASSUME):  # the SDK's refresh of credentials, within another call
        call = _of_sts(call, operation)
    said = " ".join(str(problem.get("Message") or "").split())[:LONGEST_QUOTE]
    if code == str(status):  # what the SDK puts where the answer has no code
        code = ""
    kind = kind_of(code, status, call.operation)
    return kind(
        sentence(kind, code, said, call) if code else on_the_way(status, call),
        service=call.service,
        operation=call.operation,
        code=code,
        request_id=str(meta.get("RequestId") or ""),
        said=said,
    )


def _of_sts(call: Call, operation: str) -> Call:
    """The call that the SDK made on the way to that one. What that one names is not STS's business."""
    return msgspec.structs.replace(call, service="sts", operation=operation, cluster="", definition="", log_group="")


Made = Callable[[BaseException, Call], RemoteError]


@lru_cache(maxsize=1)
def _unanswered() -> tuple[tuple[tuple[type[BaseException], ...], Made], ...]:
    """Most specific first."""
    from botocore import exceptions as sdk
    from botocore.parsers import ResponseParserError

    no_credentials = (
        sdk.NoCredentialsError,
        sdk.PartialCredentialsError,
        sdk.UnknownCredentialError,
        sdk.NoAuthTokenError,
        sdk.TokenRetrievalError,
        sdk.SSOError,
        sdk.ProfileNotFound,
        sdk.ConfigNotFound,
        sdk.ConfigParseError,
        sdk.InvalidConfigError,
        sdk.RefreshWithMFAUnsupportedError,
    )
    return (
        ((RefreshFailed,), _not_renewed),
        ((ResponseParserError,), _malformed),
        ((sdk.CredentialRetrievalError, sdk.MetadataRetrievalError), _not_retrieved),
        (no_credentials, _no_credentials),
        ((sdk.NoRegionError,), _no_region),
        (_cuts(), _cut),
        ((sdk.BotoCoreError,), _not_sent),
        ((RuntimeError,), _no_credentials),
    )


@lru_cache(maxsize=1)
def _cuts() -> tuple[type[BaseException], ...]:
    """Nobody answered, or not to the end."""
    import aiohttp
    from botocore import exceptions as sdk

    return (
        sdk.HTTPClientError,
        sdk.ConnectionError,
        sdk.ConnectTimeoutError,
        aiohttp.ClientError,
        OSError,
        EOFError,
        asyncio.IncompleteReadError,
    )


def _malformed(error: BaseException, call: Call) -> RemoteError:
    if call.service == "sts":  # half an answer on the way to credentials says nothing about them
        return _made(Unavailable, call, f"{call.text} gave half an answer ({_name(error)}).")
    return malformed(call, _name(error))


def _not_renewed(error: BaseException, call: Call) -> RemoteError:
    return _made(
        Unavailable,
        _of_sts(call, "AssumeRole"),
        f"The credentials {call.identity} could not be renewed for {call.text} ({error}).",
    )


def _not_retrieved(error: BaseException, call: Call) -> RemoteError:
    if not _is_outage(error):
        return _no_credentials(error, call)
    return _made(
        Unavailable,
        call,
        f"The source of the credentials {call.identity} gave no useful answer ({_name(error)}).",
    )


def _no_credentials(error: BaseException, call: Call) -> RemoteError:
    return _made(
        CredentialsExpired,
        call,
        f"There are no usable credentials for {call.text} ({_name(error)}): {call.steward} must provide them.",
    )


def _is_outage(error: BaseException) -> bool:
    """
    Whether a source of credentials was away, rather than without credentials for us.

    The SDK's metadata fetchers report a refused connection, a time-out and an answer cut in the middle by the same
    classes as a refusal; what they were handling tells them apart.
    """
    seen, outage = {id(error)}, (*_cuts(), ValueError)
    cause = error.__cause__ or error.__context__
    while cause is not None and id(cause) not in seen:
        if isinstance(cause, outage):
            return True
        seen.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


def _no_region(_: BaseException, call: Call) -> RemoteError:
    return _made(
        RequestRefused,
        call,
        "No AWS region is known: set region_name on the operator, or in the extra of the Airflow connection.",
    )


def _cut(error: BaseException, call: Call) -> RemoteError:
    from botocore.exceptions import HTTPClientError

    inner = getattr(error, "kwargs", {}).get("error") if type(error) is HTTPClientError else None  # of anything
    return _made(Unavailable, call, f"{call.text} got no answer ({_name(error if inner is None else inner)}).")


def _not_sent(error: BaseException, call: Call) -> RemoteError:
    said = " ".join(_unquoted(error).split())[:LONGEST_QUOTE]
    return _made(RequestRefused, call, f"{call.text} cannot be sent ({_name(error)}): {said}")


def _unquoted(error: BaseException) -> str:
    """
    What the SDK has against an argument: its path and type, never its value.

    Of several arguments the first only: where a quoted value ends cannot be told, since it may hold anything.
    """
    if not may_quote_secrets(error):
        return str(error)
    report = str(error).partition("\n")[2]
    problem = report.partition(_QUOTE)[0].partition("\n")[0]
    types = _TYPES.search(report) if "\n" not in report and problem != report else None
    return f"{problem}: {types[1]}" if types else problem


def _made(kind: type[RemoteError], call: Call, message: str) -> RemoteError:
    return kind(message, service=call.service, operation=call.operation)


def _name(error: BaseException) -> str:
    return type(error).__name__
