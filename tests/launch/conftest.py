"""What tests of launches over the wire open is closed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncrun.clients.aws import close_all


@pytest.fixture
async def closing(no_leaked_tasks: None) -> AsyncIterator[None]:
    """Closes the ways to AWS that the test opened."""
    yield
    await close_all()
