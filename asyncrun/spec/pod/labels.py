"""Labels that say whose a pod is: upstream's, by which its tools find pods, and ours, by which one watch sees all."""

from __future__ import annotations

import hashlib
import re

DEPLOYMENT = "asyncrun/deployment"
"""Label with the name of the Airflow deployment: what the shared watch of a namespace selects."""
LAUNCH = "asyncrun/launch"
"""Label that tells one launch from all others: ``launch_id``."""
CHECKED = "already_checked"
"""Label that upstream's operator puts on a pod whose end it has reported."""

_LIMIT = 63  # characters of a label's value, as the API server allows
_UNSAFE = re.compile(r"^[^a-z0-9A-Z]*|[^a-zA-Z0-9_\-.]|[^a-z0-9A-Z]*$")


def safe_value(text: str) -> str:
    """
    A label's value that the API server takes, and that is upstream's for the same text.

    What has to be changed or cut ends in a hash of the whole, so that different texts stay different.
    """
    safe = _UNSAFE.sub("", text)
    if safe == text and len(safe) <= _LIMIT:
        return safe
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:9]
    # Where nothing is left, upstream's value begins with "-", which the API server refuses.
    return f"{safe[: _LIMIT - len(digest) - 1]}-{digest}" if safe else digest


def deployment_value(deployment: str) -> str:
    """
    The value of the label ``DEPLOYMENT``.

    :param deployment: setting ``deployment``.
    """
    return safe_value(deployment.strip()) or "airflow"


def selector(deployment: str) -> str:
    """
    The label selector of all pods of this deployment.

    :param deployment: setting ``deployment``.
    """
    return f"{DEPLOYMENT}={deployment_value(deployment)}"


def launch_id(ti_id: object, ordinal: int = 0) -> str:
    """
    What tells one launch from all others: 24 hexadecimal digits.

    :param ti_id: the task instance's UUID, which is new for each try; see ``ecs.client_token`` for why not names.
    :param ordinal: 0 for a try's first launch, 1 for its first relaunch, ...
    """
    return hashlib.sha256(f"asyncrun:{ti_id}:{ordinal}".encode()).hexdigest()[:24]


def our_labels(deployment: str, launch: str) -> dict[str, str]:
    """
    The two labels that upstream's pods do not have.

    :param deployment: setting ``deployment``.
    :param launch: from ``launch_id``.
    """
    return {DEPLOYMENT: deployment_value(deployment), LAUNCH: launch}


def task_labels(
    *,
    dag_id: str,
    task_id: str,
    run_id: str,
    map_index: int | None = None,
    try_number: int | None = None,
) -> dict[str, str]:
    """
    Upstream's labels of a task instance.

    :param map_index: None or negative: the task is not mapped, and there is no such label.
    :param try_number: None: left out, for finding the pods of all tries.
    """
    labels = {"dag_id": dag_id, "task_id": task_id, "run_id": run_id, "kubernetes_pod_operator": "True"}
    if map_index is not None and map_index >= 0:
        labels["map_index"] = str(map_index)
    if try_number is not None:
        labels["try_number"] = str(try_number)
    return {name: safe_value(value) for name, value in labels.items()}


def origin_labels(airflow_version: str, *, in_cluster: bool | None) -> dict[str, str]:
    """
    Upstream's labels of what launched the pod.

    :param in_cluster: whether the credentials are those of the worker's own pod; None: not known, and no label.
    """
    labels = {"airflow_version": airflow_version.replace("+", "-")}
    if in_cluster is not None:
        labels["airflow_kpo_in_cluster"] = str(in_cluster)
    return labels


def task_selector(*, dag_id: str, task_id: str, run_id: str, map_index: int | None, labels: dict[str, str]) -> str:
    """
    The label selector by which upstream's operator finds the pods of all tries of a task instance.

    :param labels: the operator's own; None as a value counts as empty.
    """
    wanted = {name: value or "" for name, value in labels.items()}
    wanted |= task_labels(dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index)
    texts = [f"{name}={value}" for name, value in sorted(wanted.items())]
    return ",".join([*texts, f"{CHECKED}!=True", "!airflow-worker"])
