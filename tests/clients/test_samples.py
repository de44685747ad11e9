"""The code that /try shows for each client runs."""

import httpx
import pytest

from tests.api.dialects.tasks.test_offers import shown
from tests.api.markup import parsed
from tests.clients.process import ClientProcess

PYTHON = ("openai", "huggingface_hub", "cohere")


@pytest.mark.parametrize(
    ("model", "form", "clients_with_code"),
    [
        ("moods", {}, {"openai", "huggingface_hub"}),
        ("moods", {"text": 'it\'s "late"', "mode": "one", "p.top_k": "2"}, {"huggingface_hub"}),
        ("org/embedder", {}, {"openai", "huggingface_hub"}),
        ("org/ranker", {}, {"cohere"}),
        ("writer", {}, {"openai", "huggingface_hub"}),
    ],
)
async def test_code_runs(
    url: str, clients: ClientProcess, model: str, form: dict[str, str], clients_with_code: set[str]
) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        page = await client.post("/try", data={"model": model, "shown": model, **form})
    found = {name: code for name, code in shown(parsed(page.text)).items() if name in PYTHON}
    assert set(found) == clients_with_code
    for code in found.values():
        assert await clients.call("samples:run", code=code), code
