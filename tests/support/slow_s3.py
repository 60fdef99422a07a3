"""
moto's S3 in a process of its own, where each upload takes a given time: ``python -m tests.support.slow_s3 FOLDER``.

The delay is read from ``FOLDER/delay`` at each upload, so that a test can change it; a negative one refuses with 500.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

_ROOT = Path(__file__).resolve().parents[2]
_START_LIMIT = 60.0  # s
BUCKET = "logs"


class SlowS3:
    """
    What a test sees of it.

    :param folder: where its port and its delay stand.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = f"http://127.0.0.1:{(folder / 'port').read_text()}"

    def delay(self, seconds: float) -> None:
        """Each upload takes that long from now on; negative: it is refused with 500."""
        _write(self._folder / "delay", str(seconds))

    def make_bucket(self) -> None:
        """Where Airflow's logs go."""
        self._request("PUT", f"/{BUCKET}").close()

    def names(self) -> list[str]:
        """Keys of all objects."""
        found: list[str] = []
        after = ""
        while True:
            with self._request("GET", f"/{BUCKET}?list-type=2&start-after={after}") as answer:
                tree = ElementTree.fromstring(answer.read())
            space = {"s3": tree.tag.partition("}")[0].removeprefix("{")}
            page = [one.text or "" for one in tree.findall("s3:Contents/s3:Key", space)]
            if not page:
                return found
            found += page
            after = page[-1]

    def read(self, name: str) -> str:
        """The text of one object."""
        with self._request("GET", f"/{BUCKET}/{name}") as answer:
            text: str = answer.read().decode()
            return text

    def _request(self, method: str, path: str) -> Any:
        from urllib.parse import quote
        from urllib.request import Request, urlopen

        address = self.url + quote(path, safe="/?=&-._~%")
        return urlopen(Request(address, method=method, headers={"Authorization": _AUTHORIZATION}))


# moto takes the service from the credential scope.
_AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@contextmanager
def slow_s3(folder: Path, delay: float) -> Iterator[SlowS3]:
    """Run it; its bucket is there."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "delay", str(delay))
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.slow_s3", str(folder)],
            cwd=_ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        give_up = time.monotonic() + _START_LIMIT
        while not (folder / "port").exists():
            if process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError((folder / "output.txt").read_text())
            time.sleep(0.05)
        s3 = SlowS3(folder)
        s3.make_bucket()
        yield s3
    finally:
        process.kill()
        process.wait()


def _write(path: Path, text: str) -> None:
    """At once: a reader sees the old text or the new one."""
    draft = path.with_suffix(".new")
    draft.write_text(text)
    draft.replace(path)


def main() -> None:
    """The server's process."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    folder = Path(sys.argv[1])
    moto = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        is_upload = environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].strip("/") != BUCKET
        delay = float((folder / "delay").read_text()) if is_upload else 0.0
        if delay < 0:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return [b""]
        time.sleep(delay)
        answer: Iterable[bytes] = moto(environ, start_response)
        return answer

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    _write(folder / "port", str(server.server_port))
    server.serve_forever()


if __name__ == "__main__":
    main()
