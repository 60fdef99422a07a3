"""Who asks, and what he may do."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from asyncrun.local.kube.options import Rule
from asyncrun.local.kube.status import unauthorized


@dataclass(frozen=True, slots=True)
class Identity:
    """
    A user.

    :param rules: None: everything is allowed.
    :param expires: seconds of the monotonic clock; None: never.
    """

    user: str
    rules: tuple[Rule, ...] | None
    expires: float | None = None

    def may(self, verb: str, resource: str, namespace: str, name: str = "") -> bool:
        """
        Whether that is allowed.

        :param resource: with its subresource: ``pods/log``.
        """
        if self.rules is None or (self is not ANONYMOUS and resource in _REVIEWS and verb == "create"):
            return True
        return any(_allows(rule, verb, resource, namespace, name) for rule in self.rules)


_REVIEWS = frozenset({"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"})
"""What everybody may ask who has a name."""

ANONYMOUS = Identity("system:anonymous", ())


def _allows(rule: Rule, verb: str, resource: str, namespace: str, name: str) -> bool:
    return (
        rule.namespace in {"*", namespace}
        and ("*" in rule.verbs or verb in rule.verbs)
        and ("*" in rule.resources or resource in rule.resources)
        and (not rule.names or name in rule.names)
    )


class Tokens:
    """The bearer tokens that are known. There is one of an administrator from the start."""

    def __init__(self, admin: str) -> None:
        self._known = {admin: Identity("kubernetes-admin", None)}

    def add(
        self, rules: Iterable[Rule] | None, *, user: str = "", token: str = "", lifetime: float | None = None
    ) -> str:
        """
        Make a token, or replace one.

        :param rules: None: everything is allowed.
        :param lifetime: seconds; None: for ever.
        """
        token = token or secrets.token_urlsafe(24)
        expires = None if lifetime is None else time.monotonic() + lifetime
        user = user or "system:serviceaccount:default:test"
        self._known[token] = Identity(user, None if rules is None else tuple(rules), expires)
        return token

    def revoke(self, token: str) -> None:
        """Let it be unknown from now on."""
        self._known.pop(token, None)

    def identify(self, authorization: str | None) -> Identity:
        """
        Whose header that is; without one it is the anonymous user.

        :raises ApiError: 401: an unknown token, or an expired one.
        """
        if authorization is None:
            return ANONYMOUS
        scheme, _, token = authorization.partition(" ")
        found = self._known.get(token.strip()) if scheme.lower() == "bearer" else None
        if found is None or (found.expires is not None and time.monotonic() >= found.expires):
            raise unauthorized()
        return found
