"""
Exec plug-ins of kubeconfigs: programs such as ``aws`` or ``gke-gcloud-auth-plugin`` that make credentials.

kubernetes_asyncio runs them without a time limit, and its refresh dies with their first failure (36.1, source). Here a
plug-in runs in a thread of a small pool, since starting a process stops the event loop of a large one for some
milliseconds; it is ended, with all that it started, at its time limit or when nobody waits for it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from pathlib import Path

import msgspec

from asyncrun.clients.kube_config import KubeconfigError
from asyncrun.clients.kube_resolved import Plugin, checked_token
from asyncrun.clients.kube_tls import Certificate
from asyncrun.model.errors import CredentialsExpired, RemoteError, Unavailable

LONGEST_OUTPUT = 2**20
"""Bytes of a plug-in's answer: some KiB."""
LONGEST_LAST_LINE = 300
"""Characters of its last line of standard error that are quoted."""
_AT_ONCE = 8

_worked: set[bytes] = set()  # digests of the plug-ins that made credentials in this process


class Made(msgspec.Struct, frozen=True):
    """
    What a plug-in made. Never log it.

    :param expires_at: seconds since the epoch; None: it does not say.
    """

    token: str | None
    certificate: Certificate | None
    expires_at: float | None

    def __repr__(self) -> str:
        return f"<credentials of an exec plug-in, until {self.expires_at}>"


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    token: str | None = None
    client_certificate_data: str | None = None
    client_key_data: str | None = None
    expiration_timestamp: datetime | None = None


