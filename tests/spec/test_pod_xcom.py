"""The XCom sidecar: its shell script run for real, and where it stands in a pod."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncrun.model.errors import InvalidArgument
from asyncrun.model.pod_xcom import SIDECAR_NAME, Handed, HandedKind, read_log, read_message
from asyncrun.spec.pod_xcom import DEFAULT_IMAGE, add_sidecar, inline_limit, sidecar_script

SHELLS = [[one] for one in ("dash", "bash", "busybox") if shutil.which(one)]
SHELLS = [[*one, "sh"] if one == ["busybox"] else one for one in SHELLS]
INLINE = inline_limit(2)


class Said(NamedTuple):
    message: str
    log: str
    errors: str
    code: int
    seconds: float

    @property
    def handed(self) -> Handed:
        return read_message(self.message)

    @property
    def lines(self) -> list[str]:
        return self.log.splitlines()


class Sidecar:
    """The script as a process of its own, with a folder that stands for the pod's volume."""

    def __init__(self, folder: Path, shell: list[str]) -> None:
        self.file, self._message = folder / "xcom" / "return.json", folder / "message"
        self.file.parent.mkdir()
        self._message.touch()
        self._shell = shell
        self._log, self._errors = folder / "log", folder / "errors"

    def run(
        self,
        *,
        limit: int = 2**20,
        path: str = os.environ["PATH"],
        before_term: Callable[[], object] | None = None,
        terms: int = 1,
    ) -> Said:
        script = sidecar_script(inline=INLINE, limit=limit, file=str(self.file), message_file=str(self._message))
        program = [shutil.which(self._shell[0]) or "", *self._shell[1:]]
        with self._log.open("wb") as log, self._errors.open("wb") as errors:
            process = subprocess.Popen([*program, "-c", script], stdout=log, stderr=errors, env={"PATH": path})
            try:
                _until_it_waits(process.pid)
                if before_term is not None:
                    before_term()
                began = time.monotonic()
                for number in range(terms):
                    process.send_signal(signal.SIGTERM)
                    time.sleep(0.0005 * bool(number))
                code = process.wait(20)
            finally:
                process.kill()
                process.wait()
        seconds = time.monotonic() - began
        return Said(self._message.read_text(), self._log.read_text(), self._errors.read_text(), code, seconds)


def _until_it_waits(pid: int) -> None:
    """Until the shell has trapped TERM, which it does before it starts its first child."""
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.005)
    raise AssertionError("the sidecar does not trap TERM")


@pytest.fixture(params=SHELLS, ids=" ".join)
def sidecar(tmp_path: Path, request: pytest.FixtureRequest) -> Sidecar:
    return Sidecar(tmp_path, request.param)


def _value(size: int) -> bytes:
    return (b'"' + b"x" * (size - 2) + b'"') if size > 1 else b"7"[:size]


@pytest.mark.parametrize("size", [1, 2, INLINE - 1, INLINE])
def test_a_short_value_stands_in_the_message(sidecar: Sidecar, size: int) -> None:
    sidecar.file.write_bytes(_value(size))
    said = sidecar.run()
    assert (said.handed.kind, said.handed.value) == (HandedKind.INLINE, _value(size))
    assert len(said.handed.sha256) == 64
    assert (said.code, said.errors) == (0, "")
    assert len(said.message) <= 12 * 1024 // 6


@pytest.mark.parametrize("size", [INLINE + 1, 2**20])
def test_a_longer_value_stands_in_the_log(sidecar: Sidecar, size: int) -> None:
    sidecar.file.write_bytes(_value(size))
    said = sidecar.run()
    assert (said.handed.kind, said.handed.length) == (HandedKind.IN_LOG, size)
    assert read_log(said.lines, said.handed) == _value(size)
    assert (said.code, said.errors) == (0, "")


def test_a_value_over_the_limit_is_not_handed_over(sidecar: Sidecar) -> None:
    sidecar.file.write_bytes(_value(101))
    said = sidecar.run(limit=100)
    assert said.handed == Handed(
        kind=HandedKind.TOO_LONG, length=101, why="it has 101 bytes, and [asyncrun] pod_xcom_limit allows 100"
    )
    assert said.log == ""


