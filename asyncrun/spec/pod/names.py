"""Names of pods: upstream's, with a suffix made from the launch, so that a repeated launch asks for the same name."""

from __future__ import annotations

import re
import string
import unicodedata

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.values import is_unrendered

NAME_LIMIT = 63
"""Characters: the pod's name becomes its host name, which Linux limits."""
_GIVEN_LIMIT = 220  # characters of the argument ``name``, as upstream
_SUFFIX = 8
_ALPHABET = string.digits + string.ascii_lowercase
_GIVEN = re.compile(r"[\w.-]+")


def given_name(name: object) -> str | None:
    """
    The argument ``name`` as a part of a pod's name: lower case, ``-`` for what is not allowed.

    :raises InvalidArgument: it is empty, too long, or has characters other than those of an Airflow key.
    """
    if name is None:
        return None
    if not isinstance(name, str) or not _GIVEN.fullmatch(name) or len(name) > _GIVEN_LIMIT:
        raise InvalidArgument(
            "name", name, f"1 to {_GIVEN_LIMIT} letters, digits, dashes, dots and underscores (the rest is made safe)"
        )
    return re.sub(r"[^a-z0-9-]+", "-", name.lower())


def pod_name(merged: str | None, task_id: str, *, suffix: str) -> str:
    """
    The name of a pod.

    :param merged: the name in the merged pod: the argument's, or that of a template; None: made from the task's id.
        One that has to be rendered first is left as it is.
    :param suffix: from ``suffix_of``; empty: none (``random_name_suffix=False``).
    """
    if not merged:
        merged = _slug(task_id)[:NAME_LIMIT].strip("-.") or "pod"
    if not suffix or is_unrendered(merged):
        return merged
    return f"{merged[: NAME_LIMIT - len(suffix) - 1].strip('-.')}-{suffix}"


def suffix_of(launch: str) -> str:
    """
    Eight characters that are the same for the same launch.

    :param launch: from ``labels.launch_id``: hexadecimal digits, evenly distributed.
    """
    number, text = int(launch, 16), ""
    for _ in range(_SUFFIX):
        number, digit = divmod(number, len(_ALPHABET))
        text += _ALPHABET[digit]
    return text


def _slug(task_id: str) -> str:
    """Letters beyond ASCII lose their accents, and are left out where they are no Latin letters."""
    ascii_only = unicodedata.normalize("NFKD", task_id).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")
