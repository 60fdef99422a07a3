"""
What the API server accepts as a name, label, quantity or path. Pure.

Where Kubernetes documents it: "Object Names and IDs", "Labels and Selectors", the API reference's "Quantity"; the
messages of trace k_bad_requests quote the same expressions.
"""

from __future__ import annotations

import re

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.values import Kind, is_unrendered

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
# Since Kubernetes 1.34 everywhere; before, letters, digits, "_", "-" and "." only.
_ENV_NAME = re.compile(r"[ -<>-~]+")
_QUANTITY = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?[0-9]+))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}

DNS_LABEL = "1 to 63 lower-case letters, digits and dashes, beginning and ending with a letter or digit"
DNS_SUBDOMAIN = (
    "1 to 253 lower-case letters, digits, dashes and dots, each part beginning and ending with a letter or digit"
)
QUALIFIED = (
    "1 to 63 letters, digits, dashes, underscores and dots, beginning and ending with a letter or digit, which may "
    "stand after a DNS name and '/'"
)
QUANTITY = "a quantity: a number with a unit such as 500m, 256Mi or 1G, 0 or more"


def is_dns_label(text: str) -> bool:
    """A name of a container or volume, of a namespace, a host name."""
    return len(text) <= 63 and _DNS_LABEL.fullmatch(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """A name of a pod, secret, service account, ..."""
    return len(text) <= 253 and _DNS_SUBDOMAIN.fullmatch(text) is not None


def is_qualified_name(text: str) -> bool:
    """A key of a label or annotation, a name of a resource."""
    prefix, slash, name = text.rpartition("/")
    return (not slash or is_dns_subdomain(prefix)) and len(name) <= 63 and _QUALIFIED.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """A label's value, which may be empty."""
    return not text or (len(text) <= 63 and _QUALIFIED.fullmatch(text) is not None)


def is_env_name(text: str) -> bool:
    """A name of an environment variable: printable ASCII without ``=``."""
    return _ENV_NAME.fullmatch(text) is not None


def is_port_name(text: str) -> bool:
    """A name of a port."""
    return len(text) <= 15 and _PORT_NAME.fullmatch(text) is not None


def is_inner_path(text: str) -> bool:
    """A path below a volume: relative, and without a way up."""
    return not text.startswith("/") and ".." not in text.split("/")


def quantity(value: object) -> float | None:
    """A quantity as a number, None if it is none."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    number, unit, exponent = match.groups()
    if exponent is not None:
        return float(f"{number}e{exponent}")
    if unit in _BINARY:
        return float(number) * float(2 ** _BINARY[unit])
    return float(f"{number}e{_DECIMAL.get(unit, 0)}")


def check_one_of(where: str, value: object, *allowed: str) -> None:
    """
    Refuse a value that is not among these, unless it is missing or a template.

    :raises InvalidArgument: it is another.
    """
    if value is not None and not is_unrendered(value) and value not in allowed:
        raise InvalidArgument(where, value, f"one of {', '.join(allowed)}")


def check_name(where: str, value: object, *, subdomain: bool = True) -> None:
    """
    Refuse text that is no name in Kubernetes, unless it is missing or a template.

    :param subdomain: whether it may be long and have dots.
    :raises InvalidArgument: it is none.
    """
    if value is None or is_unrendered(value):
        return
    if not isinstance(value, str) or not (is_dns_subdomain if subdomain else is_dns_label)(value):
        raise InvalidArgument(where, value, DNS_SUBDOMAIN if subdomain else DNS_LABEL)


def check_range(where: str, value: object, least: int, most: int, unit: str = "") -> None:
    """
    Refuse a number out of a range, unless it is missing or a template.

    :raises InvalidArgument: it is out of it, or no whole number.
    """
    if value is None or is_unrendered(value):
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        shown = value if isinstance(value, (int, float)) else Kind(value)
        raise InvalidArgument(where, shown, f"a whole number{unit} from {least} to {most}")


def check_quantity(where: str, value: object) -> None:
    """
    Refuse what is no quantity or negative, unless it is missing or a template.

    :raises InvalidArgument: it is one of these.
    """
    if value is None or is_unrendered(value):
        return
    number = quantity(value)
    if number is None or not 0 <= number < float("inf"):
        raise InvalidArgument(where, value, QUANTITY)
