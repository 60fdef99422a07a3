"""Error answers of a real API server (trace k_bad_requests) and of what stands before one, as users see them."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from asyncrun.clients.kube_faults import Refusal, fault, names_another, pause_of
from asyncrun.clients.kube_wording import KubeCall
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    Expired,
    LaunchRefused,
    NotFound,
    OutOfCapacity,
    RequestRefused,
    Throttled,
    Unavailable,
)
from tests.clients.kube.standin import recorded, status

K = "k_bad_requests"


def call(verb: str = "get", resource: str = "pods", name: str = "") -> KubeCall:
    return KubeCall("https://k8s", verb, resource, "rec2", name, "of Airflow connection 'c'", "whoever manages 'c'")


CREATE = call("create")


def told(answer: tuple[int, str], what: KubeCall) -> Any:
    return fault(Refusal(answer[0], answer[1].encode()), what)


@pytest.mark.parametrize(
    ("text", "what", "kind", "code", "message"),
    [
        ("k-dup\\\\\" already exists", CREATE, RequestRefused, "AlreadyExists",
         "Kubernetes at https://k8s refuses to create pods in namespace 'rec2' (AlreadyExists): pods \"k-dup\" already "
         "exists"),
        ("spec.containers: Required", CREATE, RequestRefused, "Invalid",
         "Kubernetes at https://k8s refuses to create pods in namespace 'rec2' (Invalid): Pod \"k-inv\" is invalid: "
         "spec.containers: Required value"),
        ("strict decoding error", CREATE, RequestRefused, "BadRequest", "unknown field \"spec.bogus\""),
        ("Request entity too large", CREATE, RequestRefused, "RequestEntityTooLarge", "limit is 3145728"),
        ("no-such-ns\\\\\" not found", CREATE, NotFound, "NotFound",
         "Kubernetes at https://k8s cannot create pods in namespace 'rec2': namespaces \"no-such-ns\" not found"),
        ("no-such\\\\\" not found", call(name="no-such"), NotFound, "NotFound",
         "Kubernetes at https://k8s cannot get pods 'no-such' in namespace 'rec2': pods \"no-such\" not found"),
        ("waiting to start: ContainerCreating", call("get", "pods/log", "p"), RequestRefused, "BadRequest",
         "is waiting to start: ContainerCreating"),
        ("Unauthorized", call("list"), CredentialsExpired, "Unauthorized",
         "Kubernetes at https://k8s does not accept the credentials of Airflow connection 'c' (Unauthorized): whoever "
         "manages 'c' must renew them."),
        ("system:anonymous", call("list"), CredentialsExpired, "Forbidden", "must renew them."),
        ("cannot watch resource", call("watch"), AccessDenied, "Forbidden",
         "Kubernetes at https://k8s denies 'system:serviceaccount:rec2:narrow' to watch pods in namespace 'rec2'. "
         "Whoever manages permissions in the cluster must allow the verb 'watch' on 'pods' in a Role there."),
        ("cannot create resource", CREATE, AccessDenied, "Forbidden", "the verb 'create' on 'pods' in a Role there."),
        ("pods/log", call("get", "pods/log", "p"), AccessDenied, "Forbidden", "the verb 'get' on 'pods/log' in a Role"),
        ("cannot list resource \\\\\"events", call("list", "events"), AccessDenied, "Forbidden", "'list' on 'events'"),
        ("the object has been modified", call("patch"), RequestRefused, "Conflict", "has been modified"),
    ],
)  # fmt: skip
def test_recorded_error_answers(text: str, what: KubeCall, kind: type[Exception], code: str, message: str) -> None:
    error = told(recorded(K, text.replace("\\\\", "\\")), what)
    assert type(error) is kind
    assert message in str(error)
    assert (error.service, error.operation, error.code) == ("kubernetes", what.operation, code)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_quota_is_want_of_room_and_says_which() -> None:
    error = told(recorded(K, "exceeded quota"), CREATE)
    assert type(error) is OutOfCapacity
    assert str(error) == (
        "There is no room for the pod in namespace 'rec2' of Kubernetes at https://k8s: pods \"k-quota\" is forbidden: "
        "exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1. It can start when others have ended, or "
        "when whoever manages the namespace raises the quota."
    )


@pytest.mark.parametrize(
    "answer",
    [
        recorded(K, "error looking up service account"),
        (403, json.dumps(status(403, "Forbidden", 'pods "p" is forbidden: violates PodSecurity "restricted:v1": x'))),
        (403, json.dumps(status(403, "Forbidden", 'pods "p" is forbidden: maximum cpu usage per Container is 1'))),
        (403, json.dumps(status(403, "Forbidden", 'pods "p" is forbidden: failed quota: q: must specify limits.cpu'))),
        *(
            (code, json.dumps(status(code, "", 'admission webhook "policy.example.com" denied the request: no latest')))
            for code in (400, 403, 422, 500)
        ),
        (422, json.dumps(status(422, "Invalid", "pods \"p\" is forbidden: ValidatingAdmissionPolicy 'a' with binding "
                                                "'b' "
                                                "denied request: no"))),
    ],
)  # fmt: skip
def test_admission_that_refuses_a_pod_is_a_refused_launch_with_its_words(answer: tuple[int, str]) -> None:
    error = told(answer, CREATE)
    assert type(error) is LaunchRefused
    assert error.reasons[0] in str(error)
    assert str(error).startswith("The pod is not let into namespace 'rec2' of Kubernetes at https://k8s: ")
    assert str(error).endswith("must be corrected, or whoever manages the namespace must allow it.")


def test_webhook_that_does_not_answer_is_an_outage() -> None:
    said = 'Internal error occurred: failed calling webhook "a.b.c": Post "https://x": context deadline exceeded'
    error = told((500, json.dumps(status(500, "InternalError", said))), CREATE)
    assert type(error) is Unavailable
    assert said in str(error)


def test_webhook_that_denies_a_change_refuses_the_request() -> None:
    error = told(
        (403, json.dumps(status(403, "Forbidden", 'admission webhook "w" denied the request: no'))), call("patch")
    )
    assert type(error) is RequestRefused


def test_place_that_is_no_longer_kept() -> None:
    assert type(told(recorded("k3_expired_continue_token", "Expired"), call("list"))) is Expired


def test_missing_api_is_an_outage_and_says_nothing_about_the_pod_but_for_logs_it_is_handed_on() -> None:
    answer = recorded(K, "could not find the requested resource")
    assert type(told(answer, call(name="p"))) is Unavailable
    assert type(told(answer, call("get", "pods/log", "p"))) is NotFound


@pytest.mark.parametrize(
    ("http", "kind"),
    [(404, Unavailable), (502, Unavailable), (400, Unavailable), (302, Unavailable), (401, CredentialsExpired),
     (403, AccessDenied), (429, Throttled)],
)  # fmt: skip
def test_what_is_no_status_came_from_something_on_the_way(http: int, kind: type[Exception]) -> None:
    error = told((http, "<html>Sorry</html>"), call(name="p"))
    assert type(error) is kind
    assert f"was not answered by Kubernetes at https://k8s itself (HTTP {http} " in str(error)
    assert "Sorry" not in str(error)


def test_throttled_answer_asks_for_a_pause() -> None:
    body = json.dumps(status(429, "TooManyRequests", "too many requests", retryAfterSeconds=3)).encode()
    assert type(fault(Refusal(429, body, "1"), CREATE)) is Throttled
    assert pause_of(Refusal(429, body, "1")) == 3
    assert pause_of(Refusal(429, b"no status", "7")) == 7
    assert pause_of(Refusal(429, b"no status", "Wed, 21 Oct 2026 07:28:00 GMT")) == 0


def test_deletion_that_names_another_pod_is_told_from_other_conflicts() -> None:
    assert names_another(
        told(recorded("g6_delete_foreground_preconditions", "UID in the precondition"), call("delete"))
    )
    assert not names_another(told(recorded(K, "has been modified"), call("delete")))
