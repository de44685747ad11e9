"""OpenAI's client and what is built on it: their answers are those of the pipelines run directly."""

import asyncio
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.clients import models, process
from tests.clients.process import ClientProcess, ClientRaised
from tests.worker.engine.pipelines.conftest import plain_pipeline

TEXTS = ["the bridge was closed", "anna wrote a letter", "late", "we met in paris in the evening . good ?"]
CHAT = [{"role": "system", "content": "good"}, {"role": "user", "content": "was the parcel late ?"}]


def vectors(folder: Path, texts: list[str], dimensions: int | None = None) -> torch.Tensor:
    """The normalised means of the tokens' vectors, as the model's defaults say."""
    pipeline = plain_pipeline(models.source(folder, "org/embedder"), "feature-extraction")
    means = torch.tensor([torch.tensor(pipeline(text)[0]).mean(dim=0).tolist() for text in texts])
    return torch.nn.functional.normalize(means[:, :dimensions], dim=-1)


def written(folder: Path, prompt: Any, tokens: int, **options: Any) -> str:
    """The continuation of a prompt, or the answer in a chat."""
    pipeline = plain_pipeline(models.source(folder, "writer"), "text-generation")
    options = {"max_new_tokens": tokens, "do_sample": False, **options}
    found = pipeline(prompt, return_full_text=False, **options)[0]["generated_text"]
    assert isinstance(found, str)
    return found


async def test_models_are_listed_and_retrieved(url: str, clients: ClientProcess) -> None:
    assert await clients.call("openai_sdk:models", url=url) == list(models.MODELS)
    found = await clients.call("openai_sdk:model", url=url, name="org/embedder")
    assert (found["id"], found["object"], found["owned_by"]) == ("org/embedder", "model", "batchline")
    with pytest.raises(ClientRaised, match="no model named 'org/gone' is served") as raised:
        await clients.call("openai_sdk:model", url=url, name="org/gone")
    assert (raised.value.kind, raised.value.status) == ("NotFoundError", 404)


@pytest.mark.parametrize("encoding", [None, "float", "base64"])
async def test_embeddings(url: str, clients: ClientProcess, folder: Path, encoding: str | None) -> None:
    """The client asks for base64 unless it is told otherwise, and decodes it."""
    how = {"encoding_format": encoding} if encoding else {}
    found = await clients.call("openai_sdk:embed", url=url, model="org/embedder", input=TEXTS, **how)
    assert [each["index"] for each in found["data"]] == [0, 1, 2, 3]
    embeddings = [each["embedding"] for each in found["data"]]
    if encoding == "base64":  # then it leaves the decoding to its user
        assert all(isinstance(each, str) for each in embeddings)
        return
    torch.testing.assert_close(torch.tensor(embeddings), vectors(folder, TEXTS), atol=1e-5, rtol=0)
    tokens = plain_pipeline(models.source(folder, "org/embedder"), "feature-extraction").tokenizer
    count = sum(len(tokens(text)["input_ids"]) for text in TEXTS)
    assert found["usage"] == {"prompt_tokens": count, "total_tokens": count}
    assert found["job"]


async def test_one_by_one_equals_a_list(url: str, clients: ClientProcess) -> None:
    together = await clients.call("openai_sdk:embed", url=url, model="org/embedder", input=TEXTS)
    alone = await clients.call("openai_sdk:embed_at_once", url=url, model="org/embedder", texts=TEXTS)
    listed = [each["embedding"] for each in together["data"]]
    torch.testing.assert_close(torch.tensor(alone), torch.tensor(listed), atol=1e-5, rtol=0)


async def test_2048_texts(url: str, clients: ClientProcess) -> None:
    texts = [TEXTS[i % 4] for i in range(2_048)]
    found = await clients.call("openai_sdk:embed", url=url, model="org/embedder", input=texts)
    embeddings = torch.tensor([each["embedding"] for each in found["data"]])
    torch.testing.assert_close(embeddings, embeddings[:4].repeat(512, 1), atol=1e-5, rtol=0)


