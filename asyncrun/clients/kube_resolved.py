"""What a ``KubeTarget`` resolves to: an API server, how it is trusted, and a source of credentials."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from asyncrun.clients.kube_api import SidecarDefaults
from asyncrun.clients.kube_config import Exec, KubeconfigError
from asyncrun.clients.kube_tls import Tls

NO_SIDECAR = SidecarDefaults()

_SALT = os.urandom(16)  # a fingerprint is worth nothing outside of this process


@dataclass(frozen=True, slots=True, repr=False)
class Fixed:
    """Credentials that stay: value of the header ``Authorization``, None: none but perhaps a client certificate."""

    header: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class TokenFile:
    """A token in a file, which somebody replaces."""

    path: Path


@dataclass(frozen=True, slots=True, repr=False)
class Plugin:
    """
    A program that makes credentials.

    :param base: folder that its command is relative to, if it is a path.
    :param cluster: ``spec.cluster`` of what it is told, where it asks for that.
    """

    exec: Exec
    base: Path
    cluster: dict[str, Any] | None


Source = Fixed | TokenFile | Plugin


@dataclass(frozen=True, slots=True, repr=False)
class ResolvedKube:
    """
    What a target resolves to. Holds credentials: never log it.

    :param server: URL without a slash at its end.
    :param context: for the server's certificate, None for plain HTTP. It shows ``tls.certificate``.
    :param impersonated: headers.
    :param fingerprint: equal for equal connections and files; a salted hash.
    :param found: whether the Airflow connection exists, if one is named.
    :param identity: whose credentials these are, as the end of "the credentials ...".
    :param steward: who can mend them.
    """

    server: str
    tls: Tls
    context: Any
    source: Source
    identity: str
    steward: str
    impersonated: tuple[tuple[str, str], ...] = ()
    proxy: str | None = None
    keepalive: bool = True
    in_cluster: bool = False
    namespace: str | None = None
    own_namespace: str | None = None
    sidecar: SidecarDefaults = NO_SIDECAR
    found: bool = True
    fingerprint: str = ""

    def __repr__(self) -> str:
        return f"<ResolvedKube: the credentials {self.identity}, {self.server}>"


def checked_token(token: str) -> str:
    """
    The token without white space around it.

    :raises KubeconfigError: it is none.
    """
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise KubeconfigError("the token is empty, or has characters that a token cannot have")
    return token


def fingerprint_of(resolved: ResolvedKube) -> str:
    """Equal for equal connections and files: a salted hash of everything that matters."""
    tls, source = resolved.tls, resolved.source
    facts: list[object] = [
        resolved.server, tls.ca, tls.verify, tls.server_name, resolved.impersonated, resolved.proxy, resolved.keepalive,
        resolved.in_cluster, resolved.namespace, resolved.own_namespace, resolved.sidecar, resolved.found,
    ]  # fmt: skip
    facts += [tls.certificate.certificate, tls.certificate.key] if tls.certificate else [None]
    # By its fields: the parts of a kubeconfig do not show theirs.
    facts.append(msgspec.json.encode([getattr(source, name) for name in source.__slots__], enc_hook=str))
    return hashlib.blake2b(repr(facts).encode(), key=_SALT, digest_size=16).hexdigest()
