"""OpenAI's client with files and batches: each line's answer is that of the same call made alone."""

import asyncio
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import torch

from cli.batch import command
from tests.clients.process import ClientProcess, ClientRaised
from tests.clients.test_openai import CHAT, TEXTS, vectors, written


def requests(endpoint: str, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"custom_id": f"line-{i}", "method": "POST", "url": endpoint, "body": body}
        for i, body in enumerate(bodies)
    ]


async def test_files(url: str, clients: ClientProcess) -> None:
    lines = requests("/v1/embeddings", {"model": "org/embedder", "input": "late"})
    made = [await clients.call("openai_batches:upload", url=url, lines=lines) for _ in range(3)]
    ids = [file["id"] for file in made]
    assert (made[0]["object"], made[0]["purpose"], made[0]["filename"]) == ("file", "batch", "lines.jsonl")
    assert await clients.call("openai_batches:retrieved", url=url, file=ids[0]) == made[0]
    assert len(await clients.call("openai_batches:content", url=url, file=ids[0])) == made[0]["bytes"]
    listed = await clients.call("openai_batches:files", url=url, limit=1, purpose="batch", order="desc")
    assert listed[:3] == ids[::-1], "the client follows the pages"
    gone = await clients.call("openai_batches:deleted", url=url, file=ids[0])
    assert (gone["id"], gone["deleted"]) == (ids[0], True)
    for call in ("retrieved", "content", "deleted"):
        with pytest.raises(ClientRaised) as raised:
            await clients.call(f"openai_batches:{call}", url=url, file=ids[0])
        assert (raised.value.kind, raised.value.status) == ("NotFoundError", 404)


async def test_a_batch_of_embeddings(url: str, clients: ClientProcess, folder: Path) -> None:
    bodies: list[dict[str, Any]] = [{"model": "org/embedder", "input": text} for text in TEXTS]
    bodies.append({"model": "org/embedder", "input": ""})
    lines = requests("/v1/embeddings", *bodies)
    metadata = {"night": "monday"}
    found = await clients.call(
        "openai_batches:run", url=url, lines=lines, endpoint="/v1/embeddings", metadata=metadata
    )
    batch = found["batch"]
    assert (batch["object"], batch["status"], batch["metadata"]) == ("batch", "completed", metadata)
    assert batch["request_counts"] == {"total": 5, "completed": 4, "failed": 1}
    assert batch["completed_at"] >= batch["in_progress_at"] >= batch["created_at"]
    assert sorted(found["outputs"]) == [f"line-{i}" for i in range(4)]
    answers = [found["outputs"][f"line-{i}"] for i in range(4)]
    assert all((each["error"], each["response"]["status_code"]) == (None, 200) for each in answers)
    embeddings = torch.tensor([each["response"]["body"]["data"][0]["embedding"] for each in answers])
    torch.testing.assert_close(embeddings, vectors(folder, TEXTS), atol=1e-5, rtol=0)
    assert list(found["errors"]) == ["line-4"]
    response = found["errors"]["line-4"]["response"]
    assert response["status_code"] == 400
    assert "the text is empty" in response["body"]["error"]["message"]


async def test_a_batch_of_moderations_and_one_of_jobs(url: str, clients: ClientProcess) -> None:
    """The same model by OpenAI's call and by our own."""
    lines = requests("/v1/moderations", *({"model": "moods", "input": text} for text in TEXTS))
    found = await clients.call("openai_batches:run", url=url, lines=lines, endpoint="/v1/moderations")
    jobs = requests("/v1/jobs", *({"model": "moods", "inputs": [text]} for text in TEXTS))
    ours = await clients.call("openai_batches:run", url=url, lines=jobs, endpoint="/v1/jobs")
    assert len(found["outputs"]) == len(ours["outputs"]) == len(TEXTS)
    for i, text in enumerate(TEXTS):
        alone = await clients.call("openai_sdk:moderate", url=url, model="moods", input=text)
        [result] = found["outputs"][f"line-{i}"]["response"]["body"]["results"]
        [job] = ours["outputs"][f"line-{i}"]["response"]["body"]["results"]
        best = job["output"]
        expected = alone["results"][0]
        assert result["flagged"] == expected["flagged"]
        assert result["category_scores"][best["label"]] == pytest.approx(best["score"], abs=1e-5)
        assert expected["category_scores"][best["label"]] == pytest.approx(best["score"], abs=1e-5)


