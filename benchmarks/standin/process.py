"""The stand-in as a process of a harness."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from benchmarks.standin.options import Options, TaskSpec

_ROOT = Path(__file__).resolve().parents[2]


class Control:
    """
    The harness's own questions to a running stand-in.

    :param url: where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def create(
        self, count: int, spec: TaskSpec | None = None, *, cluster: str = "default", stagger: float = 0.0
    ) -> list[dict[str, Any]]:
        """
        Launch tasks, all at once.

        :param stagger: seconds over which they reach RUNNING.
        :return: for each its ``arn``, ``task_id``, ``cluster``, ``definition``, ``log_group`` and ``streams``.
        """
        plain = {"count": count, "spec": msgspec.to_builtins(spec or TaskSpec()), "cluster": cluster,
                 "stagger": stagger}  # fmt: skip
        created: list[dict[str, Any]] = self._ask("create", plain)
        return created

    def options(self, **changes: Any) -> None:
        """Change the behaviour of the running server."""
        self._ask("options", changes)

    def truth(self) -> list[dict[str, Any]]:
        """What really happened, per task: times, exit codes, every line with the time from which it can be read."""
        told: list[dict[str, Any]] = self._ask("truth")
        return told

    def calls(self) -> dict[str, Any]:
        """``calls``: (time, operation, objects asked for, bytes, error code, ms); ``rounds`` of DescribeTasks."""
        told: dict[str, Any] = self._ask("calls")
        return told

    def counts(self) -> dict[str, dict[str, int]]:
        """Calls and errors per operation."""
        told: dict[str, dict[str, int]] = self._ask("counts")
        return told

    def _ask(self, what: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/control/{what}", data=data, headers={"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as answer:
            return json.loads(answer.read())


class StandIn(Control):
    """
    Starts the server in a process of its own, which ends with this block or with this process.

    :param options: behaviour of the server.
    """

    def __init__(self, options: Options | None = None) -> None:
        super().__init__("")
        self._options = options or Options()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        plain = json.dumps(msgspec.to_builtins(self._options))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.standin", "--with-parent", "--options", plain],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the stand-in did not start (exit code {self._process.wait()})")
        self.url = json.loads(line)["url"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    @property
    def address(self) -> str:
        """Where the harness finds it."""
        return self.url

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self._process is not None
        return self._process.pid

    def environment(self) -> dict[str, str]:
        """What makes SDKs talk to it: no real account can be reached with these."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
