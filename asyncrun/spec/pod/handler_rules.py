"""What the API server would surely refuse in probes, lifecycle hooks and a pod's own names and name servers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.values import is_unrendered

_PROBE = ("exec", "grpc", "httpGet", "tcpSocket")
_HOOK = ("exec", "httpGet", "sleep", "tcpSocket")
_NAME_SERVERS = 3


def probe(part: Mapping[str, Any], where: str) -> None:
    """Of a container."""
    _one_of(part, where, _PROBE)


def hook(part: Mapping[str, Any], where: str) -> None:
    """``postStart`` or ``preStop`` of a container."""
    _one_of(part, where, _HOOK)


def host_alias(part: Mapping[str, Any], where: str) -> None:
    """A line of the pod's ``/etc/hosts``."""
    _check_ip(part.get("ip"), f"{where}.ip")


def dns_config(part: Mapping[str, Any], where: str) -> None:
    """The pod's ``/etc/resolv.conf``."""
    servers = part.get("nameservers")
    if not isinstance(servers, list):
        return
    if len(servers) > _NAME_SERVERS:
        raise InvalidArgument(f"{where}.nameservers", f"{len(servers)} of them", f"at most {_NAME_SERVERS}")
    for index, one in enumerate(servers):
        _check_ip(one, f"{where}.nameservers[{index}]")


def _one_of(part: Mapping[str, Any], where: str, names: tuple[str, ...]) -> None:
    given = [name for name in names if part.get(name) is not None]
    if len(given) != 1:
        raise InvalidArgument(where, " and ".join(given) or "nothing", f"exactly one of {', '.join(names)}")


def _check_ip(value: object, where: str) -> None:
    if not isinstance(value, str) or is_unrendered(value):
        return
    try:
        ip_address(value)
    except ValueError:
        raise InvalidArgument(where, value, "an IP address") from None