@pytest.mark.parametrize("value", [b"\xff\x00\xfe", "ä€𝄞\u2028".encode(), b"'\"$(kill $$)`\\%s\n\n", b"\n", b"a\r\n"])
def test_every_byte_arrives(sidecar: Sidecar, value: bytes) -> None:
    sidecar.file.write_bytes(value)
    said = sidecar.run()
    assert said.handed.value == value
    assert said.message.isascii()


def test_a_short_value_stands_in_the_log_as_well_for_the_case_that_its_message_is_cut(sidecar: Sidecar) -> None:
    sidecar.file.write_bytes(b'{"a": 1}')
    said = sidecar.run()
    cut = read_message(said.message[:-3])
    assert cut.kind is HandedKind.IN_LOG
    assert read_log(said.lines, cut) == b'{"a": 1}'


def test_what_was_written_just_before_the_end_arrives(sidecar: Sidecar) -> None:
    sidecar.file.write_bytes(b'"old"')
    said = sidecar.run(before_term=lambda: sidecar.file.write_bytes(b'"new"'))
    assert said.handed.value == b'"new"'


def _nothing(file: Path) -> None: ...


def _symlink(file: Path) -> None:
    (file.parent / "target").write_text('"secret"')
    file.symlink_to("target")


@pytest.mark.parametrize(
    ("make", "why", "is_odd"),
    [
        (_nothing, "there is no such file", False),
        (Path.touch, "the file is empty", False),
        (_symlink, "it is a symbolic link, which is not followed: write a file", True),
        (lambda file: file.symlink_to("nowhere"), "it is a symbolic link, which is not followed: write a file", True),
        (Path.mkdir, "it is a directory: write a file", True),
        (os.mkfifo, "it is a pipe: write a file", True),
    ],
    ids=["missing", "empty", "symlink", "dangling", "directory", "fifo"],
)
def test_what_is_no_file_is_no_value(sidecar: Sidecar, make: Callable[[Path], None], why: str, is_odd: bool) -> None:
    make(sidecar.file)
    said = sidecar.run()
    assert said.handed == Handed(kind=HandedKind.NOTHING, why=why, is_odd=is_odd)
    assert (said.code, said.errors, said.log) == (0, "", "")


