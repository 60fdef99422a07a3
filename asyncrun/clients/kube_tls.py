"""How an API server is reached: TLS contexts, proxies."""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from asyncrun.clients.kube_config import KubeconfigError

_CERTIFICATES = re.compile(rb"-----BEGIN ((?:X509 |TRUSTED )?CERTIFICATE)-----.*?-----END \1-----", re.DOTALL)

_PORT = re.compile(r"(?:(?P<host>[^:\[\]]+)|\[(?P<ipv6>[^\]]+)\]):(?P<port>[0-9]{1,5})")


class ProxyUnfit(KubeconfigError):
    """The environment names a proxy of a kind that is not supported."""


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
        context = ssl.create_default_context(cadata=_certificates(tls.ca) if tls.ca else None)
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


def _certificates(ca: bytes) -> str:
    """What lies between certificates, such as names of authorities, may be in any encoding, and is left out."""
    found = b"\n".join(one[0] for one in _CERTIFICATES.finditer(ca))
    if not found:  # for none Python would take the system's authorities
        raise ValueError("no certificate")
    return found.decode("ascii")


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
    :raises ProxyUnfit: it is no HTTP proxy.
    """
    parts = urlsplit(url)
    names = (f"{parts.scheme}_proxy".upper(), f"{parts.scheme}_proxy")
    name = next((one for one in names if environ.get(one)), None)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    listed = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    if name is None or host == "localhost" or _bypassed(host, port, listed):
        return None
    proxy = environ[name] if "://" in environ[name] else f"http://{environ[name]}"
    if not is_http(proxy):
        raise ProxyUnfit(
            f"the variable {name} of the environment names no HTTP proxy, and others are not supported (NO_PROXY may "
            "except the API server)"
        )
    return proxy


def is_http(proxy: str) -> bool:
    """Whether it is a proxy of a kind that is supported."""
    try:
        return urlsplit(proxy).scheme in ("http", "https")
    except ValueError:
        return False


def _bypassed(host: str, port: int, listed: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is not None and address.is_loopback:
        return True
    entries = (one.strip().lower() for one in listed.split(","))
    return any(_matches(host, address, _without_port(one, port)) for one in entries if one)


def _without_port(entry: str, port: int) -> str:
    """The entry for that port; empty if it is for another one. Ports stand behind names, IPv4 and ``[IPv6]``."""
    found = _PORT.fullmatch(entry)
    if found is None:
        return entry.removeprefix("[").removesuffix("]")
    return (found["host"] or found["ipv6"]) if int(found["port"]) == port else ""


def _matches(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, entry: str) -> bool:
    if entry == "*":
        return True
    if address is not None:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    entry = entry.removeprefix("*").removeprefix(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))
