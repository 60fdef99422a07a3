"""What a real API server refused and accepted (tests/kubernetes/traces) is refused and accepted by our checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.models import plain
from asyncrun.spec.pod.whole import check_manifest
from tests.support.traces import names, trace

Exchange = dict[str, Any]

# A part of the recorded message -> why we do not refuse it at parse.
NOT_OURS = {
    "json parse error": "we write the JSON",
    "the body of the request was in an unknown format": "we set the content type",
    'namespaces "no-such-ns" not found': "only the cluster knows its namespaces",
    "already exists": "only the cluster knows its pods",
    "error looking up service account": "only the cluster knows its accounts",
    "Unauthorized": "credentials",
    "cannot create resource": "permissions",
    "exceeded quota": "only the cluster knows its quota",
}

# Accepted by the recorded server, and refused by us on purpose.
STRICTER = {"k-unk": "the API server ignores unknown fields silently: mostly a typo"}


def _creations() -> Iterator[tuple[str, Exchange]]:
    for name in names():
        for one in trace(name):
            if one["kind"] == "request" and one["method"] == "POST" and one["path"].partition("?")[0].endswith("/pods"):
                yield name, one


def _pod(metadata: dict[str, Any], **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "x"}]
    return {"metadata": {"name": "x", **metadata}, "spec": {"containers": containers, **spec}}


LONG = {
    "Request entity too large: limit is 3145728": _pod(
        {}, containers=[{"name": "main", "image": "x", "command": ["x" * 3145728]}]
    ),
    'Pod "k-big2" is invalid: metadata.annotations: Too long: may not be more than 262144 bytes': _pod(
        {"annotations": {"a": "x" * 262144}}
    ),
}


def _check(body: Any) -> None:
    check_manifest(plain(body, "Pod", where="pod"))


REFUSED = [
    pytest.param(one, id=json.loads(one["body"])["message"][:80]) for _, one in _creations() if one["status"] >= 400
]
ACCEPTED = [
    pytest.param(one["req_body"], id=f"{name}-{one['req_body']['metadata'].get('name')}")
    for name, one in _creations()
    if one["status"] == 201 and isinstance(one.get("req_body"), dict)
]


@pytest.mark.parametrize("exchange", REFUSED)
def test_recorded_refusal(exchange: Exchange) -> None:
    """Each is refused by us too, or stands in the table of what nobody can know at parse, and is a good pod."""
    message = json.loads(exchange["body"])["message"]
    body = exchange.get("req_body")
    if any(part in message for part in NOT_OURS):
        if isinstance(body, dict):
            _check(body)
        return
    if not isinstance(body, dict):  # the recorder left the long ones out
        body = LONG[message]
    with pytest.raises(InvalidArgument):
        _check(body)


def test_every_row_of_the_table_was_recorded() -> None:
    messages = [json.loads(one["body"])["message"] for _, one in _creations() if one["status"] >= 400]
    assert [part for part in NOT_OURS if not any(part in message for message in messages)] == []


@pytest.mark.parametrize("body", ACCEPTED)
def test_recorded_pod_is_accepted(body: Exchange) -> None:
    if body["metadata"].get("name") in STRICTER:
        with pytest.raises(InvalidArgument):
            _check(body)
    else:
        _check(body)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (
            _pod({"name": "K_INV"}),
            "name='K_INV' cannot work: expected 1 to 253 lower-case letters, digits, dashes and dots, each part "
            "beginning and ending with a letter or digit (field metadata.name)",
        ),
        (
            _pod({}, restartPolicy="Sometimes"),
            "pod.spec.restartPolicy='Sometimes' cannot work: expected one of Always, OnFailure, Never",
        ),
        (
            _pod(
                {}, containers=[{"name": "a", "image": "x"}, {"name": "b", "image": "x"}, {"name": "b", "image": "x"}]
            ),
            "pod.spec.containers[2].name='b' cannot work: expected another: it is there already",
        ),
        (
            _pod({"labels": {"bad value!": "1"}}),
            "labels='bad value!' cannot work: expected labels whose keys are 1 to 63 letters, digits, dashes, "
            "underscores and dots, beginning and ending with a letter or digit, which may stand after a DNS name and "
            "'/' (field metadata.labels)",
        ),
        (
            _pod({}, containers=[]),
            "pod.spec.containers=None cannot work: expected at least one container",
        ),
        (
            LONG["Request entity too large: limit is 3145728"],
            "pod='3145820 bytes' cannot work: expected at most 3145728 bytes in all",
        ),
        (
            _pod({"annotations": {"a": "x" * (256 * 1024)}}),
            "annotations='262145 bytes' cannot work: expected at most 262144 bytes in all (field metadata.annotations)",
        ),
        (
            {"kind": "Service", **_pod({})},
            "pod.kind='Service' cannot work: expected one of Pod",
        ),
    ],
)
def test_what_is_said(body: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        _check(body)
    assert str(refused.value) == sentence
