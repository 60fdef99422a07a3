"""
Kubeconfig: read, merged as ``kubectl`` does, and what one context of it says.

kubernetes_asyncio's own loader is not used: it runs exec plug-ins while it loads, without a time limit, its messages
quote whole users with their secrets, and it leaves private keys in files until the process ends (36.1, source).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class KubeconfigError(Exception):
    """It cannot be used; says why in a clause without secrets, which quotes no more than names."""


class _Discreet(msgspec.Struct, frozen=True):
    """May hold secrets, so it does not show its fields."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of a kubeconfig>"


class Cluster(_Discreet, frozen=True, rename="kebab"):
    """Where the API server is, and how it is trusted."""

    server: str | None = None
    certificate_authority: str | None = None
    certificate_authority_data: str | None = None
    insecure_skip_tls_verify: bool | None = None
    tls_server_name: str | None = None
    proxy_url: str | None = None
    extensions: list[dict[str, Any]] | None = None


class ExecEnv(_Discreet, frozen=True):
    """A variable of an exec plug-in's environment."""

    name: str
    value: str = ""


class Exec(_Discreet, frozen=True, rename="camel"):
    """A program that makes credentials."""

    command: str
    api_version: str
    args: list[str] | None = None
    env: list[ExecEnv] | None = None
    install_hint: str | None = None
    provide_cluster_info: bool | None = None
    interactive_mode: str | None = None


class User(_Discreet, frozen=True, rename="kebab"):
    """Whose credentials."""

    token: str | None = None
    token_file: str | None = msgspec.field(default=None, name="tokenFile")
    username: str | None = None
    password: str | None = None
    client_certificate: str | None = None
    client_certificate_data: str | None = None
    client_key: str | None = None
    client_key_data: str | None = None
    exec: Exec | None = None
    auth_provider: dict[str, Any] | None = None
    impersonate: str | None = msgspec.field(default=None, name="as")
    impersonate_uid: str | None = msgspec.field(default=None, name="as-uid")
    impersonate_groups: list[str] | None = msgspec.field(default=None, name="as-groups")


class _Context(msgspec.Struct, frozen=True):
    cluster: str
    user: str | None = None


class Picked(_Discreet, frozen=True):
    """
    What one context says.

    :param cluster_base: folder that paths in ``cluster`` are relative to; likewise ``user_base``.
    """

    context: str
    cluster: Cluster
    cluster_base: Path
    user: User
    user_base: Path


def default_paths(environ: Mapping[str, str]) -> list[Path]:
    """The files of ``KUBECONFIG``, or the one in the home folder; only those that are there."""
    listed = environ.get("KUBECONFIG") or "~/.kube/config"
    return [path for path in split_paths(listed) if path.is_file()]


def split_paths(listed: str) -> list[Path]:
    """Several files in one text, as in ``KUBECONFIG``."""
    return [Path(one).expanduser() for one in listed.split(os.pathsep) if one]


def read_files(paths: Iterable[Path]) -> list[tuple[dict[str, Any], Path]]:
    """
    The documents in these files, each with the folder that its paths are relative to. Blocks.

    :raises KubeconfigError: one is not there, cannot be read, or is no kubeconfig.
    """
    return [(parse(_text(path), f"file {str(path)!r}"), path.absolute().parent) for path in paths]


def parse(text: str, what: str) -> dict[str, Any]:
    """
    A document from its YAML or JSON.

    :param what: for the message.
    :raises KubeconfigError: it is neither.
    """
    import yaml

    try:
        document = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise KubeconfigError(f"{what} is neither YAML nor JSON{where}") from None  # its text quotes the line
    if not isinstance(document, dict):
        raise KubeconfigError(f"{what} holds no kubeconfig")
    return document


def pick(documents: list[tuple[dict[str, Any], Path]], context: str | None) -> Picked:
    """
    What one context of merged documents says: the first document that has something counts.

    :param context: its name; None: the current one.
    :raises KubeconfigError: there is no such context, or what it names is missing or malformed.
    """
    name = context or next((str(one["current-context"]) for one, _ in documents if one.get("current-context")), None)
    if not name:
        raise KubeconfigError("it has no current-context, and none is named")
    what, _ = _named(documents, "contexts", "context", name, _Context)
    cluster, cluster_base = _named(documents, "clusters", "cluster", what.cluster, Cluster)
    user, user_base = User(), Path()
    if what.user:
        user, user_base = _named(documents, "users", "user", what.user, User)
    return Picked(name, cluster, cluster_base, user, user_base)


def content(data: str | None, path: str | None, base: Path, what: str) -> bytes | None:
    """
    What a pair of fields like ``client-key-data`` and ``client-key`` holds; None if both are empty. Blocks.

    :param data: base64; counts before the file.
    :raises KubeconfigError: it cannot be read.
    """
    if data:
        try:
            return base64.b64decode(data, validate=False)
        except (binascii.Error, ValueError):
            raise KubeconfigError(f"{what}-data is not base64") from None
    if path:
        try:
            return (base / Path(path).expanduser()).read_bytes()
        except OSError as error:
            raise KubeconfigError(f"{what} {path!r} cannot be read ({_why(error)})") from error
    return None


def _named(
    documents: list[tuple[dict[str, Any], Path]], section: str, key: str, name: str, kind: type[T]
) -> tuple[T, Path]:
    for document, base in documents:
        entries = document.get(section)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and entry.get("name") == name:
                try:
                    return msgspec.convert(entry.get(key) or {}, kind), base
                except msgspec.ValidationError as error:  # names types and places, never values
                    raise KubeconfigError(f"{key} {name!r} is malformed: {error}") from None
    raise KubeconfigError(f"it has no {key} {name!r}")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise KubeconfigError(f"file {str(path)!r} cannot be read ({_why(error)})") from error
    except UnicodeDecodeError:
        raise KubeconfigError(f"file {str(path)!r} is no text") from None


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
