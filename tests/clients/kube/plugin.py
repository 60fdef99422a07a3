"""An exec plug-in whose answers are written by the test."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients.kube import open_kube
from asyncrun.model.errors import CredentialsExpired, RemoteError
from asyncrun.model.settings import Settings
from tests.clients.kube.one_pod import TARGET

V1 = "client.authentication.k8s.io/v1"
GET = "GET /api/v1/namespaces/ns/pods/p"
PREFIX = "secret-token"

WRITES = """
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
with open(here + "/runs", "a") as runs:
    runs.write(json.dumps({"env": dict(os.environ), "args": sys.argv[1:]}) + chr(10))
with open(here + "/answer") as answer:
    sys.stdout.write(answer.read())
"""


class PlugIn:
    """A plug-in that writes down how it was run and answers what lies in a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.script(WRITES)
        self.answer(token=f"{PREFIX}-1")

    def script(self, text: str, name: str = "plugin") -> Path:
        path = self._folder / name
        path.write_text(f"#!{sys.executable}\n{text}")
        path.chmod(0o755)
        return path

    def answer(self, expires_in: float | None = None, **status: Any) -> None:
        if expires_in is not None:
            status["expirationTimestamp"] = datetime.fromtimestamp(time.time() + expires_in, UTC).isoformat()
        self.says(json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": status}))

    def says(self, text: str) -> None:
        fresh = self._folder / "fresh"
        fresh.write_text(text)
        fresh.replace(self._folder / "answer")

    @property
    def runs(self) -> list[dict[str, Any]]:
        path = self._folder / "runs"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def user(self, command: str = "", **more: Any) -> dict[str, Any]:
        return {"exec": {"command": command or str(self._folder / "plugin"), "apiVersion": V1, **more}}


async def get(settings: Settings) -> None:
    async with open_kube(TARGET, settings) as kube:
        await kube.pods("ns").get("p")


async def refused(settings: Settings, kind: type[RemoteError] = CredentialsExpired) -> str:
    with pytest.raises(RemoteError) as caught:
        await get(settings)
    assert type(caught.value) is kind
    cause: BaseException | None = caught.value
    while cause is not None:
        assert PREFIX not in repr(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return str(caught.value)


class Clock:
    """The wall clock as the code sees it: goes on, and further where a test says so."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead
