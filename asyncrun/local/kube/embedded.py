"""`EmbeddedKube`: the server process, from the outside."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from types import TracebackType
from typing import Any

from asyncrun.local.kube.client import KubeControl
from asyncrun.local.kube.options import EmbeddedKubeOptions
from asyncrun.local.server_process import ServerProcess


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
        self._control_token = secrets.token_urlsafe(24)
        self._server = ServerProcess("asyncrun.local.kube", "Kubernetes", start_timeout)
        self._ready: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Of the API server."""
        return str(self._ready["url"])

    @property
    def pid(self) -> int | None:
        """The server's process id, while it runs."""
        return self._server.pid

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
        path.touch(mode=0o600)
        path.chmod(0o600)  # before the token is in it
        path.write_text(json.dumps(self.kubeconfig(namespace, token), indent=1), encoding="utf-8")
        return path

    def __enter__(self) -> EmbeddedKube:
        """
        Start the server and return when it answers.

        :raises EmbeddedServerError: it ends or is not ready in time.
        """
        self._ready = self._server.start(
            {"options": self.options.to_json(), "token": self.token, "control_token": self._control_token}
        )
        return self

    def log_text(self) -> str:
        """What the running server wrote to its standard error output: tracebacks, if it has a defect."""
        return self._server.log_text()

    def stop(self) -> None:
        """End the server and its containers; may be called twice."""
        self._server.stop()

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
