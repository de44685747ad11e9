"""The client of Hugging Face calls every task that it knows, and gets what the model itself answers."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from huggingface_hub import AsyncInferenceClient, InferenceClient
from huggingface_hub.errors import HfHubHTTPError, ValidationError
from huggingface_hub.inference._providers import PROVIDERS

from jobs.tasks import TASKS
from tests import valkey
from tests.api.dialects.huggingface.calls import (
    CASES,
    FEW,
    LABELS,
    MODELS,
    PICTURE,
    POSTED,
    TEXT,
    Case,
    Posted,
    text,
)
from tests.api.dialects.huggingface.tiny_server import TinyServer, contents, post, tiny_server
from tests.conftest import empty_database
from tests.processes import ROOT
from tests.worker.engine.pipelines.conftest import assert_same
from tests.worker.engine.pipelines.pictures import PICTURES

PAGE = (ROOT / "docs" / "huggingface.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def served(server: valkey.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyServer]:
    with tiny_server(empty_database(server), tmp_path_factory.mktemp("tiny"), MODELS) as started:
        yield started


def unset(answer: Any) -> Any:
    """An answer without nulls: the client has one for each value that it knows and did not get."""
    if isinstance(answer, dict):
        return {name: unset(value) for name, value in answer.items() if value is not None}
    return [unset(each) for each in answer] if isinstance(answer, list) else answer


def same(answer: Any, output: Any) -> None:
    """The same but for rounding. What is not JSON is equal."""
    if isinstance(output, bytes):
        assert answer == output
    elif isinstance(output, dict):
        assert answer.keys() == output.keys()
        for name, value in output.items():
            same(answer[name], value)
    elif isinstance(output, list) and output and isinstance(output[0], dict):
        assert len(answer) == len(output) > 0
        for one, other in zip(answer, output, strict=True):
            same(one, other)
    else:
        assert_same(answer, output)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.model)
def test_the_client_gets_what_the_model_answers(served: TinyServer, case: Case) -> None:
    client = InferenceClient(served.of(case.model))
    answer = served.run(case.model, lambda: case.call(client))
    [output] = served.pipeline(case.model).run([case.inputs], case.parameters)
    same(unset(answer), unset(case.expected(contents(output))))


@pytest.mark.parametrize("case", POSTED, ids=lambda case: case.model)
def test_a_task_without_a_method_has_the_output_as_its_answer(served: TinyServer, case: Posted) -> None:
    sent = {"content": case.body} if isinstance(case.body, bytes) else {"json": case.body}
    reply = served.run(case.model, lambda: post(served.of(case.model), **sent))
    assert reply.status_code == 200, reply.text
    [output] = served.pipeline(case.model).run([case.inputs], case.parameters)
    answer = reply.json()[0] if case.model == "text2text-generation" else reply.json()
    same(answer, encoded_files(contents(output)))


def encoded_files(output: Any) -> Any:
    """An output with its files as in an answer."""
    if isinstance(output, bytes):
        return text(output)
    if isinstance(output, dict):
        return {name: encoded_files(value) for name, value in output.items()}
    return [encoded_files(value) for value in output] if isinstance(output, list) else output


LISTS = [
    ("text-classification", [TEXT, "we met", "the bridge closed in the town"], {}),
    ("zero-shot-classification", [TEXT, "we met"], {"candidate_labels": LABELS}),
    ("token-classification", [TEXT, "we met"], {}),
    ("org/pooled", [TEXT, "we met", "the bridge"], {}),
    ("text-generation", [TEXT, "we met"], {}),
    ("summarization", [TEXT, "we met"], FEW),
    ("image-classification", [text(PICTURE), text(PICTURES[1])], {}),
    ("image-segmentation", [text(PICTURE), text(PICTURES[1])], {}),
]


@pytest.mark.parametrize(("model", "inputs", "parameters"), LISTS, ids=[model for model, _, _ in LISTS])
def test_a_list_has_the_answers_of_its_inputs(
    served: TinyServer, model: str, inputs: list[Any], parameters: dict[str, Any]
) -> None:
    def asked(given: Any) -> Any:
        body = {"inputs": given, "parameters": parameters}
        return served.run(model, lambda: post(served.of(model), json=body)).json()

    alone = [asked(one) for one in inputs]
    if model in ("text-classification", "summarization"):  # a list of one input
        alone = [one for [one] in alone]
    same(asked(inputs), alone)


def test_every_task_is_in_the_documentation() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|(?: `(\w+)` \|)?", PAGE.partition("## Tasks")[2], re.MULTILINE)
    methods = dict(reversed(rows))
    assert set(TASKS) <= set(methods)
    for task in {MODELS[case.model].task for case in CASES}:
        assert callable(getattr(InferenceClient, methods[task]))


def test_every_task_is_tried() -> None:
    assert {model.task for model in MODELS.values()} == set(TASKS)
    assert {case.model for case in CASES} | {case.model for case in POSTED} == set(MODELS)
    known = set(PROVIDERS["hf-inference"]) - {"image-to-text", "text-to-speech"} | {
        "image-text-to-text",
        "text-to-audio",
    }
    with_methods = {MODELS[case.model].task for case in CASES}
    assert with_methods == known & set(TASKS)


def test_the_asynchronous_client_gets_the_same(served: TinyServer) -> None:
    async def call() -> Any:
        async with AsyncInferenceClient(served.of("text-classification")) as client:
            return await client.text_classification(TEXT)

    answer = served.run("text-classification", lambda: asyncio.run(call()))
    [output] = served.pipeline("text-classification").run([TEXT], {"top_k": None})
    same(unset(answer), output)


def test_the_client_raises_what_it_was_refused_with(served: TinyServer) -> None:
    with pytest.raises(HfHubHTTPError, match="not image data in a supported format") as refused:
        InferenceClient(served.of("image-classification")).image_classification(b"hello")
    assert refused.value.response.status_code == 422
    with pytest.raises(HfHubHTTPError) as unknown:
        InferenceClient(served.of("nobody")).fill_mask(TEXT)
    assert unknown.value.response.json()["error"].startswith("no model named 'nobody' is served")
    writer = InferenceClient(served.of("text-generation"))
    with pytest.raises(ValidationError, match="parameters/watermark: only false is supported"):
        writer.text_generation(TEXT, watermark=True)


def test_the_client_reads_what_a_model_is(served: TinyServer) -> None:
    client = InferenceClient(served.of("org/pooled"), provider="hf-inference")
    assert client.get_endpoint_info()["model_pipeline_tag"] == "feature-extraction"
    assert client.health_check() is False, "no worker has reported"
