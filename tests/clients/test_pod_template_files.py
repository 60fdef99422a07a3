"""A pod template that cannot be read says why and where, and shows nothing of itself: passwords stand in templates."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from asyncrun.clients.pod_models import read_template
from asyncrun.model.errors import InvalidArgument


@pytest.mark.parametrize(
    ("content", "allowed"),
    [
        (
            b"spec:\n  password: hunter2: hunter2\n",
            "YAML (mapping values are not allowed here, line 2)",
        ),
        (
            b'a: "hunter2\n',
            "YAML (while scanning a quoted scalar, found unexpected end of stream, line 2)",
        ),
        (
            b"a: 1\n---\nb: hunter2\n",
            "YAML (expected a single document in the stream, but found another document, line 2)",
        ),
        (b"hunter2\x00", "YAML (special characters are not allowed)"),
        (b"a: hunter2\xff", "text in UTF-8 (byte 11 is none)"),
        (b"- hunter2", "a file with the YAML of one pod"),
    ],
)
def test_a_template_that_cannot_be_read_is_told_without_showing_it(
    tmp_path: Path, content: bytes, allowed: str
) -> None:
    path = tmp_path / "pod.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument) as refused:
        read_template(str(path))
    assert str(refused.value) == f"pod_template_file={str(path)!r} cannot work: expected {allowed}"
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))
