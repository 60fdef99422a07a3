"""
What to do about a pod that was refused: which argument of the operator is wrong, and who must act.

The class of the error is decided in ``asyncrun.clients.kube_faults``, whose sentence says already who must allow what
was denied or not let in; here the argument is added, chosen by Kubernetes's words. An unknown text gets none.
"""

from __future__ import annotations

import copy
from typing import TypeVar

from asyncrun.model.errors import AsyncrunError, LaunchRefused, NotFound, RemoteError, RequestRefused

E = TypeVar("E", bound=AsyncrunError)

TAKEN = "AlreadyExists"
"""Kubernetes's reason where the name belongs to another pod; that error says by itself what to do."""

_GENERAL = "Correct the operator's arguments."
_RESOURCES = "Set the operator's argument `container_resources` accordingly."
_WORDS = {
    "because it is being terminated": "The namespace is being deleted: use another, or create it again.",
    "error looking up service account": (
        "Correct the operator's argument `service_account_name`, or create that service account."
    ),
    "violates podsecurity": (
        "Set the operator's arguments `security_context` and `container_security_context` (and "
        "`xcom_sidecar_container_security_context`) accordingly."
    ),
    "exceeded quota": (
        "Less may be asked for (`container_resources`), or fewer tasks be run at once (an Airflow pool); a retry may "
        "find room."
    ),
    "failed quota": _RESOURCES,
    "no priorityclass with name": "Correct the operator's argument `priority_class_name`, or create that class.",
    "usage per container": _RESOURCES,  # the words of a LimitRange
    "usage per pod": _RESOURCES,
}
"""By what Kubernetes says, in lower case; the first that is found decides."""


def advised(error: E, namespace: str) -> E:
    """
    That refusal of a pod with what to do now; itself where its message says that already.

    :param namespace: where the pod was to be.
    """
    if isinstance(error, NotFound):
        return _with(
            error,
            f"Create namespace {namespace!r}, or correct the operator's argument `namespace` (or the connection, which "
            "chooses the cluster).",
        )
    if isinstance(error, LaunchRefused) or (isinstance(error, RequestRefused) and error.code != TAKEN):
        said = ((error.said if isinstance(error, RemoteError) else "") or str(error)).lower()
        general = "" if isinstance(error, LaunchRefused) else _GENERAL
        return _with(error, next((advice for words, advice in _WORDS.items() if words in said), general))
    return error


def _with(error: E, advice: str) -> E:
    if not advice:
        return error
    made = copy.copy(error)
    made.args = (f"{str(error).removesuffix('.')}. {advice}",)
    made.__cause__ = error.__cause__
    return made
