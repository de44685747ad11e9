"""POST /v1/moderations: labels as categories, and which of them flag a text."""

from typing import Any

import httpx
import pytest

from api.dialects.openai.moderations import flags
from jobs.ledger import views
from jobs.ledger.wire import decode_payload
from tests.api.dialects.answering import asked
from tests.ledger import JobQueue

PATH = "/v1/moderations"


def labels(**scores: float) -> dict[str, Any]:
    return {"output": [{"label": label, "score": score} for label, score in scores.items()]}


async def test_labels_are_categories(client: httpx.AsyncClient, queue: JobQueue) -> None:
    results = [labels(toxic=0.9, neutral=0.1), labels(neutral=0.6, toxic=0.4)]
    answer, claimed = await asked(client, queue, PATH, {"input": ["a", "b"]}, results, "toxic")
    assert decode_payload(claimed.payload).k["parameters"] == {"top_k": None}
    found = answer.json()
    assert (found["id"], found["model"]) == (f"modr-{claimed.id}", "toxic")
    first, second = found["results"]
    assert first == {
        "flagged": True,
        "categories": {"toxic": True, "neutral": False},
        "category_scores": {"toxic": 0.9, "neutral": 0.1},
        "category_applied_input_types": {"toxic": ["text"], "neutral": ["text"]},
    }
    assert (second["flagged"], second["categories"]) == (False, {"neutral": True, "toxic": False})


async def test_a_model_says_which_labels_flag(client: httpx.AsyncClient, queue: JobQueue) -> None:
    body = {"model": "mood", "input": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    answer, claimed = await asked(client, queue, PATH, body, [labels(odd=0.9, bad=0.2)], "mood")
    assert views.inputs_of(claimed.payload).inputs == ["a\nb"]
    assert answer.json()["results"][0]["flagged"] is False
    answer, _ = await asked(client, queue, PATH, body, [labels(bad=0.5)], "mood")
    assert answer.json()["results"][0]["flagged"] is True


@pytest.mark.parametrize(
    ("label", "flagging"),
    [("toxic", True), ("LABEL_1", True), ("Neutral", False), ("NOT_TOXIC", False), ("non-hate", False)],
)
def test_labels_with_a_harmless_name_do_not_flag(label: str, flagging: bool) -> None:
    assert flags(label, None) is flagging
    assert flags(label, (label,)) is True
    assert flags(label, ()) is False


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": [{"type": "image_url", "image_url": {"url": "x"}}]}, "no images"),
        ({"input": []}, "give at least one input"),
        ({"input": 5}, "give a text or a list of texts"),
        (
            {"input": "a", "model": "writer"},
            "this call needs text-classification",
        ),
    ],
)
async def test_what_is_refused(client: httpx.AsyncClient, body: Any, message: str) -> None:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


async def test_bytes_that_are_no_text_are_refused(client: httpx.AsyncClient) -> None:
    for content in (b'{"input": [{"type": "text", "text": "\xff"}]}', b'{"input": ["\xff"]}'):
        answer = await client.post(PATH, content=content, headers={"content-type": "application/json"})
        assert answer.status_code == 400
        assert "not valid JSON" in answer.json()["error"]["message"]


async def test_a_score_that_is_not_a_number_fails_the_job(client: httpx.AsyncClient, queue: JobQueue) -> None:
    results = [{"output": [{"label": "toxic", "score": None}]}]
    answer, claimed = await asked(client, queue, PATH, {"input": "a"}, results, "toxic")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "job_failed")
    assert answer.headers["x-batchline-job"] == claimed.id
