"""Lines become jobs and jobs become rows: merging, answers, errors."""

import base64
from functools import partial
from typing import Any

import pytest

from jobs.errors import (
    JobGone,
    JobNotFound,
    UnknownModel,
)
from jobs.ledger import keys
from jobs.owners import Sender
from jobs.problem_kinds import failure
from tests.bulk.runner.lines.conftest import Running, batch, envelope_of, inputs_of, line, rows
from tests.ledger import ending, with_files
from tests.waiting import until

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\0\0\1\0\0\0\1").decode()

GLAD = {"output": [{"label": "GLAD", "score": 0.75}]}


def always(result: dict[str, Any], _: str) -> dict[str, Any]:
    return result


def vector(text: str) -> dict[str, Any]:
    return {"output": [float(len(text)), 0.5]}


async def test_lines_with_equal_parameters_share_a_job_and_each_gets_its_own_answer(
    running: Running,
) -> None:
    texts = {1: "a", 2: ["bb", "ccc"], 3: "dddd"}
    lines = [line(number, {"model": "vectors", "input": text}) for number, text in texts.items()]
    lines.append(line(4, {"model": "vectors", "input": "e", "encoding_format": "base64"}))
    found, jobs = await running.ran(batch("/v1/embeddings"), lines, "vectors", vector)
    assert sorted(jobs) == [["a", "bb", "ccc", "dddd"], ["e"]]
    assert not found.errors
    assert not found.left
    output = rows(found.output)
    assert output["line-1"]["id"] == "batch_req_1_1"
    assert output["line-1"]["error"] is None
    assert output["line-1"]["response"]["status_code"] == 200
    assert output["line-1"]["response"]["request_id"] in found.jobs
    bodies = {name: row["response"]["body"] for name, row in output.items()}
    assert [each["embedding"][0] for each in bodies["line-2"]["data"]] == [2.0, 3.0]
    assert [each["index"] for each in bodies["line-2"]["data"]] == [0, 1]
    assert bodies["line-3"]["data"][0]["embedding"] == [4.0, 0.5]
    await running.lines.release(found.jobs)
    for job_id in found.jobs:
        with pytest.raises((JobGone, JobNotFound)):
            await running.queue.read(job_id)


async def test_the_jobs_are_the_senders_at_low_priority_and_live_for_a_day(running: Running) -> None:
    sender = Sender("alice", weight=2.0)
    begun = running.begin(batch("/v1/jobs", sender=sender), [line(1, {"model": "moods", "inputs": "a"})])
    [claimed] = await running.claim_some("labels")
    envelope = envelope_of(claimed)
    assert (envelope["owner"], envelope["weight"], envelope["priority"]) == ("alice", 2.0, "low")
    assert (envelope["result_ttl"], envelope["group"]) == (86_400.0, "batch_1")
    await running.work(claimed, "labels", lambda _: GLAD)
    assert len((await begun).output) == 1


@pytest.mark.parametrize(
    ("url", "body", "status", "message"),
    [
        ("/v1/embeddings", {"input": "a"}, 400, "a line of a batch needs one"),
        ("/v1/embeddings", {"model": None, "input": "a"}, 400, "a line of a batch needs one"),
        ("/v1/embeddings", {"model": "vectors"}, 400, "input is missing"),
        ("/v1/embeddings", {"model": "vectors", "input": [1, 2]}, 400, "takes texts and no token ids"),
        ("/v1/embeddings", {"model": "gone", "input": "a"}, 404, "no model named 'gone'"),
        ("/v1/embeddings", {"model": "labels", "input": "a"}, 400, "this call needs feature-extraction"),
        ("/v1/embeddings", b'{"model": "vectors", "input": "a', 400, "not valid JSON"),
        ("/v1/embeddings", b'{"model": "vectors", "input": "\xff"}', 400, "not valid JSON"),
        ("/v1/embeddings", b"[" * 100_000, 400, "the body"),
        ("/v1/embeddings", [], 400, "the body: give an object"),
        (
            "/v1/chat/completions",
            {"model": "writer", "messages": [{"role": "user", "content": "a"}], "stream": True},
            400,
            "cannot be answered with a stream",
        ),
        ("/v1/completions", {"model": "writer", "prompt": "a", "n": 2, "seed": 1}, 400, "seed"),
        ("/v1/moderations", {"model": "labels", "input": []}, 400, "at least one input"),
        ("/v1/rerank", {"model": "ranker", "query": "a"}, 422, "documents is missing"),
        (
            "/v1/rerank",
            {"model": "ranker", "query": "a" * 90_000, "documents": ["b"] * 100},
            413,
            "characters",
        ),
        ("/v1/jobs", {"inputs": []}, 422, "at least one input"),
        ("/v1/jobs", {"inputs": "a", "expires_in": 5}, 422, "expires_in: a line of a batch cannot have this"),
        ("/v1/jobs", {"inputs": "a", "webhook": {"url": "https://a.b"}}, 422, "webhook: a line of a batch"),
        ("/v1/jobs", {"inputs": "a", "keep_inputs": True}, 422, "keep_inputs: a line of a batch cannot"),
        ("/v1/jobs", {"inputs": "a", "stream": True}, 422, "cannot be answered with a stream"),
        ("/v1/jobs", {"model": "pictures", "inputs": "no picture"}, 422, "not base64"),
        ("/v1/jobs", {"model": "pictures", "inputs": "http://a.example/a.png"}, 422, "fetches no links"),
    ],
)
async def test_a_bad_line_gets_a_row_with_the_error_of_its_interface(
    running: Running, url: str, body: Any, status: int, message: str
) -> None:
    found = await running.begin(batch(url), [line(7, body)])
    assert not found.output
    row = rows(found.errors)["line-7"]
    assert row["error"] is None
    assert row["response"]["status_code"] == status
    assert row["response"]["request_id"]
    answered = row["response"]["body"]
    error = answered.get("error", answered)
    assert message in error["message"], error


