"""
What is said about a request to Kubernetes that failed: what was asked, of whom, what came back, and who must act.
"""

from __future__ import annotations

import re
from http import HTTPStatus

import msgspec

from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    Expired,
    NotFound,
    RemoteError,
    Throttled,
    Unavailable,
)

DENIED = re.compile(
    r'\bUser "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
)
"""How the API server words a missing permission (trace k_bad_requests)."""


class KubeCall(msgspec.Struct, frozen=True):
    """
    What was being asked when an error came.

    :param verb: as roles name it: ``create``, ``get``, ``list``, ``watch``, ``patch``, ``delete``.
    :param resource: as roles name it: ``pods``, ``pods/log``, ``events``.
    :param name: of the object; empty where several are meant.
    :param identity: whose credentials, as the end of "the credentials ...".
    :param steward: who can mend them, as the subject of "must ...".
    """

    server: str
    verb: str
    resource: str
    namespace: str
    name: str = ""
    identity: str = ""
    steward: str = ""

    @property
    def operation(self) -> str:
        """As in "create pods"."""
        return f"{self.verb} {self.resource}"

    @property
    def text(self) -> str:
        """As in "get pods/log 'p' in namespace 'n'"."""
        named = f" {self.name!r}" if self.name else ""
        return f"{self.operation}{named} in namespace {self.namespace!r}"

    @property
    def api(self) -> str:
        """As in "Kubernetes at https://10.0.0.1"."""
        return f"Kubernetes at {self.server}"


def sentence(kind: type[RemoteError], code: str, said: str, call: KubeCall, http: int) -> str:
    """
    The message of an error answer.

    :param code: the ``reason`` of its Status.
    :param said: its message.
    :param http: its status.
    """
    quote = said or f"HTTP {http}"
    if kind is CredentialsExpired:
        return (
            f"{call.api} does not accept the credentials {call.identity} ({code or http}): {call.steward} must renew "
            "them."
        )
    if kind is AccessDenied:
        return _denial(quote, call)
    return {
        NotFound: f"{call.api} cannot {call.text}: {quote}",
        Expired: f"{call.api} no longer keeps what it was asked for to {call.text}: {quote}",
        Throttled: f"{call.api} has too many requests at the moment to {call.text}: {quote}",
        Unavailable: f"{call.api} failed to {call.text} (HTTP {http}): {quote}",
    }.get(kind, f"{call.api} refuses to {call.text} ({code or http}): {quote}")


def _denial(said: str, call: KubeCall) -> str:
    denied = DENIED.search(said)
    if denied is None:
        return f"{call.api} denies to {call.text}: {said}. Whoever manages permissions in the cluster must allow it."
    group = f" of API group {denied['group']!r}" if denied["group"] else ""
    return (
        f"{call.api} denies {denied['user']!r} to {denied['verb']} {denied['resource']}{group} in namespace "
        f"{call.namespace!r}. Whoever manages permissions in the cluster must allow the verb {denied['verb']!r} on "
        f"{denied['resource']!r} in a Role there."
    )


def proxy_refuses(call: KubeCall) -> str:
    """The message where a proxy wants to know who we are."""
    return (
        f"The proxy on the way to {call.api} wants authentication (HTTP 407): {call.steward or 'whoever runs Airflow'} "
        "must give its user and password in proxy-url of the kubeconfig, or whoever runs Airflow in the proxy variable "
        "of the environment."
    )


def on_the_way(http: int, call: KubeCall) -> str:
    """The message of an answer that is not the API server's."""
    try:
        phrase = f"HTTP {http} {HTTPStatus(http).phrase}"
    except ValueError:
        phrase = f"HTTP {http}"
    return (
        f"The request to {call.text} was not answered by {call.api} itself ({phrase}), but by something on the way, "
        "such as a proxy or load balancer: if it lasts, whoever manages the network must act."
    )
