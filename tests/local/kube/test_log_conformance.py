"""
Every recorded request for a log is asked again of the embedded API server.

The server's pods have the status that the recorder's watch had shown by then, and its node has what the containers had
written: which instance's log is chosen, what of it is shown, and every refusal are the server's own.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from asyncrun.local.kube.store import Store
from tests.local.kube.conftest import Kube, MakeKube
from tests.local.kube.test_node_conformance import LOST, PLAYS
from tests.support.traces import names, trace

Json = dict[str, Any]

_LENGTHS = "only the lengths of its logs were recorded, and its pods are as those of a_success"
LEFT_OUT = {
    "a2_last_line_race": _LENGTHS,
    "a4_burst_race": _LENGTHS,
    "q_log_rotation": "what is left of a log is the node's affair: test_node_logs",
}
"""Traces that no test of this folder replays."""
ELSEWHERE = {
    "g6_delete_foreground_preconditions": "test_api_pods",
    "k_bad_requests": "test_api_conformance",
    "k2_watch_semantics": "test_api_watch",
    "k3_expired_continue_token": "test_api_watch",
    "u_exec_websocket": "test_api_exec",
}
"""Those without logs, or without a watch, that are not about a pod's life (test_node_conformance) either."""
NOT_NOW = "sinceSeconds"
"""Counts from the present."""
HOLDING = ("finalizers", "deletionTimestamp")
"""What keeps the store from removing a pod at once."""
GONE = b"unable to retrieve container logs for "


def test_every_trace_is_replayed_or_left_out_for_a_reason() -> None:
    lives = {name for name, _ in (*PLAYS, *LOST)}
    assert set(names()) - {*TRACES, *lives, *ELSEWHERE} == set(LEFT_OUT)
    for name, module in ELSEWHERE.items():
        assert name in (Path(__file__).parent / f"{module}.py").read_text()


def _asks_for_logs(name: str) -> bool:
    return any(one["kind"] == "log-open" for one in trace(name))


TRACES = [name for name in names() if name not in {*LEFT_OUT, *ELSEWHERE} and _asks_for_logs(name)]


@dataclass
class Asked:
    """
    A recorded request.

    :param pod: as the recorder's watch had shown it last; None: deleted.
    """

    path: str
    status: int
    pod: Json | None
    body: bytes = b""

    @property
    def query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}

    @property
    def name(self) -> str:
        return re.findall(r"/pods/([^/]+)/log", self.path)[0]

    @property
    def instance(self) -> str:
        """Whose log it shows, by the rules of the kubelet; empty: nothing ran."""
        statuses = self.statuses
        wanted = self.query.get("container", statuses[0]["name"] if statuses else "")
        one = next((one for one in statuses if one["name"] == wanted), None)
        if one is None:
            return ""
        last = (one["lastState"].get("terminated") or {}).get("containerID", "")
        return str(last if "previous" in self.query else one.get("containerID", "") or last)

    @property
    def statuses(self) -> list[Json]:
        status = (self.pod or {}).get("status") or {}
        return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]

    @property
    def is_whole(self) -> bool:
        """Nothing of what had been written is left out."""
        return self.query.get("timestamps") == "true" and self.query.keys() <= {
            "container", "follow", "timestamps", "previous", "pretty",
        }  # fmt: skip

    def ended(self) -> bool:
        """Whether it asks for the log of an instance that had ended, which could not grow any more."""
        one = next((one for one in self.statuses if one.get("containerID") == self.instance), None)
        return one is None or "running" not in one["state"]


def asked(name: str) -> list[Asked]:
    """Every request for a log in a trace."""
    pods: dict[str, Json | None] = {}
    found: dict[str, Asked] = {}
    for one in trace(name):
        if one["kind"] == "watch":
            line = json.loads(one["line"])
            if line["object"].get("kind") == "Pod" and line["type"] != "BOOKMARK":
                pods[line["object"]["metadata"]["name"]] = None if line["type"] == "DELETED" else line["object"]
        elif one["kind"] == "log-open":
            made = Asked(one["path"], one["status"], None)
            made.pod = pods.get(made.name)
            found[one["id"]] = made
        elif one["kind"] == "log-chunk":
            text = one.get("text") or ""
            found[one["id"]].body += base64.b64decode(one["b64"]) if one.get("b64") else text.encode()
    return [one for one in found.values() if NOT_NOW not in one.path]


