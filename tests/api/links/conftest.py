"""Fixtures of the tests of links: an API that fetches them, and a web server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs.settings import Settings
from tests.api.links.sending import JPEG, PNG
from tests.web import Web, ok, serving

MODELS = """
[models.pictures]
pipeline = "somewhere:Pictures"
input = "image"
max_input_bytes = 5_000

[models.texts]
pipeline = "somewhere:Texts"
"""


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    """The operator allows every host, and of closed networks this machine's address."""
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return Settings(
        redis_url=redis_url,
        data_dir=tmp_path,
        models_file=models,
        fetch_links="*",
        outbound_networks="127.0.0.1",
        fetch_timeout=60,
    )


@pytest.fixture
async def web() -> AsyncIterator[Web]:
    async with serving() as running:
        running.answers |= {"/a.png": ok(PNG), "/b.jpg": ok(JPEG)}
        yield running
