"""A web server that the transport is to reach, or not."""

from collections.abc import AsyncIterator

import pytest

from tests.web import Web, serving


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with serving() as running:
        yield running