async def test_dimensions(url: str, clients: ClientProcess, folder: Path) -> None:
    found = await clients.call(
        "openai_sdk:embed", url=url, model="org/embedder", input=TEXTS[0], dimensions=8
    )
    [embedding] = [each["embedding"] for each in found["data"]]
    expected = vectors(folder, TEXTS[:1], 8)
    torch.testing.assert_close(torch.tensor([embedding]), expected, atol=1e-5, rtol=0)
    with pytest.raises(ClientRaised, match="can have 8 or 16 numbers") as raised:
        await clients.call("openai_sdk:embed", url=url, model="org/embedder", input="a", dimensions=9)
    assert (raised.value.kind, raised.value.status) == ("BadRequestError", 400)
    assert raised.value.body["param"] == "dimensions"


async def test_token_ids_are_refused_with_the_remedy(url: str, clients: ClientProcess) -> None:
    with pytest.raises(ClientRaised, match="check_embedding_ctx_length=False"):
        await clients.call("openai_sdk:embed", url=url, model="org/embedder", input=[[1, 2]])


async def test_an_input_without_words_is_the_clients_mistake(url: str, clients: ClientProcess) -> None:
    with pytest.raises(ClientRaised, match="input 1: the text is empty") as raised:
        await clients.call("openai_sdk:embed", url=url, model="org/embedder", input=["a", ""])
    assert raised.value.status == 400


async def test_moderations(url: str, clients: ClientProcess, folder: Path) -> None:
    found = await clients.call("openai_sdk:moderate", url=url, model="moods", input=TEXTS[:2])
    pipeline = plain_pipeline(models.source(folder, "moods"), "text-classification")
    for text, result in zip(TEXTS, found["results"], strict=False):
        scores = {label["label"]: label["score"] for label in pipeline(text, top_k=None)}
        for label, score in scores.items():  # beside those of OpenAI's own model, which are null
            assert result["category_scores"][label] == pytest.approx(score, abs=1e-5)
            assert result["categories"][label] == (score >= 0.5)
        assert result["flagged"] == (scores["LABEL_2"] >= 0.5)


async def test_chats(url: str, clients: ClientProcess, folder: Path) -> None:
    request = {"model": "writer", "messages": CHAT, "max_completion_tokens": 12, "temperature": 0}
    found = await clients.call("openai_sdk:chat", url=url, **request)
    [choice] = found["choices"]
    prompt = "system : good . user : was the parcel late ? . anna : "
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"] == written(folder, prompt, 12)
    assert choice["finish_reason"] == "length"
    usage = found["usage"]
    tokenizer = plain_pipeline(models.source(folder, "writer"), "text-generation").tokenizer
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (len(tokenizer(prompt)["input_ids"]), 12)
    assert usage["total_tokens"] == usage["prompt_tokens"] + 12
    assert found["object"] == "chat.completion"