async def test_the_other_lines_of_a_bad_one_are_answered(running: Running) -> None:
    lines = [line(1, {"inputs": "a"}), line(2, {"inputs": 5}), line(3, {"inputs": ["b", "bad", "c"]})]
    lines.append(line(4, {"inputs": ["bad", "bad"]}))

    def work(text: str) -> dict[str, Any]:
        return {"error": failure("input-failed", "it is bad")} if text == "bad" else GLAD

    found, jobs = await running.ran(batch("/v1/jobs"), lines, "labels", work)
    assert jobs == [["a", "b", "bad", "c", "bad", "bad"]]
    output, errors = rows(found.output), rows(found.errors)
    assert output.keys() == {"line-1", "line-3"}
    assert errors.keys() == {"line-2", "line-4"}
    body = output["line-3"]["response"]["body"]
    assert body["counts"] == {"total": 3, "succeeded": 2, "failed": 1, "tokens": None}
    assert [list(result) for result in body["results"]] == [["output"], ["error"], ["output"]]
    assert errors["line-4"]["response"]["status_code"] == 422
    assert errors["line-4"]["response"]["body"]["detail"] == "it is bad"
    assert len(errors["line-4"]["response"]["body"]["results"]) == 2


async def test_a_failed_input_gives_its_line_the_status_of_the_synchronous_call(running: Running) -> None:
    lines = [line(n, {"model": "vectors", "input": text}) for n, text in enumerate(("a", "bad", "dies"), 1)]
    kinds = {"bad": "input-failed", "dies": "engine-died"}

    def work(text: str) -> dict[str, Any]:
        return {"error": failure(kinds[text], "because")} if text in kinds else vector(text)

    found, _ = await running.ran(batch("/v1/embeddings"), lines, "vectors", work)
    assert rows(found.output).keys() == {"line-1"}
    errors = rows(found.errors)
    assert errors["line-2"]["response"]["status_code"] == 400
    assert errors["line-2"]["response"]["body"]["error"]["message"] == "because"
    assert errors["line-3"]["response"]["status_code"] == 500
    assert errors["line-3"]["response"]["body"]["error"]["code"] == "job_failed"


@pytest.mark.parametrize("kind", ["job-given-up", "attempts-exhausted", "result-too-large"])
async def test_of_a_job_that_fails_as_a_whole_only_the_guilty_line_fails(running: Running, kind: str) -> None:
    lines = [line(number, {"inputs": "poison" if number == 11 else f"t{number}"}) for number in range(16)]
    begun = running.begin(batch("/v1/jobs"), lines)
    sizes = []

    async def step() -> bool:
        if not begun.done():
            for claimed in await running.claimed("labels"):
                inputs = inputs_of(claimed)
                sizes.append(len(inputs))
                result = {"error": failure(kind, "given up")} if "poison" in inputs else GLAD
                await running.work(claimed, "labels", partial(always, result))
        return begun.done()

    await until(step)
    found = await begun
    assert rows(found.errors).keys() == {"line-11"}
    assert rows(found.errors)["line-11"]["response"]["status_code"] == 500
    assert rows(found.output).keys() == {f"line-{number}" for number in range(16)} - {"line-11"}
    assert sorted(sizes) == [1, 1, 2, 2, 4, 4, 8, 8, 16]


async def test_a_job_that_somebody_cancels_fails_its_lines(running: Running) -> None:
    begun = running.begin(batch("/v1/embeddings"), [line(1, {"model": "vectors", "input": "a"})])
    [claimed] = await running.claim_some("vectors")
    await running.queue.cancel(claimed.id)
    row = rows((await begun).errors)["line-1"]
    assert row["response"]["status_code"] == 410
    assert "was cancelled" in row["response"]["body"]["error"]["message"]


async def test_files_of_outputs_are_in_the_rows(running: Running) -> None:
    begun = running.begin(batch("/v1/jobs"), [line(1, {"model": "masks", "inputs": PNG})])
    [claimed] = await running.claim_some("masks")
    await running.queue.store([(claimed, "0-0.png", b"a mask")])
    url = f"/v1/jobs/{claimed.id}/files/0-0.png"
    mask: dict[str, Any] = {"label": "x", "mask": {"url": url, "content_type": "image/png", "bytes": 6}}
    await running.queue.finish("masks", [with_files(ending(claimed, [{"output": [mask]}], "masks"))])
    found = await begun
    [result] = rows(found.output)["line-1"]["response"]["body"]["results"]
    assert result["output"][0]["mask"] == mask["mask"] | {"url": "data:image/png;base64,YSBtYXNr"}
    await running.lines.release(found.jobs)
    assert not await running.queue.redis.exists(await running.queue.key(keys.FILES, claimed.id))


async def test_the_model_of_a_line(running: Running) -> None:
    lines = running.lines
    assert lines.model("/v1/embeddings", b'{"model": "vectors"}', frozenset()).name == "vectors"
    assert lines.model("/v1/jobs", b"{}", frozenset()).name == "labels"
    assert lines.model("/v1/jobs", b'{"model": "moods"}', frozenset({"labels"})).name == "labels"
    with pytest.raises(UnknownModel):
        lines.model("/v1/embeddings", b'{"model": "vectors"}', frozenset({"labels"}))
