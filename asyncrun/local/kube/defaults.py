"""What the API server writes into an object that is created; that of pods is compared with the traces."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from asyncrun.local.kube.status import bad_request
from asyncrun.local.kube.store import Json

_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_AWAY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def suffix() -> str:
    """Five random letters, as ``generateName`` appends them."""
    return "".join(secrets.choice(_LETTERS) for _ in range(5))


def default_pod(pod: Json) -> Json:
    """
    The pod with everything filled in that was left out, as a new object.

    Its spec must be well-formed; what is wrong with it beyond that is found later.
    """
    spec: Json = dict(pod.get("spec") or {})
    automount = spec.get("automountServiceAccountToken") is not False
    volume = _token_volume(spec) if automount else None
    name = volume["name"] if volume else None
    volumes = [_default_volume(one) for one in spec.get("volumes") or ()]
    shown: Json = {}
    if volumes or volume:
        shown["volumes"] = [*volumes, *([volume] if volume else [])]
    if spec.get("initContainers"):
        shown["initContainers"] = [_default_container(one, name) for one in spec["initContainers"]]
    shown["containers"] = [_default_container(one, name) for one in spec.get("containers") or ()]
    for key in ("volumes", "initContainers", "containers"):
        spec.pop(key, None)
    account = spec.pop("serviceAccountName", None) or spec.get("serviceAccount") or "default"
    spec.pop("serviceAccount", None)
    order: Json = {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": account,
        "serviceAccount": account,
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": _tolerations(spec.get("tolerations") or []),
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    given = {key: value for key, value in spec.items() if value is not None and key != "tolerations"}
    full = {**shown, **order, **given}
    return {**pod, "spec": full, "status": {"phase": "Pending", "qosClass": qos_class(full)}}


def _tolerations(given: list[Json]) -> list[Json]:
    known = {one.get("key") for one in given if one.get("effect") in {None, "", "NoExecute"}}
    everything = any(one.get("operator") == "Exists" and not one.get("key") for one in given)
    added = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for key in _AWAY
        if key not in known and not everything
    ]
    return [*given, *added]


def _token_volume(spec: Json) -> Json | None:
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    if all(_mounts_token(one) for one in containers) and containers:
        return None
    sources: list[Json] = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {
            "downwardAPI": {
                "items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                ]
            }
        },
    ]
    return {"name": f"kube-api-access-{suffix()}", "projected": {"sources": sources, "defaultMode": 420}}


def _mounts_token(container: Json) -> bool:
    return any(one.get("mountPath") == _TOKEN_PATH for one in container.get("volumeMounts") or ())


def _default_volume(volume: Json) -> Json:
    shown = dict(volume)
    for kind in ("secret", "configMap", "downwardAPI", "projected"):
        if isinstance(shown.get(kind), dict):
            shown[kind] = {"defaultMode": 420, **shown[kind]}
    if len(shown) == 1:
        shown["emptyDir"] = {}
    return shown


def _default_container(container: Json, token_volume: str | None) -> Json:
    shown: Json = {key: value for key, value in container.items() if value is not None}
    if "ports" in shown:
        shown["ports"] = [{**one, "protocol": one.get("protocol") or "TCP"} for one in shown["ports"]]
    if "env" in shown:
        shown["env"] = [_default_variable(one) for one in shown["env"]]
    shown["resources"] = _default_resources(shown.get("resources") or {})
    if token_volume and not _mounts_token(container):
        mount = {"name": token_volume, "readOnly": True, "mountPath": _TOKEN_PATH}
        shown["volumeMounts"] = [*(shown.get("volumeMounts") or ()), mount]
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in shown:
            times = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
            shown[probe] = {**times, **shown[probe]}
    shown.setdefault("terminationMessagePath", "/dev/termination-log")
    shown.setdefault("terminationMessagePolicy", "File")
    shown.setdefault("imagePullPolicy", _pull_policy(shown.get("image") or ""))
    return shown


def _default_variable(variable: Json) -> Json:
    reference = (variable.get("valueFrom") or {}).get("fieldRef")
    if not reference:
        return variable
    whole = {"apiVersion": "v1", **reference}
    return {**variable, "valueFrom": {**variable["valueFrom"], "fieldRef": whole}}


def _default_resources(resources: Json) -> Json:
    """Numbers become quantities, and what is limited is requested to the same extent."""
    shown: Json = {key: value for key, value in resources.items() if value is not None}
    for key in ("limits", "requests"):
        if shown.get(key):
            shown[key] = {name: str(value) for name, value in shown[key].items()}
    if shown.get("limits"):
        shown["requests"] = {**shown["limits"], **(shown.get("requests") or {})}
    return shown


def _pull_policy(image: str) -> str:
    tag = image.rpartition("/")[2]
    if "@" in tag:
        return "IfNotPresent"
    return "Always" if ":" not in tag or tag.endswith(":latest") else "IfNotPresent"


def qos_class(spec: Json) -> str:
    """``BestEffort``, ``Burstable`` or ``Guaranteed``."""
    containers: list[dict[str, Any]] = [*(spec.get("initContainers") or ()), *spec["containers"]]
    resources = [one.get("resources") or {} for one in containers]
    if not any(one.get("limits") or one.get("requests") for one in resources):
        return "BestEffort"
    for one in resources:
        limits, requests = one.get("limits") or {}, one.get("requests") or {}
        if any(name not in limits or requests.get(name) != limits[name] for name in ("cpu", "memory")):
            return "Burstable"
    return "Guaranteed"


def without_string_data(secret: Json) -> Json:
    """
    What is written as ``stringData`` is kept, and shown, as ``data``.

    :raises ApiError: 400: it is no map.
    """
    data, texts = secret.get("data") or {}, secret.get("stringData") or {}
    if not isinstance(data, dict) or not isinstance(texts, dict):
        raise bad_request('Secret in version "v1" cannot be handled as a Secret: its data is no map')
    data = {**data, **{key: base64.b64encode(str(value).encode()).decode() for key, value in texts.items()}}
    rest = {key: value for key, value in secret.items() if key not in {"stringData", "data"}}
    return {**rest, **({"data": data} if data else {}), "type": secret.get("type") or "Opaque"}


def with_defaults(kind: str, obj: Json) -> Json:
    """
    What the API server makes of a new object that is no pod.

    :param kind: its plural.
    :raises ApiError: 400.
    """
    if kind == "secrets":
        return without_string_data(obj)
    if kind == "resourcequotas":
        return {**obj, "status": obj.get("status") or {}}
    if kind == "namespaces":
        labels = {**(obj["metadata"].get("labels") or {}), "kubernetes.io/metadata.name": obj["metadata"]["name"]}
        metadata = {**obj["metadata"], "labels": labels}
        return {**obj, "metadata": metadata, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}
    return obj