def test_it_ends_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Not only when its sleep of a second is over: a grace period may be as short. The best of four, on a busy host."""
    times = []
    for _ in range(4):
        sidecar = Sidecar(tmp_path_factory.mktemp("pod"), SHELLS[0])
        sidecar.file.write_bytes(_value(2**20))
        times.append(sidecar.run().seconds)
    assert min(times) < 0.5


def test_term_that_comes_again_changes_nothing(sidecar: Sidecar) -> None:
    sidecar.file.write_bytes(_value(2**20))
    said = sidecar.run(terms=200)
    assert read_log(said.lines, said.handed) == _value(2**20)
    assert (said.code, said.log.count("begin"), said.errors) == (0, 1, "")


def _tools(folder: Path, *names: str) -> str:
    tools = folder / "bin"
    tools.mkdir()
    for name in names:
        (tools / name).symlink_to(shutil.which(name) or "")
    return str(tools)


@pytest.mark.skipif(not shutil.which("dash"), reason="busybox has its tools built in")
def test_without_sha256sum_the_length_is_what_is_checked(tmp_path: Path) -> None:
    sidecar = Sidecar(tmp_path, ["dash"])
    sidecar.file.write_bytes(b"[1]")
    said = sidecar.run(path=_tools(tmp_path, "sleep", "wc", "base64"))
    assert said.handed == Handed(kind=HandedKind.INLINE, value=b"[1]", length=3, sha256="")


@pytest.mark.skipif(not shutil.which("dash"), reason="busybox has its tools built in")
@pytest.mark.parametrize("missing", ["wc", "base64"])
def test_an_image_without_a_tool_is_said(tmp_path: Path, missing: str) -> None:
    sidecar = Sidecar(tmp_path, ["dash"])
    sidecar.file.write_bytes(b"[1]")
    said = sidecar.run(path=_tools(tmp_path, *({"sleep", "wc", "base64"} - {missing})))
    assert said.handed == Handed(kind=HandedKind.UNREADABLE, why=f"{missing} in the sidecar's image ended with 127")


@pytest.mark.skipif(not shutil.which("dash"), reason="busybox has its tools built in")
def test_an_image_without_sleep_ends_instead_of_spinning(tmp_path: Path) -> None:
    script = sidecar_script(inline=INLINE, file=str(tmp_path / "x"), message_file=str(tmp_path / "m"))
    program = [shutil.which("dash") or "", "-c", script]
    ended = subprocess.run(program, timeout=20, check=False, capture_output=True, env={"PATH": _tools(tmp_path)})
    assert ended.returncode == 1


@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("setpriv"), reason="root reads everything")
def test_a_file_that_may_not_be_read_is_said(sidecar: Sidecar, tmp_path: Path) -> None:
    sidecar.file.write_bytes(b"[1]")
    sidecar.file.chmod(0)
    if os.getuid() == 0:
        for folder in (tmp_path, *(one for one in tmp_path.parents if one.name.startswith(("pytest-", "popen-")))):
            folder.chmod(0o755)
        (tmp_path / "message").chmod(0o666)
        sidecar._shell = ["setpriv", "--reuid=65534", "--clear-groups", *sidecar._shell]
    said = sidecar.run()
    assert said.handed.kind is HandedKind.UNREADABLE
    assert said.handed.why.startswith(f"permission denied for user {os.getuid() or 65534}: ---------- 1 ")
    assert "[1]" not in said.message + said.log


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.binary(min_size=1, max_size=2 * INLINE))
def test_any_bytes_of_any_length_arrive(tmp_path_factory: pytest.TempPathFactory, value: bytes) -> None:
    sidecar = Sidecar(tmp_path_factory.mktemp("pod"), SHELLS[0])
    sidecar.file.write_bytes(value)
    said = sidecar.run()
    handed = said.handed
    assert (handed.value if handed.kind is HandedKind.INLINE else read_log(said.lines, handed)) == value


def _manifest(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "base"}, {"name": "other"}], **spec}}


def test_the_sidecar_is_the_last_init_container_and_a_native_sidecar() -> None:
    made = add_sidecar(_manifest(initContainers=[{"name": "init"}]))
    init, sidecar = made["spec"]["initContainers"]
    assert init == {"name": "init"}
    assert sidecar.pop("command")[:2] == ["sh", "-c"]
    assert sidecar == {
        "name": SIDECAR_NAME,
        "image": DEFAULT_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "restartPolicy": "Always",
        "resources": {"requests": {"cpu": "1m", "memory": "10Mi"}},
        "volumeMounts": [{"name": "xcom", "mountPath": "/airflow/xcom"}],
    }


def test_the_volume_is_the_first_one_and_only_in_the_first_container() -> None:
    own = {"name": "data", "mountPath": "/data"}
    manifest = _manifest(volumes=[{"name": "data"}])
    manifest["spec"]["containers"][0]["volumeMounts"] = [own]
    made = add_sidecar(manifest)["spec"]
    assert made["volumes"] == [{"name": "xcom", "emptyDir": {}}, {"name": "data"}]
    assert made["containers"][0]["volumeMounts"] == [{"name": "xcom", "mountPath": "/airflow/xcom"}, own]
    assert made["containers"][1] == {"name": "other"}
    assert manifest["spec"]["containers"][0]["volumeMounts"] == [own]  # what was given is left as it is


def test_image_resources_and_security_context_are_the_users() -> None:
    made = add_sidecar(
        _manifest(), image="mine:1", resources={"limits": {"cpu": 1}}, security_context={"runAsUser": 1000}
    )
    sidecar = made["spec"]["initContainers"][-1]
    assert (sidecar["image"], sidecar["resources"]) == ("mine:1", {"limits": {"cpu": 1}})
    assert sidecar["securityContext"] == {"runAsUser": 1000}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"volumes": [{"name": "xcom"}]},
            "do_xcom_push=True cannot work: expected no other 'xcom' among the pod's volumes: that one is for XComs",
        ),
        (
            {"initContainers": [{"name": SIDECAR_NAME}]},
            "do_xcom_push=True cannot work: expected no other 'airflow-xcom-sidecar' among the pod's containers: that "
            "one is for XComs",
        ),
    ],
)
def test_names_that_the_sidecar_needs_are_refused(spec: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        add_sidecar(_manifest(**spec))
    assert str(caught.value) == text


@pytest.mark.parametrize("containers", range(2, 130))
def test_a_message_always_has_room_although_webhooks_add_four_containers(containers: int) -> None:
    longest = inline_limit(containers)
    lines = -(-longest // 57)
    message = len("asyncrun-xcom/1 inline 4096 ") + 64 + 1 + 77 * lines + 2
    assert longest == 0 or message <= min(4096, 12 * 1024 // (containers + 4))
