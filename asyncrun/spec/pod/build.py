"""Operator arguments -> the pod that is sent to the API server. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.arguments import KINDS, LENIENT, PodArguments
from asyncrun.spec.pod.merge import is_mergeable, merge_pods
from asyncrun.spec.pod.models import Part, plain, settled
from asyncrun.spec.pod.names import given_name, pod_name, suffix_of
from asyncrun.spec.pod.secret import Attach, attach_secrets
from asyncrun.spec.pod_xcom import LONGEST, add_sidecar
from asyncrun.spec.values import Kind, as_bool, check_type, is_unrendered


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """
    How the XCom sidecar is to look, from the Kubernetes connection; None: the default.

    :param security_context: the argument ``xcom_sidecar_container_security_context`` goes before it.
    :param limit: setting ``pod_xcom_limit``, in bytes.
    """

    image: str | None = None
    resources: Any = None
    security_context: Any = None
    limit: int = LONGEST


def build_manifest(
    arguments: PodArguments,
    *,
    task_id: str,
    launch: str,
    labels: Mapping[str, str],
    namespace: str,
    template: Mapping[str, Any] | None = None,
    sidecar: Sidecar | None = None,
    attach: Attach | None = None,
) -> dict[str, Any]:
    """
    The pod of these arguments: a template, completed and overruled by ``full_pod_spec``, by the other arguments.

    :param arguments: rendered.
    :param task_id: the pod is named after it where nothing names it.
    :param launch: from ``labels.launch_id``: the name's suffix is made from it.
    :param labels: that say whose the pod is; they overrule all others.
    :param namespace: where neither the arguments nor a template name one.
    :param template: the content of ``pod_template_file``; as upstream, it goes before ``pod_template_dict``.
    :param sidecar: where ``do_xcom_push``; None: the defaults.
    :param attach: see ``secret.attach_secrets``.
    :return: what JSON can hold, in the API's names.
    :raises InvalidArgument: a part has another form than the API wants, naming argument and field.
    """
    pod: dict[str, Any] = merge_pods(_base(arguments, template), _own(arguments))
    metadata = Part(pod["metadata"])
    suffixed = as_bool("random_name_suffix", arguments.random_name_suffix)
    metadata["name"] = pod_name(metadata.get("name"), task_id, suffix=suffix_of(launch) if suffixed else "")
    metadata["namespace"] = metadata.get("namespace") or namespace
    pod["metadata"] = metadata
    pod = attach_secrets(pod, arguments.secrets or (), attach)
    if as_bool("do_xcom_push", arguments.do_xcom_push):
        pod = _with_sidecar(settled(pod), arguments, sidecar or Sidecar())
    pod["metadata"] = {**pod["metadata"], "labels": {**(pod["metadata"].get("labels") or {}), **labels}}
    built: dict[str, Any] = settled(pod)
    return built


def part(arguments: PodArguments, name: str) -> Any:
    """
    One argument as plain values.

    :raises InvalidArgument: it cannot be what the API wants there.
    """
    value = getattr(arguments, name)
    if isinstance(value, Mapping) and not value:
        return {}  # as if it were not given: no ``Part``
    return plain(value, KINDS[name], where=name, lenient=name in LENIENT)


def variables(arguments: PodArguments) -> list[Any]:
    """
    ``env_vars`` as a container's ``env``; nothing as long as it is a template.

    :raises InvalidArgument: they are no list of variables and no dict.
    """
    given = arguments.env_vars or []
    check_type("env_vars", given, (Mapping, list, tuple), "a dict of texts, or a list of V1EnvVar")
    if isinstance(given, Mapping):
        texts = plain(given, "{}s", where="env_vars")
        return [{"name": name} | ({} if value is None else {"value": value}) for name, value in texts.items()]
    return [] if is_unrendered(given) else list(plain(given, "[]EnvVar", where="env_vars"))


def pull_secrets(arguments: PodArguments) -> list[Any]:
    """
    ``image_pull_secrets``, which may be text with names between commas.

    :raises InvalidArgument: it is something else.
    """
    given = arguments.image_pull_secrets or []
    if isinstance(given, str):
        return [{"name": one.strip()} for one in given.split(",") if one.strip()]
    return plain(given, "[]LocalObjectReference", where="image_pull_secrets") or []


def _rendered(arguments: PodArguments, name: str) -> Any:
    """As ``part``, but a template that has not been rendered is refused: it would be sent as it is."""
    value = part(arguments, name)
    items = value if isinstance(value, list) and KINDS[name] != "[]s" else ()
    if (KINDS[name] != "s" and is_unrendered(value)) or any(is_unrendered(one) for one in items):
        raise InvalidArgument(name, Kind(value), "the value itself: this is a template that was not rendered")
    return value


def _mergeable(pod: Any, where: str) -> Any:
    if not is_mergeable(pod):
        raise InvalidArgument(where, Kind(pod), "a pod whose parts are no templates")
    return pod


def _base(arguments: PodArguments, template: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if template is not None:
        base = _mergeable(plain(template, "Pod", where="pod_template_file", lenient=True), "pod_template_file")
    else:
        base = _mergeable(_rendered(arguments, "pod_template_dict"), "pod_template_dict")
    full = _mergeable(_rendered(arguments, "full_pod_spec"), "full_pod_spec")
    if not base:
        return full or Part(metadata=Part())
    return merge_pods(base, full) if full else base


def _variables(arguments: PodArguments) -> list[Any]:
    if is_unrendered(arguments.env_vars):
        raise InvalidArgument("env_vars", Kind(arguments.env_vars), "the value itself, not a template")
    return variables(arguments)


def _own(arguments: PodArguments) -> Part:
    """The pod that the other arguments describe; None and a missing field are the same."""
    labels = _rendered(arguments, "labels") or {}
    metadata = {
        "namespace": _rendered(arguments, "namespace"),
        "labels": {name: "" if value is None else value for name, value in labels.items()},
        "name": given_name(arguments.name),
        "annotations": _rendered(arguments, "annotations") or {},
    }
    return Part(apiVersion="v1", kind="Pod", metadata=_present(metadata), spec=_present(_own_spec(arguments)))


def _own_spec(arguments: PodArguments) -> dict[str, Any]:
    return {
        "runtimeClassName": _rendered(arguments, "runtime_class_name"),
        "nodeSelector": _rendered(arguments, "node_selector") or {},
        "affinity": _rendered(arguments, "affinity") or {},
        "tolerations": _rendered(arguments, "tolerations") or [],
        "initContainers": _rendered(arguments, "init_containers") or [],
        "hostAliases": _rendered(arguments, "host_aliases"),
        "containers": [_present(_own_container(arguments))],
        "imagePullSecrets": pull_secrets(arguments),
        "serviceAccountName": _rendered(arguments, "service_account_name"),
        "automountServiceAccountToken": _rendered(arguments, "automount_service_account_token"),
        "hostNetwork": _rendered(arguments, "hostnetwork"),
        "hostname": _rendered(arguments, "hostname"),
        "subdomain": _rendered(arguments, "subdomain"),
        "securityContext": _rendered(arguments, "security_context") or {},
        "dnsPolicy": _rendered(arguments, "dnspolicy"),
        "dnsConfig": _rendered(arguments, "dns_config"),
        "schedulerName": _rendered(arguments, "schedulername"),
        "restartPolicy": "Never",
        "priorityClassName": _rendered(arguments, "priority_class_name"),
        "volumes": _rendered(arguments, "volumes") or [],
        "activeDeadlineSeconds": _rendered(arguments, "active_deadline_seconds"),
        "terminationGracePeriodSeconds": _rendered(arguments, "termination_grace_period"),
    }


def _own_container(arguments: PodArguments) -> dict[str, Any]:
    config_maps = [{"configMapRef": {"name": one}} for one in _rendered(arguments, "configmaps") or []]
    return {
        "image": _rendered(arguments, "image"),
        "name": _rendered(arguments, "base_container_name") or arguments.base_name,
        "command": _rendered(arguments, "cmds") or [],
        "ports": _rendered(arguments, "ports") or [],
        "imagePullPolicy": _rendered(arguments, "image_pull_policy"),
        "resources": _rendered(arguments, "container_resources"),
        "volumeMounts": _rendered(arguments, "volume_mounts") or [],
        "args": _rendered(arguments, "arguments") or [],
        "env": [*_variables(arguments), *(_rendered(arguments, "pod_runtime_info_envs") or [])],
        "envFrom": [*(_rendered(arguments, "env_from") or []), *config_maps],
        "securityContext": _rendered(arguments, "container_security_context"),
        "terminationMessagePolicy": _rendered(arguments, "termination_message_policy"),
    }


def _present(fields: Mapping[str, Any]) -> Part:
    return Part({name: value for name, value in fields.items() if value is not None})


def _with_sidecar(pod: dict[str, Any], arguments: PodArguments, sidecar: Sidecar) -> dict[str, Any]:
    own = _rendered(arguments, "xcom_sidecar_container_security_context")
    context = plain(sidecar.security_context, "SecurityContext", where="the connection's XCom sidecar security context")
    resources = plain(sidecar.resources, "ResourceRequirements", where="the connection's XCom sidecar resources")
    return add_sidecar(
        pod,
        image=sidecar.image,
        resources=settled(resources),
        security_context=settled(context if own is None else own),
        limit=sidecar.limit,
    )
