"""How an API server is reached: TLS contexts, proxies."""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from asyncrun.clients.kube_config import KubeconfigError


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """A client certificate with its key, both PEM. Never log it."""

    certificate: bytes
    key: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Tls:
    """
    How a server is trusted, and what it is shown.

    :param ca: PEM; None: the system's.
    :param server_name: that the server's certificate must have, None: the URL's.
    """

    ca: bytes | None = None
    certificate: Certificate | None = None
    verify: bool = True
    server_name: str | None = None


def make_context(tls: Tls, certificate: Certificate | None = None) -> ssl.SSLContext:
    """
    Blocks: reads the system's authorities.

    :param certificate: of an exec plug-in, instead of the one in ``tls``.
    :raises KubeconfigError: the authority or the certificate is none.
    """
    try:
        context = ssl.create_default_context(cadata=tls.ca.decode("ascii") if tls.ca else None)
    except (ssl.SSLError, ValueError):
        raise KubeconfigError("the certificate authority is not a certificate (PEM)") from None
    # Authorities of common clusters lack the extensions that Python 3.13 began to ask for; kubectl accepts them.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if (shown := certificate or tls.certificate) is not None:
        _show(context, shown)
    return context


def _show(context: ssl.SSLContext, shown: Certificate) -> None:
    """Python reads a client's certificate from a file only: this one is gone when the function returns."""
    with tempfile.NamedTemporaryFile(prefix="asyncrun-") as file:  # readable by its owner only
        file.write(shown.certificate.rstrip() + b"\n" + shown.key)
        file.flush()
        try:
            # Without a password of ours OpenSSL would ask for one on the terminal, and wait.
            context.load_cert_chain(file.name, password="")
        except (ssl.SSLError, ValueError, OSError):
            raise KubeconfigError("the client certificate and its key cannot be used (PEM, unencrypted)") from None


def proxy_for(url: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """
    The proxy that the environment names for that URL, as kubectl reads it: ``HTTPS_PROXY``, ``NO_PROXY``.

    :param url: of the API server.
    """
    parts = urlsplit(url)
    proxy = next(
        (environ[one] for one in (f"{parts.scheme}_proxy".upper(), f"{parts.scheme}_proxy") if environ.get(one)), None
    )
    host = parts.hostname or ""
    if not proxy or host == "localhost" or _bypassed(host, environ.get("NO_PROXY") or environ.get("no_proxy") or ""):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _bypassed(host: str, listed: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None and address.is_loopback:
        return True
    return any(_matches(host, address, one.strip().lower()) for one in listed.split(",") if one.strip())


def _matches(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, entry: str) -> bool:
    if entry == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    entry = entry.partition(":")[0].removeprefix("*").removeprefix(".")
    return host == entry or host.endswith(f".{entry}")
