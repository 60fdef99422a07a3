"""A token file without a token says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncrun.clients.kube_auth import FileAuth
from asyncrun.model.errors import CredentialsExpired


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b" \n", "the token is empty, or has characters that a token cannot have"),
        (b"two\nlines", "the token is empty, or has characters that a token cannot have"),
        ("hunter2\u00e9".encode(), "it is no text in ASCII"),
    ],
)
async def test_a_file_without_a_token_is_told(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    auth = FileAuth(path, "whoever runs Airflow")
    with pytest.raises(CredentialsExpired) as refused:
        await auth.identity()
    await auth.close()
    assert str(refused.value) == (
        f"The token file {str(path)!r} has no token that can be read ({why}): whoever runs Airflow must see to it."
    )
