"""`EmbeddedKube`: the server process, from the outside."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from asyncrun.local.kube.client import KubeControl
from asyncrun.local.kube.options import EmbeddedKubeOptions


class EmbeddedKubeError(RuntimeError):
    """The server process could not be started; the message holds what it wrote."""


class EmbeddedKube:
    """
    A Kubernetes of one's own, on 127.0.0.1, as a synchronous context manager.

    The server is a process of its own. It ends, with every container, when the block is left and also when this
    process dies.

    :param start_timeout: seconds until the server must be ready.
    """

    def __init__(self, options: EmbeddedKubeOptions | None = None, *, start_timeout: float = 60.0) -> None:
        self.options = options or EmbeddedKubeOptions()
        self.token = secrets.token_urlsafe(24)
        self._start_timeout = start_timeout
        self._control_token = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._ready: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Of the API server."""
        return str(self._ready["url"])

    @property
    def pid(self) -> int | None:
        """The server's process id, while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def control(self) -> KubeControl:
        """The client of the control endpoint."""
        return KubeControl(f"http://127.0.0.1:{self._ready['control']}", self._control_token)

    @property
    def ca(self) -> str:
        """The certificate that the server's is signed by, in PEM; empty without TLS."""
        return str(self._ready["ca"])

    def kubeconfig(self, namespace: str = "default", token: str = "") -> dict[str, Any]:
        """
        A kubeconfig.

        :param token: empty: the administrator's.
        """
        return kubeconfig(self.url, token or self.token, namespace=namespace, ca=self.ca)

    def write_kubeconfig(self, path: str | Path, namespace: str = "default", token: str = "") -> Path:
        """The same as a file (of JSON, which is YAML), readable for its owner only."""
        path = Path(path)
        path.write_text(json.dumps(self.kubeconfig(namespace, token), indent=1), encoding="utf-8")
        path.chmod(0o600)
        return path

    def __enter__(self) -> EmbeddedKube:
        """
        Start the server and return when it answers.

        :raises EmbeddedKubeError: it ends or is not ready in time.
        """
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "asyncrun.local.kube"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        try:
            self._ready = self._hand_shake(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def _hand_shake(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        start = {
            "options": self.options.to_json(),
            "token": self.token,
            "control_token": self._control_token,
            "parent": os.getpid(),
        }
        timer = threading.Timer(self._start_timeout, process.kill)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(json.dumps(start).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        if not line:
            process.wait()
            raise EmbeddedKubeError(f"The embedded Kubernetes did not start:\n{self.log_text()[-4000:]}")
        ready: dict[str, Any] = json.loads(line)
        return ready

    def log_text(self) -> str:
        """What the running server wrote to its standard error output: tracebacks, if it has a defect."""
        if self._errors is None:
            return ""
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode(errors="replace")

    def stop(self) -> None:
        """End the server and its containers; may be called twice."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()


def kubeconfig(url: str, token: str, *, namespace: str = "default", ca: str = "") -> dict[str, Any]:
    """
    A kubeconfig with one context, ``embedded``.

    :param ca: PEM; empty: none.
    """
    cluster: dict[str, Any] = {"server": url}
    if ca:
        cluster["certificate-authority-data"] = base64.b64encode(ca.encode()).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "preferences": {},
        "current-context": "embedded",
        "clusters": [{"name": "embedded", "cluster": cluster}],
        "users": [{"name": "embedded", "user": {"token": token}}],
        "contexts": [
            {"name": "embedded", "context": {"cluster": "embedded", "user": "embedded", "namespace": namespace}}
        ],
    }
