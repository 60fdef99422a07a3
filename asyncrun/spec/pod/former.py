"""
Arguments that the pod operator does not have, under names that people try: those of upstream's earlier releases, and
Kubernetes's own. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

_SAME = "takes the same value"

FORMER_ARGUMENTS: dict[str, tuple[str, str]] = {
    # Earlier releases of upstream's operator.
    "resources": ("container_resources", "takes a V1ResourceRequirements or a dict of its fields"),
    "node_selectors": ("node_selector", "takes the same dict"),
    "is_delete_operator_pod": (
        "on_finish_action",
        "'delete_pod' stands for is_delete_operator_pod=True, and 'keep_pod' for False",
    ),
    "xcom_push": ("do_xcom_push", _SAME),
    "pod": ("full_pod_spec", "takes a V1Pod"),
    "config_maps": ("configmaps", "takes names of ConfigMaps, for environment variables"),
    "config_map": ("configmaps", "takes a list of names of ConfigMaps, for environment variables"),
    # Kubernetes's names.
    "command": ("cmds", "takes a list of words"),
    "args": ("arguments", "takes a list of words"),
    "env": ("env_vars", "takes a dict, or a list of V1EnvVar"),
    "host_network": ("hostnetwork", _SAME),
    "dns_policy": ("dnspolicy", _SAME),
    "scheduler_name": ("schedulername", _SAME),
    "service_account": ("service_account_name", _SAME),
    "termination_grace_period_seconds": ("termination_grace_period", _SAME),
    "pod_spec": ("full_pod_spec", "takes a V1Pod, of which the spec is a part"),
}
"""Name -> the argument that takes its place, and a sentence about it without its subject."""


def former_argument(names: Iterable[str]) -> tuple[str, str, str] | None:
    """
    The first of these names that stands in the table.

    :param names: of arguments that the operator does not know.
    :return: the name, the one to use, and a sentence for the message.
    """
    for name in names:
        if name in FORMER_ARGUMENTS:
            new, about = FORMER_ARGUMENTS[name]
            return name, new, f"{new} {about}." if not about.startswith("'") else f"{new}: {about}."
    return None
