"""Templates inside the nested objects of an argument. Pure: whoever calls brings what renders one text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

from asyncrun.spec.pod.models import Part, is_model, plain


def render(value: Any, render_text: Callable[[str], Any]) -> Any:
    """
    The same value with every text in it rendered, at any depth; models become plain dicts in the API's names.

    Upstream renders some fields of some models, such as ``V1EnvVar.value`` and ``V1VolumeMount.sub_path``; these are
    among them.

    :param render_text: text -> what it renders to; not text with ``render_template_as_native_obj``.
    """
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return render_text(value)
    if is_model(value) or callable(getattr(value, "to_k8s_client_obj", None)):
        value = plain(value)

    def inner(one: Any) -> Any:
        return render(one, render_text)

    if isinstance(value, Mapping):
        made = {key: inner(one) for key, one in value.items()}
        return Part(made) if isinstance(value, Part) else made
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(inner(one) for one in value) if type(value) in _PLAIN else [inner(one) for one in value]
    return value


_PLAIN = (list, tuple, set, frozenset)
