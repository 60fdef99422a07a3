"""Credentials for each call to an API server: fixed ones, those of a file, and those that an exec plug-in makes."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from time import time as wall_clock
from typing import Protocol

from asyncrun.clients.kube_config import KubeconfigError
from asyncrun.clients.kube_exec import Made, run_plugin
from asyncrun.clients.kube_resolved import Fixed, Plugin, ResolvedKube, TokenFile, checked_token
from asyncrun.clients.kube_tls import Certificate
from asyncrun.clients.owned import OwnedTasks
from asyncrun.clients.rotation import joined
from asyncrun.model.errors import CredentialsExpired, RemoteError

REREAD = 60.0
"""Seconds: a token file is read again after that long. The kubelet replaces a token at 80 % of its life of an hour."""
MARGIN = 120.0
"""Seconds before a plug-in's credentials expire in which new ones are made; clocks differ a little."""
MARGIN_SHARE = 0.2
"""But at most that share of their life."""
SHORTEST_LIFE = 10.0
"""Seconds that a plug-in's credentials are used at least: where clocks differ they seem to be expired as they come, and
every call would run the plug-in. Whether they are is the server's to say."""
RETRY = 10.0
"""Seconds after a plug-in's failure in which it is not run again: every call would run it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """
    What a call shows. Never log it.

    :param header: value of ``Authorization``.
    :param certificate: of an exec plug-in.
    """

    header: str | None = None
    certificate: Certificate | None = None


class Auth(Protocol):
    """Credentials of one generation of clients."""

    async def identity(self) -> Identity:
        """
        For the next call.

        :raises RemoteError: there are none.
        """

    async def close(self) -> None:
        """End what runs in the background."""


def auth_of(resolved: ResolvedKube, plugin_limit: float) -> Auth:
    """
    The credentials that a look-up leads to.

    :param plugin_limit: seconds for an exec plug-in.
    """
    source = resolved.source
    if isinstance(source, Plugin):
        return PluginAuth(source, plugin_limit, resolved.steward)
    if isinstance(source, TokenFile):
        return FileAuth(source.path, resolved.steward)
    return FixedAuth(source)


class FixedAuth:
    """Credentials that stay."""

    def __init__(self, source: Fixed) -> None:
        self._identity = Identity(source.header)

    async def identity(self) -> Identity:
        """Always the same."""
        return self._identity

    async def close(self) -> None:
        """Nothing runs."""


class FileAuth:
    """
    A token in a file, read again every ``REREAD`` seconds, in the background: the one in hand is good for longer than
    that, and if it is not the server's refusal makes a renewal. While it cannot be read the last one is used.

    Invariant: at most one reading at a time.

    :param steward: who can mend it.
    """

    def __init__(self, path: Path, steward: str) -> None:
        self._path, self._steward = path, steward
        self._tasks = OwnedTasks("kubernetes")
        self._identity: Identity | None = None
        self._read_again_at = 0.0
        self._reading: asyncio.Task[None] | None = None

    async def identity(self) -> Identity:
        """
        The token.

        :raises CredentialsExpired: it could never be read.
        """
        if self._reading is None and (self._identity is None or _now() >= self._read_again_at):
            self._reading = self._tasks.start(self._read(), "token-file")
        if self._identity is None and self._reading is not None:
            await joined(self._reading, "This way to Kubernetes was closed while its token file was read.")
        assert self._identity is not None  # noqa: S101 - _read sets it or raises
        return self._identity

    async def close(self) -> None:
        """End a reading that is under way."""
        await self._tasks.end()

    async def _read(self) -> None:
        try:
            token = checked_token(await asyncio.to_thread(self._path.read_text, encoding="ascii"))
        except (OSError, UnicodeDecodeError, KubeconfigError) as error:
            if self._identity is None:
                raise CredentialsExpired(
                    f"The token file {str(self._path)!r} has no token that can be read ({_unread(error)}): "
                    f"{self._steward} must see to it.",
                    service="kubernetes",
                ) from None
        else:
            self._identity = Identity(f"Bearer {token}")
        finally:
            self._reading = None
        self._read_again_at = _now() + REREAD


class PluginAuth:
    """
    What an exec plug-in made, and its renewal: in the background before it expires; after that the callers wait.

    Without an expiry it is used until the server refuses it: then the connection is looked up again, and the plug-in
    runs again with that.

    Invariant: at most one run at a time.
    """

    def __init__(self, plugin: Plugin, limit: float, steward: str) -> None:
        self._plugin, self._limit, self._steward = plugin, limit, steward
        self._tasks = OwnedTasks("kubernetes")
        self._made: Made | None = None
        self._identity = Identity()
        self._renew_at = self._expires_at = 0.0  # seconds since the epoch
        self._failure: RemoteError | None = None
        self._failed_at = float("-inf")
        self._running: asyncio.Task[None] | None = None

    async def identity(self) -> Identity:
        """
        What is valid now.

        :raises RemoteError: the plug-in failed; again the same for ``RETRY`` seconds.
        """
        now = wall_clock()
        usable = self._made is not None and now < self._expires_at
        if usable and now < self._renew_at:
            return self._identity
        if self._running is None and (self._failure is None or _now() - self._failed_at >= RETRY):
            self._running = self._tasks.start(self._run(), "exec-plugin")
        if usable:
            return self._identity
        if self._running is None and self._failure is not None:
            rebuild, facts = self._failure.__reduce__()
            raise rebuild(*facts)
        if self._running is not None:
            await joined(self._running, "This way to Kubernetes was closed while its exec plug-in ran.")
        return self._identity

    async def close(self) -> None:
        """End a run that is under way."""
        await self._tasks.end()

    async def _run(self) -> None:
        began = wall_clock()
        try:
            made = await run_plugin(self._plugin, self._limit, self._steward)
        except RemoteError as error:
            self._failure, self._failed_at = error, _now()
            if self._made is not None:
                log.warning("Credentials for Kubernetes could not be renewed: %s", error)
            raise
        finally:
            self._running = None
        self._made, self._failure = made, None
        self._identity = Identity(None if made.token is None else f"Bearer {made.token}", made.certificate)
        life = float("inf") if made.expires_at is None else max(SHORTEST_LIFE, made.expires_at - began)
        self._expires_at = began + life
        self._renew_at = began + life - min(MARGIN, life * MARGIN_SHARE)


def _unread(error: OSError | UnicodeDecodeError | KubeconfigError) -> str:
    """Why a token could not be read: never by the words of a decoder, which quotes what it cannot decode."""
    if isinstance(error, UnicodeDecodeError):
        return "it is no text in ASCII"
    return str(error) if isinstance(error, KubeconfigError) else error.strerror or type(error).__name__


def _now() -> float:
    return asyncio.get_running_loop().time()
