"""Models that read media, beside those of the other tests."""

from pathlib import Path

import pytest

from jobs.settings import Settings

MODELS = """
[models.pictures]
pipeline = "somewhere:Pictures"
input = "image"
parameters = { top_k = "integer", shape = "object" }
max_inputs = 4
max_input_bytes = 5_000

[models.sounds]
pipeline = "somewhere:Sounds"
input = "audio"
max_seconds = 1.0

[models.texts]
pipeline = "somewhere:Texts"

[models.shapes]
pipeline = "somewhere:Shapes"
input = "json"
"""


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return Settings(redis_url=redis_url, data_dir=tmp_path, models_file=models, max_request_bytes=100_000)
