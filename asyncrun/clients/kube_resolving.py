"""
From a ``KubeTarget`` to an API server and a source of credentials: the look-up of its connection and its kubeconfig.

The fields of a connection and their precedence are those of the cncf provider's hook. All of it blocks, and runs in a
thread: in the triggerer every look-up of a connection is a round trip of 50-230 ms.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from asyncrun.clients.kube_api import SidecarDefaults
from asyncrun.clients.kube_config import (
    KubeconfigError,
    Picked,
    User,
    content,
    default_paths,
    parse,
    pick,
    read_files,
    split_paths,
)
from asyncrun.clients.kube_connection import Extra, look_up
from asyncrun.clients.kube_resolved import Fixed, Plugin, ResolvedKube, Source, TokenFile, checked_token, fingerprint_of
from asyncrun.clients.kube_tls import Certificate, ProxyUnfit, Tls, is_http, make_context, proxy_for
from asyncrun.model.errors import CredentialsExpired
from asyncrun.model.refs import KubeTarget

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds the token, authority and namespace of its own service account."""


def kube_hash(target: KubeTarget) -> str:
    """What identifies a target in this process: equal for equal targets. Stays the same when credentials rotate."""
    return hashlib.sha256(msgspec.json.encode(target)).hexdigest()[:16]


def resolve_kube(target: KubeTarget, known: str | None = None) -> ResolvedKube | None:
    """
    Look up the target's connection and read what it leads to. Blocks: call it in a thread.

    :param known: fingerprint of what is in use.
    :return: None if the fingerprint is still ``known``.
    :raises RemoteError: saying who must act.
    """
    import aiohttp  # noqa: F401 - takes 0.3 s the first time, which must not be spent in the event loop

    extra, found = look_up(target.conn_id, decides=not _names_cluster(target))
    try:
        resolved = replace(_located(target, extra), found=found)
    except KubeconfigError as error:
        mender = "Whoever runs Airflow" if isinstance(error, ProxyUnfit) else _mender(target, extra)
        raise CredentialsExpired(
            f"{_subject(target, extra)}: {error}. {mender} must correct it.",
            service="kubernetes",
        ) from None
    resolved = replace(resolved, fingerprint=fingerprint_of(resolved))
    return None if resolved.fingerprint == known else resolved


def _names_cluster(target: KubeTarget) -> bool:
    """Whether the operator's arguments alone say which cluster is meant; a connection may name a file's context."""
    return bool(target.in_cluster or (target.config_file and target.cluster_context))


def _located(target: KubeTarget, extra: Extra) -> ResolvedKube:
    in_cluster = extra.flag("in_cluster") if target.in_cluster is None else target.in_cluster
    path = extra.text("kube_config_path") if target.config_file is None else target.config_file
    written = extra.get("kube_config")
    if sum(map(bool, (in_cluster, path, written))) > 1:
        raise KubeconfigError("only one of in_cluster, kube_config_path (config_file) and kube_config can be given")
    context = target.cluster_context or extra.text("cluster_context")
    verify = not extra.flag("disable_verify_ssl")
    if in_cluster:
        resolved = _in_cluster(verify)
    elif path:
        resolved = _of_files(split_paths(path), context, verify)
    elif written:
        resolved = _of_connection(written, context, target.conn_id, verify)
    elif target.in_cluster is None and _is_in_cluster():
        resolved = _in_cluster(verify)
    else:
        resolved = _of_files(_default_files(declined=target.in_cluster is False), context, verify)
    return replace(
        resolved,
        keepalive=not extra.flag("disable_tcp_keepalive"),
        namespace=extra.text("namespace"),
        own_namespace=_own_namespace(),
        sidecar=SidecarDefaults(
            image=extra.text("xcom_sidecar_container_image"),
            resources=extra.mapping("xcom_sidecar_container_resources"),
            security_context=extra.mapping("xcom_sidecar_container_security_context"),
        ),
    )


def _default_files(*, declined: bool) -> list[Path]:
    """
    The kubeconfig of the process's own user.

    :param declined: the operator does not want the service account of the process's own pod.
    """
    paths = default_paths(os.environ)
    if not paths:
        own = "in_cluster is False" if declined else "this process runs in no pod with a service account"
        raise KubeconfigError(
            f"no connection names a cluster, {own}, and there is no kubeconfig in KUBECONFIG or ~/.kube/config"
        )
    return paths


def _is_in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (SERVICE_ACCOUNT / "token").is_file()


def _own_namespace() -> str | None:
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _in_cluster(verify: bool) -> ResolvedKube:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    token = SERVICE_ACCOUNT / "token"
    if not host or not token.is_file():
        raise KubeconfigError("in_cluster is set, but this process runs in no pod with a service account token")
    ca = content(None, str(SERVICE_ACCOUNT / "ca.crt"), Path(), "certificate authority")
    server = f"https://{f'[{host}]' if ':' in host else host}:{port}"
    tls = Tls(ca=ca, verify=verify)
    return ResolvedKube(
        server=server,
        tls=tls,
        context=make_context(tls),
        source=TokenFile(token),
        proxy=proxy_for(server),
        in_cluster=True,
        identity="of this pod's service account",
        steward="whoever runs Airflow in the cluster",
    )


