"""
What is said about a call to AWS that failed: what was asked, of whom, what came back, and who must act.

AWS's own words are quoted where they help (a refused request). Of a denial its principal, action and resource are cut
out: they may differ from what was called (RunTask needs ``iam:PassRole``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from asyncrun.clients.error_codes import NO_CLUSTER
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    NotFound,
    RemoteError,
    Throttled,
    TokenConflict,
    Unavailable,
)

LONGEST_QUOTE = 500
"""Characters of AWS's or the SDK's text that are quoted."""

_NAMES = {"ecs": "ECS", "logs": "CloudWatch Logs", "sts": "STS"}
_PRINCIPAL = re.compile(r"\bUser: (\S+) is not authorized")
_ACTION = re.compile(r"\bnot authorized to perform: ([\w-]+:\w+)")
_RESOURCE = re.compile(r"\bon resource: (arn:\S+)")
_EXPLICIT_DENY = re.compile(r"\bwith an (explicit deny(?: in an? [a-z -]*[a-z])?)")


class Call(msgspec.Struct, frozen=True):
    """
    What was being asked when an error came.

    :param operation: the API's name, ``DescribeTasks``; empty where no call was made.
    :param identity: whose credentials, as the end of "the credentials ...".
    :param steward: who can mend them, as the subject of "must ...".
    :param account: number of the account that was asked; empty if not known.
    :param cluster: that the call names; empty if none. Likewise the others.
    """

    service: str
    operation: str
    region: str
    identity: str
    steward: str
    account: str = ""
    cluster: str = ""
    definition: str = ""
    log_group: str = ""

    @property
    def name(self) -> str:
        """As in "ECS DescribeTasks"."""
        return f"{_NAMES.get(self.service, self.service)} {self.operation}".strip()

    @property
    def text(self) -> str:
        """As in "ECS DescribeTasks in eu-west-1"."""
        return f"{self.name} in {self.region}" if self.region else self.name

    @property
    def subject(self) -> str:
        """As in "task definition 'f:1' in cluster 'c'"; empty if the call names nothing."""
        named = {"task definition": self.definition, "cluster": self.cluster, "log group": self.log_group}
        return " in ".join(f"{what} {name!r}" for what, name in named.items() if name)

    @property
    def whole(self) -> str:
        """As in "ECS DescribeTasks in eu-west-1 for cluster 'c'"."""
        return f"{self.text} for {self.subject}" if self.subject else self.text

    @property
    def place(self) -> str:
        """As in "eu-west-1 (account 123456789012)"."""
        if self.account:
            return f"{self.region} (account {self.account})"
        return f"{self.region}, in the account of the credentials {self.identity}"


def names_in(operation: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    """
    What a call names, as arguments of ``Call``: names only, never another value of the request.

    :param arguments: of the call, as the API names them.
    """
    several: Sequence[object] = arguments.get("clusters") or ()
    cluster = arguments.get("cluster") or arguments.get("clusterName") or (several[0] if len(several) == 1 else "")
    if operation == "RunTask":
        cluster = cluster or "default"
    definition = arguments.get("taskDefinition") or arguments.get("family") or ""
    log_group = arguments.get("logGroupName") or ""
    return {"cluster": str(cluster), "definition": str(definition), "log_group": str(log_group)}


def sentence(kind: type[RemoteError], code: str, said: str, call: Call) -> str:
    """
    The message of an error answer.

    :param kind: the class of the error.
    :param code: AWS's.
    :param said: AWS's text.
    """
    if kind is CredentialsExpired:
        return _expired(code, call)
    if kind is AccessDenied:
        return _denial(said, call)
    quote = said or "AWS says no more."
    if kind is NotFound:
        return _missing(code, quote, call)
    return {
        Throttled: f"AWS throttles {call.text} ({code}): too many calls in this account.",
        Unavailable: f"{call.text} failed on AWS's side ({code}).",
        TokenConflict: f"{call.whole} conflicts with an earlier request of the same token ({code}): {quote}",
    }.get(kind, f"AWS refuses {call.whole} ({code}): {quote}")


def on_the_way(status: int, call: Call) -> str:
    """The message of an error answer that is not AWS's, since it has no error code."""
    try:
        phrase = f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = f"HTTP {status}"
    return (
        f"{call.text} was answered without an error code of AWS ({phrase}), so by something on the way, such as a "
        "proxy or gateway: if it lasts, whoever manages the network must act."
    )


def _missing(code: str, quote: str, call: Call) -> str:
    what = ""
    if code == NO_CLUSTER and call.cluster:
        what = f"Cluster {call.cluster!r}"
    elif call.operation == "DescribeTaskDefinition":
        what = f"Task definition {call.definition!r}"
    if what:
        return f"{what} does not exist in {call.place}; {call.name} answers {code}: {quote}"
    return f"{call.whole} names something that does not exist ({code}): {quote}"


def _denial(said: str, call: Call) -> str:
    principal, resource, needed = _PRINCIPAL.search(said), _RESOURCE.search(said), _ACTION.search(said)
    called = f"{call.service}:{call.operation}"
    action = needed.group(1) if needed else called
    whom = principal.group(1) if principal else f"the credentials {call.identity}"
    what = f"AWS denies {action} to {whom}"
    if action != called:
        what += f", and {call.whole} needs it"
    where = f" on {resource.group(1).rstrip('.,')}" if resource else f" for {call.subject}" if call.subject else ""
    if deny := _EXPLICIT_DENY.search(said):
        return f"{what}. Whoever manages IAM permissions must lift the {deny.group(1)} for {action}{where}."
    return f"{what}. Whoever manages IAM permissions must allow {action}{where}."


def _expired(code: str, call: Call) -> str:
    return (
        f"AWS does not accept the credentials {call.identity} for {call.text} ({code}): {call.steward} must renew them."
    )