@dataclass
class WrittenLog:
    """The log of an instance that has ended by now."""

    container_id: str
    text: bytes

    def size(self) -> int:
        return len(self.text)

    def read(self, offset: int, size: int) -> bytes:
        assert offset >= 0  # a file could not be read there
        return self.text[offset : offset + size]

    async def grown(self, offset: int) -> bool:
        return self.size() > offset


@dataclass
class RecordedNode:
    """
    A node that has the recorded logs.

    :ivar has: of each instance; of the present and of the last one.
    """

    has: dict[str, WrittenLog] = field(default_factory=dict)
    status: list[Json] = field(default_factory=list)
    is_down: bool = False

    async def start(self, store: Store) -> None:
        pass

    async def stop(self) -> None:
        pass

    def log(self, pod_uid: str, container: str, *, previous: bool) -> WrittenLog | None:
        if self.is_down:
            raise ConnectionRefusedError
        one = next(one for one in self.status if one["name"] == container)
        last = (one["lastState"].get("terminated") or {}).get("containerID", "")
        return self.has.get(last if previous else one.get("containerID", ""))


def texts(requests: list[Asked]) -> dict[str, bytes]:
    """The most that was seen of each instance's log, with its stamps."""
    found: dict[str, bytes] = {}
    for one in requests:
        if one.status == 200 and one.is_whole and not one.body.startswith(GONE):
            found[one.instance] = max(found.get(one.instance, b""), one.body, key=len)
    return found


def same(one: Asked, status: int, body: bytes) -> bool:
    """Whether that is what was recorded; an instance that was running may have written more since."""
    if status != one.status:
        return False
    if status >= 400:
        return _said(body) == _said(one.body)
    return body == one.body or (one.is_whole and not one.ended() and body.startswith(one.body))


def _said(body: bytes) -> tuple[Any, ...]:
    """Of a refusal, without the node's address, and how exactly it did not answer."""
    said = json.loads(body)
    message = re.sub(r"\d+\.\d+\.\d+\.\d+:10250", "<node>", said["message"])
    message = re.sub(r'": (dial|read) tcp .*$', '": <no answer>', message)
    return message, said.get("reason"), said["code"]


class Replay:
    """One trace on one server."""

    def __init__(self, kube: Kube, node: RecordedNode, requests: list[Asked]) -> None:
        self._kube, self._node, self._requests = kube, node, requests
        self._logs = {instance: WrittenLog(instance, text) for instance, text in texts(requests).items()}

    async def run(self) -> list[str]:
        """What is different."""
        found = []
        for one in self._requests:
            self._show(one)
            async with self._kube.open("GET", one.path) as answer:
                status, body = answer.status, await answer.read()
            if not same(one, status, body):
                found.append(
                    f"{one.path}\n  recorded {one.status} {one.body[:300]!r}\n  answered {status} {body[:300]!r}"
                )
        return found

    def _show(self, one: Asked) -> None:
        """Let the cluster be as it was then."""
        store, namespace = self._kube.store, one.path.split("/")[4]
        if store.get("pods", namespace, one.name) is not None:
            store.remove("pods", namespace, one.name)
        if one.pod is not None:
            metadata = {key: value for key, value in one.pod["metadata"].items() if key not in HOLDING}
            store.create("pods", {**one.pod, "metadata": metadata})
        self._node.status = one.statuses
        self._node.is_down = one.status == 500
        lost = one.body.removeprefix(GONE).decode() if one.body.startswith(GONE) else ""
        self._node.has = {key: log for key, log in self._logs.items() if key != lost}


@pytest.mark.parametrize("name", TRACES)
async def test_logs_are_answered_as_recorded(name: str, make_kube: MakeKube) -> None:
    node = RecordedNode()
    kube = await make_kube(node)
    requests = asked(name)
    assert requests
    different = await Replay(kube, node, requests).run()
    assert not different, "\n".join(different)
