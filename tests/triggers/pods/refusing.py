"""A Kubernetes in memory that refuses."""

from __future__ import annotations

from asyncrun.model.errors import (
    AccessDenied,
    RemoteError,
    Unavailable,
)
from tests.triggers.pods.conftest import Reflected

FORBIDDEN = AccessDenied("pods is forbidden: User cannot list", service="kubernetes", code="Forbidden")
REFUSED = Unavailable("connection refused", service="kubernetes")


def forbids(reflected: Reflected, *operations: str, error: RemoteError = FORBIDDEN) -> None:
    reflected.kube.fault = lambda operation: error if operation in operations else None


def permits(reflected: Reflected) -> None:
    reflected.kube.fault = lambda operation: None
