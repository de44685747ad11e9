"""Chats become prompts by the model's template; with `details` an output says why and how long it is."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline
from tests.worker.engine.pipelines.text.continuous.rolling import roll

TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'assistant' %}{{ raise_exception('no turns') }}"
    "{% endif %}{{ message.role }} : {{ message.content }} . {% endfor %}"
    "{% if add_generation_prompt %}anna : {% endif %}"
)
CHAT = {"messages": [{"role": "system", "content": "good"}, {"role": "user", "content": "late ?"}]}
PROMPT = "system : good . user : late ? . anna : "
GREEDY: dict[str, Any] = {"do_sample": False, "max_new_tokens": 12, "return_full_text": False}


@pytest.fixture(scope="module")
def chatty(model_folder: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chatty") / "model"
    shutil.copytree(model_folder("text-generation-that-ends"), folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def pipeline(chatty: Path) -> Any:
    return load(chatty, "text-generation")


def test_a_chat_is_answered_as_transformers_does(pipeline: Any, chatty: Path) -> None:
    plain = plain_pipeline(chatty, "text-generation")
    [whole] = plain(CHAT["messages"], do_sample=False, max_new_tokens=12)
    expected = whole["generated_text"][-1]["content"]
    inputs = [CHAT, PROMPT, "the bridge"]
    outputs = pipeline.run(inputs, GREEDY)
    assert [outputs[0][0]["generated_text"], outputs[1][0]["generated_text"]] == [expected] * 2
    rows = roll(pipeline, [(one, GREEDY) for one in inputs])
    assert [row.output for row in rows] == outputs
    assert ["".join(row.parts) for row in rows] == [output[0]["generated_text"] for output in outputs]
    without = {**GREEDY, "return_full_text": True}
    assert pipeline.run([CHAT], without) == [outputs[0]], "the chat itself is not repeated"


@pytest.mark.parametrize("way", ["batch", "rows"])
def test_details(pipeline: Any, way: str) -> None:
    texts = ["the bridge", "good", "anna wrote a letter to the town and", CHAT]

    def run(**more: Any) -> list[dict[str, Any]]:
        parameters = {**GREEDY, "details": True, **more}
        outputs = pipeline.run(texts, parameters)
        if way == "rows":
            outputs = [row.output for row in roll(pipeline, [(text, parameters) for text in texts])]
        return [output[0] for output in outputs]

    plain = pipeline.run(texts, GREEDY)
    found = run()
    assert [{"generated_text": each["generated_text"]} for each in found] == [each for [each] in plain]
    tokenizer = pipeline.tokenizer
    for text, output in zip([*texts[:3], PROMPT], found, strict=True):
        details = output["details"]
        assert details["prompt_tokens"] == len(tokenizer(text)["input_ids"])
        assert (details["generated_tokens"] == 12) or details["finish_reason"] == "eos_token"
    reasons = {each["details"]["finish_reason"] for each in found}
    assert "eos_token" in reasons
    assert run(max_new_tokens=1)[0]["details"]["generated_tokens"] == 1
    word = next(each["generated_text"].split()[0] for each in found if each["generated_text"].split())
    stopped = [each for each in run(stop=[word]) if each["details"]["finish_reason"] == "stop_sequence"]
    assert stopped
    assert all(word not in each["generated_text"] for each in stopped)


def test_a_stopped_text_has_as_many_tokens_in_a_batch_as_alone(pipeline: Any) -> None:
    """In a batch the padding of the others' steps follows it."""
    texts = ["the bridge", "good", "anna wrote a letter to the town and", CHAT]
    words = {word for [output] in pipeline.run(texts, GREEDY) for word in output["generated_text"].split()}
    for word in words:
        parameters = {**GREEDY, "details": True, "stop": [word]}
        alone = [pipeline.run([text], parameters)[0] for text in texts]
        assert pipeline.run(texts, parameters) == alone
        assert [row.output for row in roll(pipeline, [(text, parameters) for text in texts])] == alone


def test_a_template_may_refuse_and_a_model_may_have_none(pipeline: Any, model_folder: ModelFolder) -> None:
    turns = {"messages": [*CHAT["messages"], {"role": "assistant", "content": "good"}]}
    with pytest.raises(InvalidRequest, match="chat template refuses the messages: no turns"):
        pipeline.run([turns], GREEDY)
    with pytest.raises(InvalidRequest, match="no chat template, so it takes no messages; send a text"):
        load(model_folder("text-generation-that-ends"), "text-generation").run([CHAT], GREEDY)
