"""Shared task definitions that belong to one test, and the API that they are read from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncrun.triggers.definitions import Definitions
from tests.triggers.definitions.scripted_api import Api


@pytest.fixture
async def shelf(no_leaked_tasks: None) -> AsyncIterator[Definitions]:
    made = Definitions()
    yield made
    await made.finish()


@pytest.fixture
def api() -> Api:
    return Api()
