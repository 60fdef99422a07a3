"""What is wrong with the arguments of a ``KubernetesPodOperator``; its template fields, ready to be rendered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.checks import check_pod
from asyncrun.spec.pod.former import former_argument
from asyncrun.spec.pod.handling import HandlingArguments, check_handling
from asyncrun.spec.pod.render import render
from asyncrun.spec.values import Kind


def refuse_old_arguments(given: Mapping[str, Any]) -> None:
    """
    Refuse arguments that earlier releases of upstream had: some are words that Airflow itself takes, and ignores.

    :raises InvalidArgument: naming the argument that took its place.
    """
    found = former_argument(name for name, value in given.items() if value is not None)
    if found is not None:
        name, new, sentence = found
        raise InvalidArgument(name, Kind(given[name]), f"{new!r} in its place: {sentence}")


def check_arguments(operator: Any) -> None:
    """
    Refuse what cannot work, as far as it is known before templates are rendered.

    :raises InvalidArgument: naming the argument, its value and what is allowed.
    """
    pod = PodArguments.of(operator)
    check_pod(pod)
    check_handling(HandlingArguments.of(operator), pod)


def plain_fields(operator: Any, names: Iterable[str]) -> None:
    """
    Make the models in these attributes plain values, so that Airflow renders every text in them.

    :param names: of the template fields.
    """
    for name in names:
        value = getattr(operator, name)
        if name == "env_vars" and isinstance(value, Mapping):  # Airflow renders no keys
            value = [{"name": key, "value": text} for key, text in value.items()]
        setattr(operator, name, render(value, str))
