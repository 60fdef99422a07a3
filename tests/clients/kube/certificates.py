"""Certificates of a small authority of the tests' own."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import ssl
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from asyncrun.clients.kube_tls import Certificate


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def authority() -> bytes:
    """PEM of the authority."""
    return _authority("tests")[0].public_bytes(serialization.Encoding.PEM)


@cache
def client_certificate(name: str, authority: str = "tests") -> Certificate:
    """A client's certificate and key, of an authority of that name."""
    return _signed(name, authority=authority)


@cache
def server_certificate(name: str = "") -> Certificate:
    """Of a server on loopback, or of that name."""
    return _signed(
        name or "server", [x509.DNSName(name) if name else x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )


def server_context(name: str = "") -> ssl.SSLContext:
    """TLS of a server that asks for, but does not insist on, a client certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority().decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    own = server_certificate(name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "both"
        path.write_bytes(own.certificate + own.key)
        context.load_cert_chain(path)
    return context


@cache
def _authority(called: str) -> tuple[x509.Certificate, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, called)])
    return _certificate(name, name, key.public_key(), key, [x509.BasicConstraints(ca=True, path_length=None)]), key


def _signed(name: str, names: list[x509.GeneralName] | None = None, authority: str = "tests") -> Certificate:
    issuer, issuer_key = _authority(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    extensions: list[Any] = [x509.SubjectAlternativeName(names)] if names else []
    made = _certificate(subject, issuer.subject, key.public_key(), issuer_key, extensions)
    return Certificate(
        made.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: Any, issuer_key: Any, extensions: list[Any]
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    builder = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), now - day, now + day)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())
