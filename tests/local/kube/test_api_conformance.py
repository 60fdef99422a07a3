"""
What was recorded of a real API server is asked again of the embedded one.

Compared are the HTTP status and of a failure's Status the message, reason, code and details. Left out: what stands in
``LEFT_OUT``; and where a message ends with a difference between two Go structures, that difference.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from asyncrun.local.kube.options import Rule
from asyncrun.local.kube.scripted import Script, ScriptedNode
from tests.local.kube.conftest import Kube, MakeKube
from tests.support.traces import trace

LEFT_OUT = {
    "log before any container status": "no moment between the node and the first status here",
    "log of a waiting container": "a race with the node: test_api_logs",
    "log follow of a waiting container": "a race with the node: test_api_logs",
    "log of a container that can't pull": "needs a node that cannot pull: tests of the node",
    "follow=banana (read timed out by the recorder after 4 s of silence)": "has no end: test_api_logs",
    "POST .../token, roles and role bindings": "permissions are given by the control endpoint",
}
SERVICE_ACCOUNT = "system:serviceaccount:rec2:narrow"


def _requests(name: str) -> list[dict[str, Any]]:
    return [one for one in trace(name) if one["kind"] == "request"]


def _narrow(requests: list[dict[str, Any]]) -> range:
    """Which requests were made with the token of the service account that may only get pods."""
    tokens = [at for at, one in enumerate(requests) if one["path"].endswith("serviceaccounts/narrow/token")]
    return range(tokens[0] + 1, tokens[1])


def _token(kube: Kube, at: int, one: dict[str, Any], narrow: range, token: str) -> str | None:
    if "anonymous" in one.get("tag", ""):
        return None
    if one["status"] == 401:
        return "wrong"
    return token if at in narrow else kube.token


def _comparable(body: Any) -> Any:
    if not isinstance(body, dict) or body.get("kind") != "Status":
        return None
    shown = {key: body.get(key) for key in ("message", "reason", "code")}
    details = dict(body.get("details") or {})
    causes = [tuple(sorted(cause.items())) for cause in details.pop("causes", ())]
    shown["causes"] = list(dict.fromkeys(causes))  # a wrong label is recorded four times
    shown["details"] = details if "details" in body else None
    return _without_difference(shown)


def _without_difference(shown: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(shown)
    cut = re.sub(r'\\n@@.*?(?=")', "", text.replace('\\"', "\u2033"))
    result: dict[str, Any] = json.loads(cut.replace("\u2033", '\\"'))
    return result


def _left_out(one: dict[str, Any]) -> bool:
    return one.get("tag") in LEFT_OUT or one["path"].endswith("/token")


class Replay:
    """Asks again what was recorded, with what the server has given out itself (names, tokens of pages)."""

    def __init__(self, kube: Kube, requests: list[dict[str, Any]]) -> None:
        self._kube, self._requests = kube, requests
        self._narrow = _narrow(requests)
        self._token = kube.server.tokens.add([Rule("rec2", ("get",), ("pods",))], user=SERVICE_ACCOUNT)
        self._generated = self._continued = ""

    async def run(self) -> list[str]:
        """What is different, request by request."""
        return [
            text for at, one in enumerate(self._requests) if not _left_out(one) and (text := await self._ask(at, one))
        ]

    async def _ask(self, at: int, one: dict[str, Any]) -> str:
        if one["path"].endswith("/resourcequotas"):  # it had ended by then
            await self._kube.ask("DELETE", f"/api/v1/namespaces/rec2/pods/{self._generated}?gracePeriodSeconds=0")
        path = re.sub(r"continue=ey\w+", f"continue={self._continued}", one["path"])
        path = re.sub(r"k-gen-\w{5}", self._generated, path)
        headers = {key: value for key, value in (one.get("req_headers") or {}).items() if key != "Authorization"}
        token = _token(self._kube, at, one, self._narrow, self._token)
        status, answer = await self._kube.ask(one["method"], path, _body(one), token=token, headers=headers)
        self._learn(answer)
        expected = _decoded(one["body"])
        if (status, _comparable(answer)) == (one["status"], _comparable(expected)):
            return ""
        return (
            f"{one.get('tag')}: {one['method']} {one['path']}\n"
            f"  recorded {one['status']} {_comparable(expected) or one['body'][:200]}\n"
            f"  answered {status} {_comparable(answer) or str(answer)[:200]}"
        )

    def _learn(self, answer: Any) -> None:
        metadata = answer.get("metadata", {}) if isinstance(answer, dict) else {}
        if metadata.get("generateName"):
            self._generated = metadata["name"]
        self._continued = metadata.get("continue", self._continued)


def _body(one: dict[str, Any]) -> Any:
    body, tag = one.get("req_body", one.get("req_data")), one.get("tag", "")
    if "4 MiB" in tag:  # too large to be recorded
        return json.dumps({"apiVersion": "v1", "kind": "Pod", "x": "y" * (4 << 20)})
    if "256 KiB" in tag:
        return _pod("k-big2", annotations={"a": "x" * (300 << 10)})
    if one["method"] == "PUT" and body["metadata"]["resourceVersion"] != "1":
        return {**body, "metadata": {"name": "k-dup"}}
    return body


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _pod(name: str, annotations: dict[str, str]) -> dict[str, Any]:
    container = {"name": "m", "image": "docker.io/library/busybox:1.36"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"containers": [container]},
    }


@pytest.fixture
async def recorded_kube(make_kube: MakeKube) -> Kube:
    node = ScriptedNode(Script(start=0, lines=1, text="hi", run=3600))
    return await make_kube(node, namespaces=("default", "kube-system", "rec", "rec2", "rec4"), future_wait=0.05)


async def test_bad_requests_are_refused_as_recorded(recorded_kube: Kube) -> None:
    different = await Replay(recorded_kube, _requests("k_bad_requests")).run()
    assert not different, "\n".join(different)
