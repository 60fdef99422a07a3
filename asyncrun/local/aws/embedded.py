"""`EmbeddedAws`: the server process, from the outside."""

from __future__ import annotations

import os
import secrets
from types import TracebackType

from asyncrun.local.aws.client import AwsControl
from asyncrun.local.aws.options import EmbeddedAwsOptions
from asyncrun.local.server_process import ServerProcess


class EmbeddedAws:
    """An ECS and CloudWatch of one's own, on 127.0.0.1, as a synchronous context manager.

    The server is a process of its own. It ends, with every container, when the block is left and also when this
    process dies. All of AWS's other APIs that moto knows are served at the same endpoint.

    :param options: see `EmbeddedAwsOptions`.
    :param start_timeout: seconds until the server must be ready (importing moto takes about two).
    """

    def __init__(self, options: EmbeddedAwsOptions | None = None, *, start_timeout: float = 60.0) -> None:
        self.options = options or EmbeddedAwsOptions()
        self._token = secrets.token_hex(16)
        self._server = ServerProcess("asyncrun.local.aws", "AWS", start_timeout)
        self._port = 0

    @property
    def endpoint_url(self) -> str:
        """The address for every AWS service."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        """The server's process id, while it runs."""
        return self._server.pid

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

        :raises EmbeddedServerError: if it ends or is not ready in time.
        """
        self._port = int(self._server.start({"options": self.options.to_json(), "token": self._token})["port"])
        return self

    def log_text(self) -> str:
        """What the running server wrote to its standard error output: tracebacks, if it has a defect."""
        return self._server.log_text()

    def stop(self) -> None:
        """Ends the server and its containers; may be called twice."""
        self._server.stop()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop()