async def test_a_seed_repeats_a_sampled_chat_and_n_gives_others(url: str, clients: ClientProcess) -> None:
    request = {"model": "writer", "messages": CHAT, "max_tokens": 12, "temperature": 2.0, "top_p": 0.9}
    first, second = [
        (await clients.call("openai_sdk:chat", url=url, seed=-7, **request))["choices"] for _ in range(2)
    ]
    assert first == second
    several = await clients.call("openai_sdk:chat", url=url, n=4, **request)
    assert [choice["index"] for choice in several["choices"]] == [0, 1, 2, 3]
    assert len({choice["message"]["content"] for choice in several["choices"]}) > 1
    one = await clients.call("openai_sdk:chat", url=url, **request)
    assert several["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]
    assert several["usage"]["completion_tokens"] == 48


async def test_completions_of_several_prompts_and_a_stop(
    url: str, clients: ClientProcess, folder: Path
) -> None:
    request = {"model": "writer", "prompt": TEXTS[:2], "max_tokens": 12, "temperature": 0}
    found = await clients.call("openai_sdk:complete", url=url, **request)
    whole = [written(folder, text, 12) for text in TEXTS[:2]]
    assert [choice["text"] for choice in found["choices"]] == whole
    assert [choice["finish_reason"] for choice in found["choices"]] == ["length", "length"]
    stop = whole[0].split()[2]
    found = await clients.call("openai_sdk:complete", url=url, **request, stop=stop)
    assert found["choices"][0]["text"] == whole[0].partition(stop)[0]
    assert found["choices"][0]["finish_reason"] == "stop"
    usual = await clients.call("openai_sdk:complete", url=url, model="writer", prompt="the")
    assert usual["usage"]["completion_tokens"] == 16


async def test_what_cannot_be_done_is_refused(url: str, clients: ClientProcess) -> None:
    with pytest.raises(ClientRaised, match="logprobs: this setting is not supported") as raised:
        await clients.call("openai_sdk:chat", url=url, model="writer", messages=CHAT, logprobs=True)
    assert (raised.value.kind, raised.value.status) == ("BadRequestError", 400)
    assert raised.value.body["param"] == "logprobs"


async def test_langchain(url: str, clients: ClientProcess) -> None:
    how: dict[str, Any] = {"url": url, "model": "org/embedder"}
    found = await clients.call("langchain:embed", texts=TEXTS, check_embedding_ctx_length=False, **how)
    query = await clients.call("langchain:embed_query", text=TEXTS[1], **how)
    plain = await clients.call("openai_sdk:embed", input=TEXTS, **how)
    expected = torch.tensor([each["embedding"] for each in plain["data"]])
    torch.testing.assert_close(torch.tensor([*found, query]), expected[[0, 1, 2, 3, 1]], atol=1e-5, rtol=0)

    how = {"url": url, "model": "writer", "text": TEXTS[0], "max_tokens": 12, "temperature": 0}
    whole = await clients.call("langchain:chat", **how)
    assert whole["usage"]["output_tokens"] == 12
    assert "".join(await clients.call("langchain:stream_chat", **how)) == whole["text"]


async def test_litellm(url: str, clients: ClientProcess) -> None:
    how: dict[str, Any] = {"url": url, "model": "org/embedder"}
    found = await clients.call("lite:embed", texts=TEXTS, **how)
    plain = await clients.call("openai_sdk:embed", input=TEXTS, **how)
    expected = torch.tensor([each["embedding"] for each in plain["data"]])
    torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=0)

    how = {"url": url, "model": "writer", "max_tokens": 12, "temperature": 0}
    messages = [{"role": "user", "content": TEXTS[0]}]
    whole = (await clients.call("openai_sdk:chat", messages=messages, **how))["choices"][0]["message"]
    assert await clients.call("lite:chat", text=TEXTS[0], **how) == whole["content"]
    assert await clients.call("lite:stream_chat", text=TEXTS[0], **how) == whole["content"]
    with pytest.raises(ClientRaised, match="no model named 'gone' is served") as raised:
        await clients.call("lite:unknown_model", url=url)
    assert raised.value.kind == "NotFoundError"


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
async def test_the_examples_of_the_documentation_work(url: str, clients: ClientProcess) -> None:
    page = (process.ROOT / "docs" / "openai.md").read_text(encoding="utf-8")
    for ours, theirs in (("minilm", "org/embedder"), ("toxic", "moods"), ("http://localhost:8000", url)):
        page = page.replace(ours, theirs)
    page = page.replace("localhost:8000", url.removeprefix("http://"))
    [python], [shell] = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("python", "sh"))
    printed = await ran(str(process.ENVIRONMENT / "bin" / "python"), "-c", python)
    assert re.match(r"\[-?\d\.\d+, .*\] \d+\n", printed)
    assert len(printed.partition("\n")[2].split()) > 10
    lines = (await ran("bash", "-c", shell.replace("\n", "; echo\n"))).splitlines()
    answers = [json.loads(line) for line in lines]
    assert [sorted(answer) for answer in answers] == [
        ["data", "model", "object", "usage"],
        ["id", "model", "results"],
    ]


async def ran(*command: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout
