"""
What cannot work in the arguments of a pod, said where the DAG is parsed. Pure.

Templates are judged once they are rendered: whoever launches calls ``whole.check_manifest`` with the pod itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.arguments import KINDS, PodArguments
from asyncrun.spec.pod.build import build_manifest, part, pull_secrets, variables
from asyncrun.spec.pod.merge import is_mergeable, is_mergeable_container
from asyncrun.spec.pod.models import plain
from asyncrun.spec.pod.names import given_name
from asyncrun.spec.pod.rules import check_env_name, check_labels, check_part
from asyncrun.spec.pod.secret import looks_like_secret
from asyncrun.spec.pod.syntax import check_name
from asyncrun.spec.pod.whole import check_manifest
from asyncrun.spec.values import Kind, check_bool, check_text, check_type, is_unrendered

# Completed by the other arguments before they are sent.
_INCOMPLETE = frozenset({"full_pod_spec", "pod_template_dict"})
_FLAGS = ("random_name_suffix", "do_xcom_push")
# Any of these may bring volumes.
_WITH_VOLUMES = frozenset({"volumes", "secrets", "full_pod_spec", "pod_template_dict"})
# Any of these may bring the image of a container.
_WITH_IMAGE = frozenset({"image", "init_containers", "full_pod_spec", "pod_template_dict"})


def check_pod(arguments: PodArguments) -> None:
    """
    Check everything that becomes part of the pod, as far as it is known.

    :raises InvalidArgument: naming the argument, its value and what is allowed. Values of environment variables are
        not shown.
    """
    _check_template(arguments)
    for name, kind in KINDS.items():
        check_part(part(arguments, name), kind, name, complete=name not in _INCOMPLETE)
    _check_names(arguments)
    _check_secrets(arguments.secrets)
    _check_environment(arguments)
    check_part(pull_secrets(arguments), "[]LocalObjectReference", "image_pull_secrets")
    for name in _FLAGS:
        check_bool(name, getattr(arguments, name))
    _check_together(arguments)


def check_template(content: object) -> None:
    """
    Check the content of ``pod_template_file``.

    :raises InvalidArgument: it is no pod.
    """
    where = "pod_template_file"
    check_type(where, content, Mapping, "a file with one pod as YAML: a mapping with 'metadata' and 'spec'")
    check_part(plain(content, "Pod", where=where, lenient=True), "Pod", where, complete=False)


def _check_template(arguments: PodArguments) -> None:
    if arguments.pod_template_file is not None:
        check_text("pod_template_file", arguments.pod_template_file, "a path of a YAML file with a pod")
    both = arguments.pod_template_file and arguments.pod_template_dict
    if both and not is_unrendered(arguments.pod_template_dict):
        raise InvalidArgument(
            "pod_template_dict", Kind(arguments.pod_template_dict), "nothing, since pod_template_file is given"
        )


def _check_names(arguments: PodArguments) -> None:
    if not is_unrendered(arguments.name):
        given_name(arguments.name)
    check_labels(part(arguments, "labels"), "labels")
    configmaps = part(arguments, "configmaps")
    for index, one in enumerate(configmaps if isinstance(configmaps, list) else ()):
        check_name(f"configmaps[{index}]", one)


def _check_environment(arguments: PodArguments) -> None:
    given = arguments.env_vars
    if isinstance(given, Mapping):
        for name in given:
            check_env_name(name, "env_vars")
    check_part(variables(arguments), "[]EnvVar", "env_vars")


def _check_secrets(secrets: object) -> None:
    if secrets is None:
        return
    check_type("secrets", secrets, (list, tuple), "a list of Secret")
    for index, one in enumerate(secrets if isinstance(secrets, (list, tuple)) else ()):
        known = looks_like_secret(one) or callable(getattr(one, "attach_to_pod", None)) or is_unrendered(one)
        if not known:
            raise InvalidArgument(f"secrets[{index}]", Kind(one), "asyncrun's Secret, or upstream's")
        if looks_like_secret(one) and one.deploy_type == "env" and one.deploy_target is not None:
            check_env_name(one.deploy_target, f"secrets[{index}].deploy_target")


def draft(arguments: PodArguments) -> tuple[dict[str, Any], frozenset[str]]:
    """
    The pod as far as the arguments tell it at parse, without the content of ``pod_template_file``.

    :return: the pod, and the arguments that had to be left out since they are templates as a whole.
    :raises InvalidArgument: as ``build_manifest``.
    """
    unknown = frozenset(name for name in _could_be_opaque(arguments) if _is_opaque(name, getattr(arguments, name)))
    nothing: dict[str, Any] = dict.fromkeys(unknown)
    known = replace(arguments, **nothing)
    return build_manifest(known, task_id="task", launch="0", labels={}, namespace="default"), unknown


def _check_together(arguments: PodArguments) -> None:
    manifest, unknown = draft(arguments)
    if arguments.pod_template_file:
        unknown |= _WITH_VOLUMES
    check_manifest(manifest, images_known=not unknown & _WITH_IMAGE, volumes_known=not unknown & _WITH_VOLUMES)


def _could_be_opaque(arguments: PodArguments) -> list[str]:
    return [name for name in vars(arguments) if name != "pod_template_file"]


def _is_opaque(name: str, value: object) -> bool:
    """Whether the form of the value is not known yet, so that nothing can be merged with it."""
    if name in ("pod_template_dict", "full_pod_spec"):
        return not is_mergeable(plain(value, "Pod", where=name, lenient=True))
    if isinstance(value, (list, tuple)):
        return any(_is_opaque_item(name, one) for one in value)
    if isinstance(value, str):
        return is_unrendered(value) and KINDS.get(name) != "s"
    return is_unrendered(value)


def _is_opaque_item(name: str, item: object) -> bool:
    if name == "secrets":
        return not looks_like_secret(item)
    if name == "init_containers" and not is_unrendered(item):
        return not is_mergeable_container(plain(item, "Container", where=name))
    return is_unrendered(item) and not (isinstance(item, str) and KINDS.get(name) == "[]s")
