"""`EmbeddedAws`: the server process, from the outside."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import IO, Any

from asyncrun.local.aws.client import AwsControl
from asyncrun.local.aws.options import EmbeddedAwsOptions


class EmbeddedAwsError(RuntimeError):
    """The server process could not be started; the message holds what it wrote."""


class EmbeddedAws:
    """An ECS and CloudWatch of one's own, on 127.0.0.1, as a synchronous context manager.

    The server is a process of its own. It ends, with every container, when the block is left and also when this
    process dies. All of AWS's other APIs that moto knows are served at the same endpoint.

    :param options: see `EmbeddedAwsOptions`.
    :param start_timeout: seconds until the server must be ready (importing moto takes about two).
    """

    def __init__(self, options: EmbeddedAwsOptions | None = None, *, start_timeout: float = 60.0) -> None:
        self.options = options or EmbeddedAwsOptions()
        self._start_timeout = start_timeout
        self._token = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        """The address for every AWS service."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The server's process id, while it runs."""
        return self._process.pid if self._process is not None else None

    @property
    def control(self) -> AwsControl:
        """The client of the control endpoint."""
        return AwsControl(self.endpoint_url, self._token)

    def env(self) -> dict[str, str]:
        """Environment variables with which any AWS SDK talks to this server and nothing else."""
        proxied = {"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} & os.environ.keys()
        direct = ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1"]))
        return {
            **({"NO_PROXY": direct, "no_proxy": direct} if proxied else {}),
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "embedded",
            "AWS_SECRET_ACCESS_KEY": "embedded",
            "AWS_DEFAULT_REGION": self.options.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client_options(self) -> dict[str, str]:
        """Keyword arguments for ``boto3.client`` and its like, where setting the environment is not wanted."""
        return {
            "endpoint_url": self.endpoint_url,
            "region_name": self.options.region,
            "aws_access_key_id": "embedded",
            "aws_secret_access_key": "embedded",
        }

    def __enter__(self) -> EmbeddedAws:
        """Starts the server and returns when it answers.

        :raises EmbeddedAwsError: if it ends or is not ready in time.
        """
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "asyncrun.local.aws"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        try:
            self._port = self._hand_shake(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def _hand_shake(self, process: subprocess.Popen[bytes]) -> int:
        assert process.stdin is not None
        assert process.stdout is not None
        start = {"options": self.options.to_json(), "token": self._token, "parent": os.getpid()}
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
            raise EmbeddedAwsError(f"The embedded AWS did not start:\n{self.log_text()[-4000:]}")
        ready: dict[str, Any] = json.loads(line)
        return int(ready["port"])

    def log_text(self) -> str:
        """What the running server wrote to its standard error output: tracebacks, if it has a defect."""
        if self._errors is None:
            return ""
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode(errors="replace")

    def stop(self) -> None:
        """Ends the server and its containers; may be called twice."""
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
