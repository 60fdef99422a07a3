"""Why Kubernetes did not take a pod, from the words of its API server and admission."""

from __future__ import annotations

import re

import msgspec

from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.errors import (
    AccessDenied,
    AsyncrunError,
    CredentialsExpired,
    LaunchRefused,
    NotFound,
    RemoteError,
    RequestRefused,
    Unavailable,
)


class _Known(msgspec.Struct, frozen=True):
    pattern: re.Pattern[str]
    cause: Cause
    what: str
    next_step: str


def _known(pattern: str, cause: Cause, what: str, next_step: str) -> _Known:
    return _Known(re.compile(pattern, re.DOTALL), cause, what, next_step)


# The first match wins; its groups fill the texts. Recorded in trace k_bad_requests.
_KNOWN = (
    _known(
        r'service account (?P<where>[^/\s]+)/(?P<name>\S+): serviceaccount "[^"]+" not found',
        Cause.SERVICE_ACCOUNT,
        "service account {name!r} does not exist in namespace {where!r}",
        "Create it there (kubectl -n {where} create serviceaccount {name}), or mend `service_account_name` or "
        "`namespace` in the DAG.",
    ),
    _known(
        r"exceeded quota: (?P<name>[^,]+), requested: (?P<asked>.+?), used: (?P<used>.+?), limited: (?P<limit>[^\n]+)",
        Cause.QUOTA,
        "quota {name!r} of its namespace is used up: asked for {asked}, in use {used}, allowed {limit}",
        "Wait until other pods of the namespace have ended (a retry may do), lower the requests, or have whoever owns "
        "the namespace raise the quota.",
    ),
    _known(
        r"failed quota: (?P<name>[^:]+): (?P<why>must specify [^\n]+)",
        Cause.QUOTA,
        "quota {name!r} of its namespace asks for requests and limits that the pod does not name: {why}",
        "The author of the DAG must set them in `container_resources`.",
    ),
    _known(
        r'admission webhook "(?P<name>[^"]+)" denied the request:? ?(?P<why>.*)',
        Cause.REFUSED,
        "the admission webhook {name!r} does not let it in: {why}",
        "Change the pod so that it fits the cluster's rules, or ask whoever runs that webhook.",
    ),
    _known(
        r"violates PodSecurity (?P<why>.*)",
        Cause.REFUSED,
        "the namespace's Pod Security level does not let it in: {why}",
        "The author of the DAG must change the security context as named there, or whoever owns the namespace must "
        "change its level.",
    ),
    _known(
        r'User "(?P<who>[^"]+)" cannot (?P<verb>\w+) resource "(?P<what>[^"]+)" in API group "[^"]*" in the namespace '
        r'"(?P<where>[^"]+)"',
        Cause.PERMISSION,
        "{who!r} may not {verb} {what} in namespace {where!r}",
        "Whoever manages that cluster's permissions must let it {verb} {what} there, by a Role and a RoleBinding.",
    ),
    _known(
        r'namespaces "(?P<name>[^"]+)" not found',
        Cause.REFUSED,
        "namespace {name!r} does not exist",
        "Create the namespace, or mend `namespace` in the DAG or in the Airflow connection.",
    ),
    _known(
        r'Pod "[^"]*" is invalid: (?P<why>.+)',
        Cause.REFUSED,
        "its definition is not valid: {why}",
        "The author of the DAG must mend what it names.",
    ),
)
# The first class that fits, so the narrow ones come first.
_CLASSES: tuple[tuple[type[AsyncrunError], Cause, str], ...] = (
    (CredentialsExpired, Cause.PERMISSION, "Whoever manages the connection must give it usable credentials."),
    (AccessDenied, Cause.PERMISSION, "Whoever manages that cluster's permissions must allow it."),
    (NotFound, Cause.REFUSED, "Check the namespace, and that the connection leads to the right cluster."),
    (RequestRefused, Cause.REFUSED, "The author of the DAG must mend the pod's definition."),
    (LaunchRefused, Cause.REFUSED, "Change the pod so that it fits the cluster's rules, or ask whoever makes them."),
    (Unavailable, Cause.UNKNOWN, "Find out why the cluster's API server cannot be reached; a retry may do."),
)


def refusal(error: AsyncrunError) -> Diagnosis:
    """
    Explain why a pod could not be created: what, why, the evidence, and who must act.

    :param error: of the POST: a ``RemoteError`` with Kubernetes's words in ``said``, or a ``LaunchRefused``.
    """
    said = (error.said if isinstance(error, RemoteError) else "") or str(error)
    code = error.code if isinstance(error, RemoteError) else ""
    what, cause, next_step = _explained(error, said)
    return Diagnosis(
        summary=f"the pod could not be created: {what}",
        cause=cause,
        evidence=(f"{code}: {said}" if code else said,),
        next_step=next_step,
    )


def _explained(error: AsyncrunError, said: str) -> tuple[str, Cause, str]:
    for known in _KNOWN:
        if (found := known.pattern.search(said)) is not None:
            parts = {name: value.strip() for name, value in found.groupdict().items()}
            return known.what.format(**parts), known.cause, known.next_step.format(**parts)
    for kind, cause, next_step in _CLASSES:
        if isinstance(error, kind):
            return str(error), cause, next_step
    return str(error), Cause.UNKNOWN, "Find out why the pod could not be created."