async def test_a_batch_of_chats(url: str, clients: ClientProcess, folder: Path) -> None:
    body = {"model": "writer", "messages": CHAT, "max_completion_tokens": 12, "temperature": 0}
    lines = requests("/v1/chat/completions", body, body | {"max_completion_tokens": 3})
    found = await clients.call("openai_batches:run", url=url, lines=lines, endpoint="/v1/chat/completions")
    prompt = "system : good . user : was the parcel late ? . anna : "
    for i, tokens in enumerate((12, 3)):
        completion = found["outputs"][f"line-{i}"]["response"]["body"]
        assert completion["object"] == "chat.completion"
        assert completion["choices"][0]["message"]["content"] == written(folder, prompt, tokens)
        assert completion["usage"]["completion_tokens"] == tokens


async def test_a_bad_file_fails_the_batch(url: str, clients: ClientProcess) -> None:
    lines = requests("/v1/embeddings", *({"model": "org/embedder", "input": "late"} for _ in range(2)))
    lines[1]["custom_id"] = lines[0]["custom_id"]
    found = await clients.call("openai_batches:run", url=url, lines=lines, endpoint="/v1/embeddings")
    assert (found["batch"]["status"], found["outputs"]) == ("failed", {})
    [error] = found["batch"]["errors"]["data"]
    assert (error["code"], error["line"]) == ("duplicate_custom_id", 2)


async def test_our_command_runs_a_table(url: str, tmp_path: Path, folder: Path) -> None:
    """`batchline batch run`: the rows in their order, with vectors as a column, in two batches."""
    given, out = tmp_path / "in.csv", tmp_path / "out.parquet"
    given.write_text("text\n" + "".join(f"{text}\n" for text in [*TEXTS, '""']))
    how = ["--model", "org/embedder", "--endpoint", "/v1/embeddings", "--batch-lines", "3", "--url", url]
    status = await asyncio.to_thread(command.main, ["run", str(given), "-o", str(out), *how])
    assert status == command.SOME_FAILED
    rows = pyarrow.parquet.read_table(out).to_pylist()
    assert [row["text"] for row in rows] == [*TEXTS, ""]
    embeddings = torch.tensor([row["output"] for row in rows[:4]])
    torch.testing.assert_close(embeddings, vectors(folder, TEXTS), atol=1e-5, rtol=0)
    assert (rows[4]["output"], "the text is empty" in rows[4]["error"]) == (None, True)


async def test_batches_are_listed_and_cancelled(url: str, clients: ClientProcess) -> None:
    body = {"model": "writer", "messages": CHAT, "max_tokens": 200, "temperature": 0}
    # so many that none ends before it is cancelled
    lines = requests("/v1/chat/completions", *(body for _ in range(1_000)))
    file = (await clients.call("openai_batches:upload", url=url, lines=lines))["id"]
    asked = {"url": url, "file": file, "endpoint": "/v1/chat/completions"}
    made = [(await clients.call("openai_batches:create", **asked))["id"] for _ in range(3)]
    assert (await clients.call("openai_batches:batches", url=url, limit=2))[:3] == made[::-1]
    for batch in made:
        assert (await clients.call("openai_batches:cancel", url=url, batch=batch))["status"] in (
            "cancelling",
            "cancelled",
        )
    for batch in made:
        found = await clients.call("openai_batches:ended", url=url, batch=batch)
        assert found["status"] == "cancelled"
        output = found["output_file_id"]  # the lines that were known; one worker may have been fast
        kept = await clients.call("openai_batches:content", url=url, file=output) if output else ""
        assert len(kept.splitlines()) == found["request_counts"]["completed"]
    with pytest.raises(ClientRaised) as raised:
        await clients.call("openai_batches:ended", url=url, batch="batch_nix")
    assert raised.value.status == 404
