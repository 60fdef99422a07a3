"""A Kubernetes secret for a pod: ours, and whatever looks like upstream's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.models import Part, plain
from asyncrun.spec.values import Kind, check_text, is_unrendered

DEPLOY_TYPES = ("env", "volume")

Attach = Callable[[object, dict[str, Any]], dict[str, Any]]


class Secret:
    """
    A Kubernetes secret as environment variable(s) or as files of the base container: upstream's ``Secret``.

    :param deploy_type: ``env`` or ``volume``.
    :param deploy_target: with ``env`` the variable's name (made upper case), None for all keys of the secret under
        their own names; with ``volume`` the folder where its keys show as files.
    :param secret: name of the secret in the pod's namespace.
    :param key: with ``env``: which key of it.
    :param items: with ``volume``: which keys under which paths, ``V1KeyToPath`` or dicts with ``key`` and ``path``.
    :raises InvalidArgument: naming the argument.
    """

    def __init__(
        self,
        deploy_type: str,
        deploy_target: str | None,
        secret: str,
        key: str | None = None,
        items: Sequence[Any] | None = None,
    ) -> None:
        if deploy_type not in DEPLOY_TYPES:
            raise InvalidArgument("Secret.deploy_type", deploy_type, "'env' or 'volume'")
        check_text("Secret.secret", secret, "the name of a Kubernetes secret")
        if key is not None and deploy_target is None:
            raise InvalidArgument("Secret.deploy_target", None, "the variable's name, since key is given")
        if deploy_type == "volume":
            check_text("Secret.deploy_target", deploy_target, "the folder for the secret's files")
        elif deploy_target is not None:
            check_text("Secret.deploy_target", deploy_target, "the variable's name, or None for all keys")
        plain(list(items or ()), "[]KeyToPath", where="Secret.items")
        self.deploy_type, self.secret, self.key = deploy_type, secret, key
        self.deploy_target = deploy_target
        if deploy_target is not None and deploy_type == "env" and not is_unrendered(deploy_target):
            self.deploy_target = deploy_target.upper()
        self.items = list(items or ())

    def __eq__(self, other: object) -> bool:
        if not looks_like_secret(other):
            return NotImplemented
        return _identity(self) == _identity(other) and self.items == list(getattr(other, "items", None) or ())

    def __hash__(self) -> int:
        return hash(_identity(self))

    def __repr__(self) -> str:
        return f"Secret({', '.join(map(repr, _identity(self)))})"


def _identity(secret: Any) -> tuple[Any, ...]:
    return (secret.deploy_type, secret.deploy_target, secret.secret, secret.key)


def looks_like_secret(value: object) -> bool:
    """Whether it has what upstream's ``Secret`` has, and no behaviour of its own."""
    return isinstance(value, Secret) or (
        all(hasattr(value, name) for name in ("deploy_type", "deploy_target", "secret", "key"))
        and not _attaches_its_own_way(value)
    )


def _attaches_its_own_way(value: object) -> bool:
    """Whether a subclass replaces how upstream's class changes the pod."""
    names = ("attach_to_pod", "to_env_secret", "to_env_from_secret", "to_volume_secret")
    base = next((one for one in type(value).__mro__ if one.__module__.endswith("cncf.kubernetes.secret")), None)
    if base is None:
        return hasattr(value, "attach_to_pod")
    return any(getattr(type(value), name, None) is not getattr(base, name, None) for name in names)


def attach_secrets(pod: Mapping[str, Any], secrets: Sequence[object], attach: Attach | None = None) -> dict[str, Any]:
    """
    The pod with these secrets in its first container, in their order.

    :param pod: plain, with at least one container; not changed.
    :param secrets: ours or upstream's; others with an ``attach_to_pod`` of their own only with ``attach``.
    :param attach: (object, pod) -> pod with the object attached, for objects that need the client library's models.
    :raises InvalidArgument: an object cannot be attached.
    """
    changed: dict[str, Any] = dict(pod)
    for index, secret in enumerate(secrets):
        if looks_like_secret(secret):
            changed = _with_secret(changed, secret, index)
        elif attach is not None and callable(getattr(secret, "attach_to_pod", None)):
            changed = attach(secret, changed)
        else:
            raise InvalidArgument(f"secrets[{index}]", Kind(secret), "asyncrun's Secret, or upstream's")
    return changed


def _with_secret(pod: dict[str, Any], secret: Any, index: int) -> dict[str, Any]:
    spec = Part(pod["spec"])
    first = Part(spec["containers"][0])
    if secret.deploy_type == "volume":
        volume, mount = _as_volume(secret, index)
        spec["volumes"] = [*(spec.get("volumes") or []), volume]
        _append(first, "volumeMounts", mount)
    elif secret.key is not None:
        reference = {"name": secret.secret, "key": secret.key}
        _append(first, "env", {"name": secret.deploy_target, "valueFrom": {"secretKeyRef": reference}})
    else:
        _append(first, "envFrom", {"secretRef": {"name": secret.secret}})
    spec["containers"] = [first, *spec["containers"][1:]]
    return {**pod, "spec": spec}


def _append(container: dict[str, Any], name: str, value: object) -> None:
    container[name] = [*(container.get(name) or []), value]


def _as_volume(secret: Any, index: int) -> tuple[dict[str, Any], dict[str, Any]]:
    items = plain(list(getattr(secret, "items", None) or ()), "[]KeyToPath", where=f"secrets[{index}].items")
    identity = "\x1f".join(map(str, (index, secret.secret, secret.deploy_target)))
    # Upstream's is random; ours is the same each time, so that a repeated launch is the same request.
    name = f"secretvol{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    source = {"secretName": secret.secret} | ({"items": items} if items else {})
    return {"name": name, "secret": source}, {"name": name, "mountPath": secret.deploy_target, "readOnly": True}