class _Answer(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    status: _Status


async def run_plugin(plugin: Plugin, limit: float, steward: str) -> Made:
    """
    Run it once.

    One that worked before in this process and now says that it failed was mostly kept from whom it asks (STS, the
    network): that is an outage, which passes.

    :param limit: seconds after which it is ended.
    :param steward: who can mend it.
    :raises Unavailable: it gave no answer within ``limit``, or failed though it worked before.
    :raises CredentialsExpired: it cannot be run, failed at its first run, or gave no credentials; says its last line of
        standard error.
    """
    run = _Run(plugin, limit)
    work = _threads().submit(run)
    running = asyncio.wrap_future(work)
    try:
        await asyncio.wait({running})
    except asyncio.CancelledError:
        run.end()
        if not work.cancel():
            await asyncio.wait({running})  # the process ends at once, so the thread does
            running.exception()
        raise
    try:
        made = read_answer(running.result(), plugin.exec.api_version)
    except _PluginFailed as error:
        kind = Unavailable if error.passes_if_it_worked and _digest(plugin) in _worked else error.kind
        raise error.told(kind, plugin.exec.command, steward) from None
    _worked.add(_digest(plugin))
    return made


def read_answer(output: bytes, api_version: str) -> Made:
    """
    The credentials in an ``ExecCredential``.

    :param api_version: that was asked for.
    :raises _PluginFailed: there are none.
    """
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except msgspec.MsgspecError as error:  # names types and places, never values
        raise _PluginFailed(f"gave no ExecCredential: {error}") from None
    if answer.kind != "ExecCredential" or answer.api_version != api_version:
        raise _PluginFailed(f"answered with another kind or version than ExecCredential of {api_version}")
    status = answer.status
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        raise _PluginFailed("gave a certificate without a key, or a key without a certificate")
    certificate = None
    if status.client_certificate_data and status.client_key_data:
        certificate = Certificate(status.client_certificate_data.encode(), status.client_key_data.encode())
    if not status.token and certificate is None:
        raise _PluginFailed("gave neither a token nor a certificate")
    try:
        token = checked_token(status.token) if status.token else None
    except KubeconfigError as error:
        raise _PluginFailed(f"gave no usable credentials: {error}") from None
    expires = status.expiration_timestamp
    return Made(token, certificate, None if expires is None else expires.timestamp())


class _PluginFailed(Exception):
    """Ends a sentence that begins "exec plug-in 'aws'"."""

    kind: type[RemoteError] = CredentialsExpired
    passes_if_it_worked = False

    def __init__(self, what: str, hint: str = "") -> None:
        self.what, self.hint = what, hint
        super().__init__(what)

    def told(self, kind: type[RemoteError], name: str, steward: str) -> RemoteError:
        hint = f" ({self.hint})" if self.hint else ""
        mend = (
            f": {steward} must see to it{hint}" if kind is CredentialsExpired else f"; if it lasts, {steward} must act"
        )
        return kind(f"The exec plug-in {name!r} of the kubeconfig {self.what}{mend}.", service="kubernetes")


class _PluginSilent(_PluginFailed):
    kind = Unavailable


class _PluginRefused(_PluginFailed):
    passes_if_it_worked = True


class _Run:
    """
    One run, in a thread.

    Invariant: once ``end`` was called no process is started, and a started one is dead.
    """

    def __init__(self, plugin: Plugin, limit: float) -> None:
        self._plugin, self._limit = plugin, limit
        self._lock = threading.Lock()
        self._ended = False
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> bytes:
        process = self._started()
        try:
            output, said = process.communicate(timeout=self._limit)
        except subprocess.TimeoutExpired:
            self.end()
            _reap(process)
            raise _PluginSilent(f"gave no answer within {self._limit:g} s, and was ended") from None
        if process.returncode:
            raise _PluginRefused(f"failed ({_how(process.returncode)}){_last_line(said)}")
        if len(output) > LONGEST_OUTPUT:
            raise _PluginFailed(f"wrote {len(output)} bytes, which cannot be credentials")
        return output

    def end(self) -> None:
        """End the process and all that it started in its session."""
        with self._lock:
            self._ended = True
            if self._process is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def _started(self) -> subprocess.Popen[bytes]:
        exec_ = self._plugin.exec
        if exec_.interactive_mode == "Always":
            raise _PluginFailed("wants to talk to a person (interactiveMode: Always), and here is none")
        with self._lock:
            if self._ended:
                raise _PluginFailed("was not needed any more")
            try:
                self._process = subprocess.Popen(
                    [_command(self._plugin), *(exec_.args or ())],
                    env=_environment(self._plugin),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                why = (isinstance(error, OSError) and error.strerror) or type(error).__name__
                hint = " ".join((exec_.install_hint or "").split())[:LONGEST_LAST_LINE]
                raise _PluginFailed(f"cannot be run on this machine ({why})", hint) from None
            return self._process


def _reap(process: subprocess.Popen[bytes]) -> None:
    """Not by reading to the end: what it started in a session of its own may hold the pipes for ever."""
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    process.wait()


def _command(plugin: Plugin) -> str:
    """As the kubeconfig says it; what has a slash in it is relative to the kubeconfig, else it is looked for."""
    command = plugin.exec.command
    return str(plugin.base / Path(command)) if "/" in command else command


def _environment(plugin: Plugin) -> dict[str, str]:
    spec: dict[str, object] = {"interactive": False}
    if plugin.cluster is not None:
        spec["cluster"] = plugin.cluster
    info = {"apiVersion": plugin.exec.api_version, "kind": "ExecCredential", "spec": spec}
    added = {one.name: one.value for one in plugin.exec.env or ()}
    return {**os.environ, **added, "KUBERNETES_EXEC_INFO": json.dumps(info)}


def _digest(plugin: Plugin) -> bytes:
    """Equal for equal plug-ins."""
    exec_ = plugin.exec
    facts = [exec_.command, exec_.args, [(one.name, one.value) for one in exec_.env or ()], str(plugin.base)]
    return hashlib.sha256(repr(facts).encode()).digest()


def _how(returncode: int) -> str:
    return f"exit status {returncode}" if returncode > 0 else f"signal {-returncode}"


def _last_line(said: bytes) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    return f" and said: {' '.join(lines[-1].split())[:LONGEST_LAST_LINE]!r}" if lines else ""


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="asyncrun-exec-plugin")
