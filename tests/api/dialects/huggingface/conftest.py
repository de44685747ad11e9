"""Models of some tasks without a worker, behind the API in this process."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from jobs.settings import Settings
from tests.api.api_process import mounted

MODELS = """
[models.sentiment]
task = "text-classification"
source = "no/such/folder"
max_inputs = 100

[models.vectors]
task = "feature-extraction"
source = "no/such/folder"

[models.writer]
task = "text-generation"
source = "no/such/folder"

[models.summary]
task = "summarization"
source = "no/such/folder"

[models.look]
task = "image-classification"
source = "no/such/folder"

[models.ask]
task = "visual-question-answering"
source = "no/such/folder"

[models.page]
task = "document-question-answering"
source = "no/such/folder"

[models.caption]
task = "image-text-to-text"
source = "no/such/folder"

[models.depth]
task = "depth-estimation"
source = "no/such/folder"

[models.speak]
task = "text-to-audio"
source = "no/such/folder"

[models."org/one"]
aliases = ["one"]
task = "text-classification"
source = "no/such/folder"
defaults = { top_k = 2 }
"""


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return Settings(redis_url=redis_url, data_dir=tmp_path, models_file=models, max_wait=60)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with mounted(settings) as (client, _):
        yield client
