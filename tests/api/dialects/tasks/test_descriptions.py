"""The OpenAPI descriptions of the dialects: valid, and their examples are accepted."""

from typing import Any

import pytest

from api.app import DIALECTS, App, create_app
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.dialects.tasks.calls import Calls
from tests.api.markup import Element, parsed
from tests.api.pages.test_reference import members
from tests.api.v1.test_openapi import references

MODELS = {
    "embed": "vectors",
    "rerank": "ranker",
    "predict": "labels",
    "similarity": "similar",
    "{name}": "others",
}


def bodies(described: dict[str, Any]) -> dict[str, Any]:
    """The example of each body, by its path, which has the name of a model that fits."""
    found = {}
    for path, calls in described["paths"].items():
        if "post" in calls:
            place = path.replace("{name}", MODELS[path.rpartition("/")[2]])
            found[place] = calls["post"]["requestBody"]["content"]["application/json"]["example"]
    return found


@pytest.mark.parametrize("name", ["rerank", "tei"])
async def test_examples_are_accepted(settings: Settings, name: str) -> None:
    async with mounted(settings.model_copy(update={"max_wait": 0.01})) as (client, _):
        examples = bodies((await client.get(f"/openapi/{name}.json")).json())
        assert examples
        for path, example in examples.items():
            answer = await client.post(path, json=example)
            assert answer.status_code == 504, f"{path}: {answer.text}"


def test_each_dialect_has_operations_of_its_own(settings: Settings) -> None:
    app = create_app(settings)
    assert isinstance(app, App)
    descriptions = app.descriptions
    assert set(descriptions.titles) == {each.name for each in DIALECTS} - {"pages"}
    seen: set[str] = set()
    for name in descriptions.titles:
        described = descriptions.of(name)
        paths = set(described["paths"])
        assert not paths & seen
        seen |= paths
        calls = [call for methods in described["paths"].values() for call in methods.values()]
        assert all(call["tags"] for call in calls)
        ids = [call["operationId"] for call in calls]
        assert len(ids) == len(set(ids))
        for reference in references(described):
            assert reference.rpartition("/")[2] in described["components"]["schemas"], (name, reference)


def test_each_call_that_is_a_job_has_the_headers_of_all(settings: Settings) -> None:
    app = create_app(settings)
    assert isinstance(app, App)
    for name in set(app.descriptions.titles) - {"batchline"}:
        for path, methods in app.descriptions.of(name)["paths"].items():
            given = {each["name"].lower() for each in methods.get("post", {}).get("parameters", ())}
            is_job = "post" in methods and not path.startswith(("/v1/files", "/v1/batches"))
            assert not is_job or given >= {"x-batchline-priority", "idempotency-key"}, path


async def test_the_page_of_each_dialect_shows_its_calls(calls: Calls) -> None:
    page = (await calls.client.get("/docs/tei")).text
    assert "<h1>Text Embeddings Inference</h1>" in page
    assert "/tei/{name}/embed" in page
    assert "takes the place of that address" in page
    rerank = (await calls.client.get("/docs/rerank")).text
    assert "/v2/rerank" in rerank
    assert "&#34;model&#34;:&#34;ranker&#34;" in rerank, "the example names a model that ranks"


def body_of(page: Element, call: str) -> dict[str, str]:
    return members(page.one("section", id=call))


async def test_the_page_of_openai_says_what_inputs_and_messages_are(calls: Calls) -> None:
    page = parsed((await calls.client.get("/docs/openai")).text)
    messages = body_of(page, "create_chat_completion")["messages"]
    for word in ("role", "system", "developer", "assistant", "content", "required"):
        assert word in messages
    for call, name in (("embeddings", "input"), ("completion", "prompt"), ("moderation", "input")):
        described = body_of(page, f"create_{call}")[name]
        assert "list of texts" in described
        assert described.endswith("entries, required") or described.endswith("texts, required")


async def test_the_page_of_hugging_face_has_chats_and_streams(calls: Calls) -> None:
    page = parsed((await calls.client.get("/docs/huggingface")).text)
    assert "while it grows" in body_of(page, "run_model")["stream"]
    assert "while it grows" in body_of(page, "run_chat")["stream"]
    assert "role" in body_of(page, "run_chat")["messages"]
    [curl] = page.one("section", id="run_chat").all("pre")
    assert "/models/NAME/v1/chat/completions" in curl.text
