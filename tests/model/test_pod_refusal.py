"""What is said of pods that Kubernetes did not take."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from asyncrun.model.diagnosis import Cause
from asyncrun.model.errors import (
    AccessDenied,
    AsyncrunError,
    CredentialsExpired,
    LaunchRefused,
    NotFound,
    RequestRefused,
    Unavailable,
)
from asyncrun.model.outcome import Verdict
from asyncrun.model.pod_diagnosis import diagnose
from asyncrun.model.pod_outcome import gave_up
from asyncrun.model.pod_refusal import refusal
from tests.support.traces import trace


def _recorded_refusal(words: str) -> str:
    for one in trace("k_bad_requests"):
        if (
            one["kind"] == "request"
            and one["method"] == "POST"
            and (one["status"] or 0) >= 400
            and words in one["body"]
        ):
            return str(msgspec.json.decode(one["body"])["message"])
    raise LookupError(words)


@pytest.mark.parametrize(
    ("kind", "words", "cause", "summary", "next_step"),
    [
        (
            AccessDenied, "error looking up service account", Cause.SERVICE_ACCOUNT,
            "service account 'no-such-sa' does not exist in namespace 'rec2'",
            "Create it there (kubectl -n rec2 create serviceaccount no-such-sa), or mend `service_account_name` or "
            "`namespace` in the DAG.",
        ),
        (
            AccessDenied, "exceeded quota", Cause.QUOTA,
            "quota 'q' of its namespace is used up: asked for pods=1, in use pods=1, allowed pods=1",
            "Wait until other pods of the namespace have ended (a retry may do), lower the requests, or have whoever "
            "owns "
            "the namespace raise the quota.",
        ),
        (
            AccessDenied, "cannot create resource", Cause.PERMISSION,
            "'system:serviceaccount:rec2:narrow' may not create pods in namespace 'rec2'",
            "Whoever manages that cluster's permissions must let it create pods there, by a Role and a RoleBinding.",
        ),
        (
            NotFound, "no-such-ns", Cause.REFUSED,
            "namespace 'no-such-ns' does not exist",
            "Create the namespace, or mend `namespace` in the DAG or in the Airflow connection.",
        ),
        (
            RequestRefused, "spec.containers: Required value", Cause.REFUSED,
            "its definition is not valid: spec.containers: Required value",
            "The author of the DAG must mend what it names.",
        ),
    ],
)  # fmt: skip
def test_recorded_refusals_are_explained(
    kind: type[Any], words: str, cause: Cause, summary: str, next_step: str
) -> None:
    said = _recorded_refusal(words)
    made = refusal(kind("Kubernetes refused it.", code="Forbidden", said=said))
    assert (made.cause, made.summary) == (cause, f"the pod could not be created: {summary}")
    assert made.next_step == next_step
    assert made.evidence == (f"Forbidden: {said}",)


@pytest.mark.parametrize(
    ("error", "cause", "summary"),
    [
        (
            LaunchRefused('admission webhook "policy.example" denied the request: no latest tags'), Cause.REFUSED,
            "the admission webhook 'policy.example' does not let it in: no latest tags",
        ),
        (Unavailable("The API server cannot be reached"), Cause.UNKNOWN, "The API server cannot be reached"),
        (CredentialsExpired("No credentials"), Cause.PERMISSION, "No credentials"),
        (LaunchRefused("nothing known"), Cause.REFUSED, "nothing known"),
    ],
)  # fmt: skip
def test_other_refusals(error: AsyncrunError, cause: Cause, summary: str) -> None:
    made = refusal(error)
    assert (made.cause, made.summary) == (cause, f"the pod could not be created: {summary}")
    assert made.next_step


def test_a_pod_that_was_never_created_is_explained_by_the_error() -> None:
    error = AccessDenied("no", said=_recorded_refusal("exceeded quota"))
    made = diagnose(gave_up(Verdict.NEVER_STARTED, "no", base="main"), None, None, base="main", error=error)
    assert made.cause is Cause.QUOTA
