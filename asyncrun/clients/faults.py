"""
Errors of the AWS SDK become errors of ``asyncrun.model.errors``, here and nowhere else.

The error code decides, never the text; where the code is unknown, the HTTP status. AWS's own words are quoted where
they help the reader (a refused request), and the principal and resource of a denial are cut out of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
    TokenConflict,
    Unavailable,
)

THROTTLING = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "BandwidthLimitExceeded",
        "SlowDown",
    }
)  # not LimitExceededException: for ECS that is a quota of the account, which waiting does not help
UNAVAILABLE = frozenset(
    {
        "ServerException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "RequestTimeout",
        "RequestTimeoutException",
        "IDPCommunicationError",
    }
)
CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "InvalidIdentityToken",
        "IDPRejectedClaim",
        "AuthFailure",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "TokenRefreshRequired",
    }
)
DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "UnauthorizedException",
        "NotAuthorized",
        "NotAuthorizedException",
        "OptInRequired",
    }
)
MISSING = frozenset({"ClusterNotFoundException", "ResourceNotFoundException", "TargetNotFoundException"})
# ECS has no code of its own for an unknown task definition: "ClientException: Unable to describe task definition".
MISSING_IN = frozenset({("DescribeTaskDefinition", "ClientException")})

_BY_CODE: tuple[tuple[frozenset[str], type[RemoteError]], ...] = (
    (THROTTLING, Throttled),
    (UNAVAILABLE, Unavailable),
    (CREDENTIALS, CredentialsExpired),
    (DENIED, AccessDenied),
    (MISSING, NotFound),
    (frozenset({"ConflictException"}), TokenConflict),
)
_NAMES = {"ecs": "ECS", "logs": "CloudWatch Logs", "sts": "STS"}
_LONGEST_QUOTE = 500
_PRINCIPAL = re.compile(r"\bUser: (\S+) is not authorized")
_RESOURCE = re.compile(r"\bon resource: (arn:\S+)")
# The SDK quotes arguments that it refuses; one of them may be the value of an environment variable.
_QUOTED_VALUE = re.compile(r", value: .*?(?=, (?:type|valid))", re.DOTALL)
_ASSUME = ("AssumeRole", "GetSessionToken", "GetFederationToken")


class Call(msgspec.Struct, frozen=True):
    """
    What was being asked when an error came.

    :param operation: the API's name, ``DescribeTasks``; empty where no call was made.
    :param identity: whose credentials, as the end of "the credentials ...".
    :param steward: who can mend them, as the subject of "must ...".
    """

    service: str
    operation: str
    region: str
    identity: str
    steward: str

    @property
    def text(self) -> str:
        """As in "ECS DescribeTasks in eu-west-1"."""
        parts = [_NAMES.get(self.service, self.service), self.operation, f"in {self.region}" if self.region else ""]
        return " ".join(part for part in parts if part)


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
        call = msgspec.structs.replace(call, service="sts", operation=operation)
    said = " ".join(str(problem.get("Message") or "").split())[:_LONGEST_QUOTE]
    kind = _kind(code, status, call.operation)
    return kind(
        _message(kind, code or str(status), said, call),
        service=call.service,
        operation=call.operation,
        code=code,
        request_id=str(meta.get("RequestId") or ""),
    )


def _kind(code: str, status: int, operation: str) -> type[RemoteError]:
    for codes, kind in _BY_CODE:
        if code in codes:
            return kind
    if (operation, code) in MISSING_IN:
        return NotFound
    if status >= 500:
        return Unavailable
    return {429: Throttled, 403: AccessDenied}.get(status, RequestRefused)


def _message(kind: type[RemoteError], code: str, said: str, call: Call) -> str:
    if kind is CredentialsExpired:
        return _expired(code, call)
    if kind is AccessDenied:
        return _denial(said, call)
    quote = said or "AWS says no more."
    return {
        Throttled: f"AWS throttles {call.text} ({code}): too many calls in this account; it is tried again.",
        Unavailable: f"{call.text} failed on AWS's side ({code}); it is tried again.",
        NotFound: f"{call.text} names something that does not exist ({code}): {quote}",
        TokenConflict: f"{call.text} conflicts with an earlier request of the same token ({code}): {quote}",
    }.get(kind, f"AWS refuses {call.text} ({code}): {quote}")


def _denial(said: str, call: Call) -> str:
    principal, resource = _PRINCIPAL.search(said), _RESOURCE.search(said)
    action = f"{call.service}:{call.operation}"
    whom = principal.group(1) if principal else f"the credentials {call.identity}"
    where = f" on {resource.group(1).rstrip('.,')}" if resource else ""
    return f"AWS denies {action} to {whom}. Whoever manages IAM permissions must allow {action}{where}."


def _expired(code: str, call: Call) -> str:
    return (
        f"AWS does not accept the credentials {call.identity} for {call.text} ({code}): {call.steward} must renew them."
    )


@lru_cache(maxsize=1)
def _unanswered() -> tuple[tuple[tuple[type[BaseException], ...], Callable[[BaseException, Call], RemoteError]], ...]:
    """Most specific first."""
    import aiohttp
    from botocore import exceptions as sdk
    from botocore.parsers import ResponseParserError

    no_credentials = (
        sdk.NoCredentialsError,
        sdk.PartialCredentialsError,
        sdk.CredentialRetrievalError,
        sdk.UnknownCredentialError,
        sdk.NoAuthTokenError,
        sdk.TokenRetrievalError,
        sdk.SSOError,
        sdk.ProfileNotFound,
        sdk.ConfigNotFound,
        sdk.ConfigParseError,
        sdk.InvalidConfigError,
        sdk.RefreshWithMFAUnsupportedError,
        sdk.MetadataRetrievalError,
    )
    cut = (
        sdk.HTTPClientError,
        sdk.ConnectionError,
        sdk.ConnectTimeoutError,
        aiohttp.ClientError,
        OSError,
        EOFError,
        asyncio.IncompleteReadError,
    )
    return (
        ((ResponseParserError,), _malformed),
        (no_credentials, _no_credentials),
        ((sdk.NoRegionError,), _no_region),
        (cut, _cut),
        ((sdk.BotoCoreError,), _not_sent),
        ((RuntimeError,), _no_credentials),
    )


def _malformed(error: BaseException, call: Call) -> RemoteError:
    return malformed(call, f"{type(error).__name__}")


def _no_credentials(error: BaseException, call: Call) -> RemoteError:
    return CredentialsExpired(
        f"There are no usable credentials for {call.text} ({type(error).__name__}): {call.steward} must provide them.",
        service=call.service,
        operation=call.operation,
    )


def _no_region(_: BaseException, call: Call) -> RemoteError:
    return RequestRefused(
        "No AWS region is known: set region_name on the operator, or in the extra of the Airflow connection.",
        service=call.service,
        operation=call.operation,
    )


def _cut(error: BaseException, call: Call) -> RemoteError:
    return Unavailable(
        f"{call.text} got no answer ({type(error).__name__}); it is tried again.",
        service=call.service,
        operation=call.operation,
    )


def _not_sent(error: BaseException, call: Call) -> RemoteError:
    said = " ".join(_QUOTED_VALUE.sub("", str(error)).split())[:_LONGEST_QUOTE]
    return RequestRefused(
        f"{call.text} cannot be sent ({type(error).__name__}): {said}", service=call.service, operation=call.operation
    )
