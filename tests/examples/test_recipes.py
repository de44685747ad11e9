"""The recipes of docs/custom-pipelines.md are served as they stand there."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.catalog import load_catalog
from tests.journey.conftest import Running, batchline, shards
from tests.journey.test_story import submit

__all__ = ["batchline", "shards"]

PAGE = Path(__file__).parents[2] / "docs" / "custom-pipelines.md"


def recipes() -> Iterator[tuple[str, str]]:
    """Of each recipe its code and its entry in models.toml."""
    text = PAGE.read_text(encoding="utf-8")
    part = text[text.index("## Recipes") : text.index("## Model files of other formats")]
    yield from re.findall(r"```python\n(.*?)```\n\n```toml\n(.*?)```", part, re.DOTALL)


@pytest.fixture
def models_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models.toml with all recipes, whose code can be imported."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    file = tmp_path / "models.toml"
    with file.open("w", encoding="utf-8") as opened:
        for code, entry in recipes():
            [spec] = tomllib.loads(entry)["models"].values()
            module = spec["pipeline"].partition(":")[0]
            (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
            opened.write(entry)
    return file


async def test_every_recipe_is_served(batchline: Running, redis: ArqRedis, models_file: Path) -> None:
    examples = {spec.name: spec.example for spec in load_catalog(models_file).specs.values()}
    outputs: dict[str, Any] = {}
    async with batchline(models_file) as client:
        for name, example in examples.items():
            job = await submit(client, [example] * 3, model=name)
            assert job["status"] == "succeeded", job
            first, *others = [result["output"] for result in job["results"]]
            if name != "thumbnail":
                assert others == [first] * 2
            outputs[name] = first
        file = await client.get(outputs["thumbnail"]["thumbnail"]["url"])
        assert (file.status_code, file.headers["content-type"]) == (200, "image/png")
        assert file.content.startswith(b"\x89PNG")
        wrong = {
            "similarity": ({"first": 1}, "ValueError: an input must"),
            "price": ({"rooms": "many"}, "ValueError: an input must"),
            "loudness": (
                examples["loudness"][:-8],
                "incomplete: it announces 16 bytes of samples and has 10",
            ),
        }
        for name, (bad, reason) in wrong.items():
            job = await submit(client, [examples[name], bad], model=name)
            assert job["counts"]["failed"] == 1
            assert reason in job["results"][1]["error"]["detail"]
    assert outputs["brightness"] == 1.0
    assert outputs["loudness"] == {"seconds": 0.002, "loudness": pytest.approx(0.5 / 2**0.5)}
    assert outputs["similarity"] == pytest.approx(2 / 3)
    assert outputs["price"] == 3 * 12.5 + 72.5 * 3 + 40
