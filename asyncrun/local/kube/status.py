"""Refusals, as the API server words them (trace ``k_bad_requests``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong with an object."""

    reason: str
    message: str
    field: str

    @classmethod
    def required(cls, field: str, detail: str = "") -> Cause:
        """Something is missing."""
        return cls("FieldValueRequired", f"Required value: {detail}" if detail else "Required value", field)

    @classmethod
    def invalid(cls, field: str, value: object, detail: str) -> Cause:
        """A value that will not do; strings are shown in quotes."""
        shown = f'"{value}"' if isinstance(value, str) else f"{value}"
        return cls("FieldValueInvalid", f"Invalid value: {shown}: {detail}", field)

    @classmethod
    def forbidden(cls, field: str, detail: str) -> Cause:
        """Something that may not be there, or may not change."""
        return cls("FieldValueForbidden", f"Forbidden: {detail}", field)

    @classmethod
    def duplicate(cls, field: str, value: str) -> Cause:
        """A name that is taken within the object."""
        return cls("FieldValueDuplicate", f'Duplicate value: "{value}"', field)

    @classmethod
    def unsupported(cls, field: str, value: str, supported: tuple[str, ...]) -> Cause:
        """None of the values that are possible."""
        allowed = ", ".join(f'"{one}"' for one in supported)
        return cls("FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {allowed}', field)

    @classmethod
    def not_found(cls, field: str, value: str) -> Cause:
        """A name that nothing in the object has."""
        return cls("FieldValueNotFound", f'Not found: "{value}"', field)

    @classmethod
    def too_long(cls, field: str, most: int) -> Cause:
        """More bytes than may be."""
        return cls("FieldValueTooLong", f"Too long: may not be more than {most} bytes", field)


class ApiError(Exception):
    """
    An answer that is a Status of a failure.

    :param code: HTTP status.
    :param reason: None: the body has none (a plain 500).
    :param details: None: the body has none; ``{}`` is shown.
    :param headers: more HTTP headers.
    """

    def __init__(
        self,
        code: int,
        reason: str | None,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        metadata: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.reason, self.message, self.details = code, reason, message, details
        self.metadata = metadata or {}
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The Status."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            **({"reason": self.reason} if self.reason else {}),
            **({"details": self.details} if self.details is not None else {}),
            "code": self.code,
        }


def not_found(plural: str, name: str, group: str = "") -> ApiError:
    """404 of an object."""
    return ApiError(404, "NotFound", f'{_qualified(plural, group)} "{name}" not found', _details(plural, name, group))


def no_such_resource() -> ApiError:
    """404 of a kind of objects, or of a subresource."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> ApiError:
    """405."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, {})


def already_exists(plural: str, name: str, group: str = "") -> ApiError:
    """409 of a create."""
    message = f'{_qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(plural, name, group))


def conflict(plural: str, name: str, why: str, group: str = "") -> ApiError:
    """409 of a change or a delete with preconditions."""
    message = f'Operation cannot be fulfilled on {_qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(plural, name, group))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(kind: str, name: str, causes: list[Cause], group: str = "") -> ApiError:
    """422: what is wrong with the object, all at once."""
    said = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes))
    text = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    details = {
        **({"name": name} if name else {}),
        **({"group": group} if group else {}),
        "kind": kind,
        "causes": [{"reason": one.reason, "message": one.message, "field": one.field} for one in causes],
    }
    return ApiError(422, "Invalid", f'{_qualified(kind, group)} "{name}" is invalid: {text}', details)


def bad_request(message: str) -> ApiError:
    """400."""
    return ApiError(400, "BadRequest", message)


def forbidden(plural: str, name: str, why: str, group: str = "") -> ApiError:
    """403: by RBAC, admission or quota."""
    about = f'{_qualified(plural, group)} "{name}"' if name else _qualified(plural, group)
    return ApiError(403, "Forbidden", f"{about} is forbidden: {why}", _details(plural, name, group))


def unauthorized() -> ApiError:
    """401."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def expired(message: str, metadata: dict[str, Any] | None = None) -> ApiError:
    """410: the place in the history is not kept any more."""
    return ApiError(410, "Expired", message, metadata=metadata)


def too_large_version(asked: int, current: int) -> ApiError:
    """504 of a list that would have to wait for a revision that does not come (trace ``k3``)."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return ApiError(504, "Timeout", message, details, headers={"Retry-After": "1"})


def internal(message: str) -> ApiError:
    """500 without a reason, as what fails between the API server and a kubelet has it."""
    return ApiError(500, None, message)


def _qualified(name: str, group: str) -> str:
    return f"{name}.{group}" if group else name


def _details(plural: str, name: str, group: str) -> dict[str, Any]:
    return {**({"name": name} if name else {}), **({"group": group} if group else {}), "kind": plural}
