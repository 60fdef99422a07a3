"""
Which of our errors an error code of AWS means: tables, and the HTTP status where a code is in none of them.

Every error of AWS has a code. An error answer without one comes from something on the way to it (a proxy, a gateway, a
sign-in page): it says nothing about what was asked, nor about credentials and permissions.
"""

from __future__ import annotations

from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
    TokenConflict,
    Unavailable,
)

NO_CLUSTER = "ClusterNotFoundException"
REFUSED_CONTENT = frozenset({"InvalidParameterException", "ClientException"})
"""
ECS's codes for "what this request names cannot work", which asking again does not change. (An unknown task is one such
thing for StopTask.) What else a refusal may mean, such as a blocked account, somebody can mend.
"""

_THROTTLING = frozenset(
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
_UNAVAILABLE = frozenset(
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
_CREDENTIALS = frozenset(
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
_DENIED = frozenset(
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
_MISSING = frozenset({NO_CLUSTER, "ResourceNotFoundException", "TargetNotFoundException"})
# ECS has no code of its own for an unknown task definition: "ClientException: Unable to describe task definition".
_MISSING_IN = frozenset({("DescribeTaskDefinition", "ClientException")})

_BY_CODE: dict[str, type[RemoteError]] = {
    **dict.fromkeys(_THROTTLING, Throttled),
    **dict.fromkeys(_UNAVAILABLE, Unavailable),
    **dict.fromkeys(_CREDENTIALS, CredentialsExpired),
    **dict.fromkeys(_DENIED, AccessDenied),
    **dict.fromkeys(_MISSING, NotFound),
    "ConflictException": TokenConflict,
}
_TOO_MANY = 429
_BY_STATUS: dict[int, type[RemoteError]] = {_TOO_MANY: Throttled, 403: AccessDenied}


def kind_of(code: str, status: int, operation: str) -> type[RemoteError]:
    """
    The class for an error answer. The code decides; AWS's text never does.

    :param code: empty where the answer has none.
    :param status: of HTTP; 0 if unknown.
    :param operation: the API's name of the call.
    """
    if not code:
        return Throttled if status == _TOO_MANY else Unavailable
    if code in _BY_CODE:
        return _BY_CODE[code]
    if (operation, code) in _MISSING_IN:
        return NotFound
    if status >= 500:
        return Unavailable
    return _BY_STATUS.get(status, RequestRefused)