def _of_files(paths: list[Path], context: str | None, verify: bool) -> ResolvedKube:
    names = ", ".join(repr(str(path)) for path in paths)
    return _of_context(
        pick(read_files(paths), context), verify, f"of kubeconfig {names}", f"whoever manages kubeconfig {names}"
    )


def _of_connection(written: Any, context: str | None, conn_id: str | None, verify: bool) -> ResolvedKube:
    document = written if isinstance(written, dict) else parse(str(written), "kube_config")
    name = f"Airflow connection {conn_id!r}"
    return _of_context(pick([(document, Path())], context), verify, f"of {name}", f"whoever manages {name}")


def _of_context(picked: Picked, verify: bool, identity: str, steward: str) -> ResolvedKube:
    cluster, user = picked.cluster, picked.user
    tls = Tls(
        ca=content(
            cluster.certificate_authority_data,
            cluster.certificate_authority,
            picked.cluster_base,
            "certificate-authority",
        ),
        certificate=_certificate(user, picked.user_base),
        verify=verify and not cluster.insecure_skip_tls_verify,
        server_name=cluster.tls_server_name or None,
    )
    server = _server(cluster.server, tls)
    return ResolvedKube(
        server=server,
        tls=tls,
        context=make_context(tls) if server.startswith("https:") else None,
        source=_source(picked, server, tls),
        impersonated=_impersonated(user),
        proxy=_proxy(cluster.proxy_url) if cluster.proxy_url else proxy_for(server),
        identity=f"{identity} (context {picked.context!r})",
        steward=steward,
    )


def _server(server: str | None, tls: Tls) -> str:
    if not server:
        raise KubeconfigError("its cluster has no server")
    if "://" not in server:  # as kubectl reads it
        server = f"{'https' if tls.ca or tls.certificate else 'http'}://{server}"
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        raise KubeconfigError("its cluster's server is no URL")
    return server.rstrip("/")


def _proxy(url: str) -> str:
    if not is_http(url):
        raise KubeconfigError("its cluster's proxy-url is no HTTP proxy, and others are not supported")
    return url


def _certificate(user: User, base: Path) -> Certificate | None:
    certificate = content(user.client_certificate_data, user.client_certificate, base, "client-certificate")
    key = content(user.client_key_data, user.client_key, base, "client-key")
    if (certificate is None) != (key is None):
        raise KubeconfigError("its user has a client certificate without a key, or a key without a certificate")
    return None if certificate is None or key is None else Certificate(certificate, key)


def _source(picked: Picked, server: str, tls: Tls) -> Source:
    user = picked.user
    if user.exec is not None:
        return Plugin(user.exec, picked.user_base, _cluster_info(picked, server, tls))
    if user.auth_provider is not None:
        name = user.auth_provider.get("name")
        raise KubeconfigError(
            f"its user has the auth-provider {name!r}, which Kubernetes removed: an exec plug-in must take its place "
            "(users[].user.exec)"
        )
    if user.token_file:
        return TokenFile(picked.user_base / Path(user.token_file).expanduser())
    if user.token:
        return Fixed(f"Bearer {checked_token(user.token)}")
    if user.username or user.password:
        pair = f"{user.username or ''}:{user.password or ''}"
        return Fixed(f"Basic {base64.b64encode(pair.encode()).decode()}")
    return Fixed()


def _impersonated(user: User) -> tuple[tuple[str, str], ...]:
    pairs = [("Impersonate-User", user.impersonate), ("Impersonate-Uid", user.impersonate_uid)]
    pairs += [("Impersonate-Group", group) for group in user.impersonate_groups or ()]
    return tuple((name, value) for name, value in pairs if value)


def _cluster_info(picked: Picked, server: str, tls: Tls) -> dict[str, Any] | None:
    """What a plug-in is told of the cluster if it wants to know."""
    if picked.user.exec is None or not picked.user.exec.provide_cluster_info:
        return None
    extensions = {one.get("name"): one.get("extension") for one in picked.cluster.extensions or ()}
    info = {
        "server": server,
        "tls-server-name": tls.server_name,
        "insecure-skip-tls-verify": not tls.verify or None,
        "certificate-authority-data": base64.b64encode(tls.ca).decode() if tls.ca else None,
        "proxy-url": picked.cluster.proxy_url,
        "config": extensions.get("client.authentication.k8s.io/exec"),
    }
    return {name: value for name, value in info.items() if value is not None}


def _subject(target: KubeTarget, extra: Extra) -> str:
    if extra:
        return f"Airflow connection {target.conn_id!r} cannot be used for Kubernetes"
    return "No way leads to Kubernetes"


def _mender(target: KubeTarget, extra: Extra) -> str:
    if extra and target.config_file is None:
        return f"Whoever manages Airflow connection {target.conn_id!r}"
    return "Whoever runs Airflow"
