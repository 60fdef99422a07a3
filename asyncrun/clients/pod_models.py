"""What making a pod needs of Airflow and of the SDKs: models for users' own code, the mutation hook, template files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from asyncrun.model.errors import InvalidArgument


def to_model(manifest: Mapping[str, Any]) -> Any:
    """That pod as ``kubernetes.client.V1Pod``. Imports the SDK, which takes about a second."""
    from kubernetes.client import ApiClient

    with ApiClient() as client:
        return client.deserialize(SimpleNamespace(data=json.dumps(manifest)), "V1Pod")


def from_model(pod: Any) -> dict[str, Any]:
    """The JSON of such a model."""
    from kubernetes.client import ApiClient

    with ApiClient() as client:
        plain: dict[str, Any] = client.sanitize_for_serialization(pod)
        return plain


def read_model(client: Any, name: str, namespace: str, log: Any) -> Any:
    """
    The pod as it is now, as ``V1Pod``; None where it cannot be read, which is logged: no run fails for that.

    :param client: a synchronous ``CoreV1Api``.
    """
    from kubernetes.client.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        return client.read_namespaced_pod(name, namespace)
    except ApiException as error:
        why = f"HTTP {error.status} {error.reason}"
    except HTTPError as error:
        why = type(error).__name__
    log.warning("Pod %s/%s cannot be read, so its callbacks are called with pod=None (%s)", namespace, name, why)
    return None


def attached(secret: Any, pod: Mapping[str, Any]) -> dict[str, Any]:
    """A pod with a secret of the user's own class in it, whose ``attach_to_pod`` wants models."""
    return from_model(secret.attach_to_pod(to_model(pod)))


def mutated(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """
    What Airflow's ``pod_mutation_hook`` (``airflow_local_settings``, or a policy plug-in) makes of a pod.

    Where nobody has set one, nothing is imported.
    """
    from airflow.settings import get_policy_plugin_manager, pod_mutation_hook

    impls = get_policy_plugin_manager().hook.pod_mutation_hook.get_hookimpls()
    if all(one.plugin is _default_policy() for one in impls):
        return dict(manifest)
    pod = to_model(manifest)
    pod_mutation_hook(pod)
    return from_model(pod)


def _default_policy() -> Any:
    from airflow.policies import DefaultPolicy

    return DefaultPolicy


def read_template(path: str) -> dict[str, Any]:
    """
    The content of a ``pod_template_file``.

    :raises InvalidArgument: it cannot be read, or is no YAML of one object.
    """
    import yaml

    try:
        with Path(path).open(encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except OSError as error:
        raise InvalidArgument("pod_template_file", path, f"a file that workers can read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidArgument("pod_template_file", path, f"text in UTF-8 (byte {error.start + 1} is none)") from None
    except yaml.YAMLError as error:  # whose own text quotes the line, in which a password may stand
        raise InvalidArgument("pod_template_file", path, f"YAML ({_problem(error)})") from None
    if not isinstance(content, dict):
        raise InvalidArgument("pod_template_file", path, "a file with the YAML of one pod")
    return content


def _problem(error: Any) -> str:
    """What PyYAML says of its error, and where, without the text around that."""
    said = [text for name in ("context", "problem", "reason") if isinstance(text := getattr(error, name, None), str)]
    mark = getattr(error, "problem_mark", None)
    return ", ".join(said + ([f"line {mark.line + 1}"] if mark is not None else [])) or type(error).__name__


def airflow_version() -> str:
    """For a pod's labels."""
    from airflow.version import version

    return str(version)
