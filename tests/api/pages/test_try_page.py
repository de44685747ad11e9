"""Try it: a form for each model, one job per line, answers that fill in; with and without JavaScript."""

import shlex
from pathlib import Path

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from api.pages.parameter_fields import fields, parameters, worded
from api.pages.try_jobs import MOST_LINES
from jobs import tasks
from jobs.errors import InvalidRequest
from jobs.ledger.ids import created_ms, in_a_row, new_id
from jobs.models import ModelSpec
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.markup import Element, parsed
from tests.conftest import written
from tests.ledger import JobQueue, run_one

HERE = {"sec-fetch-site": "same-origin"}
HTMX = HERE | {"hx-request": "true"}


def rows(page: Element) -> list[str]:
    return [row.text for row in page.one(class_="answers").one("tbody").all("tr")]


async def test_one_input_without_javascript_ends_at_its_jobs_page(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    form = {"model": "sentiment", "text": "Fine\r\nfilm", "p.top_k": "2"}
    answer = await client.post("/submit", data=form, headers=HERE)
    assert answer.status_code == 303
    assert (await client.get(answer.headers["location"])).status_code == 200
    asked = await queue.asked(answer.headers["location"].removeprefix("/jobs/"))
    assert (list(asked.inputs), asked.parameters) == (["Fine\nfilm"], {"top_k": 2})


async def test_lines_fill_in_one_by_one(client: httpx.AsyncClient, queue: JobQueue) -> None:
    form = {"model": "sentiment", "mode": "lines", "text": "one\n\n two \r\nthree\n"}
    sent = await client.post("/submit", data=form, headers=HTMX)
    assert sent.status_code == 200
    page = parsed(sent.text)
    assert [row.split()[0] for row in rows(page)] == ["one", "two", "three"]
    refresh = page.one(id="lines")["hx-get"]
    words = shlex.split(page.one("pre", id="curl-submit").text)
    asked = msgspec.json.decode(words[words.index("-d") + 1])
    assert asked == {"model": "sentiment", "inputs": ["one", " two ", "three"]}

    for done in (1, 2, 3):
        await run_one(queue)
        answer = await client.get(refresh)
        assert answer.status_code == (286 if done == 3 else 200), "286 ends htmx's polling"
        page = parsed(answer.text)
        assert (page.one("progress")["value"], page.one("progress")["max"]) == (str(done), "3")
        assert ["POSITIVE" in row for row in rows(page)] == [True] * done + [False] * (3 - done)
    assert "hx-get" not in page.one(id="lines").attributes


async def test_lines_without_javascript_have_a_page_that_reloads(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    form = {"model": "sentiment", "mode": "lines", "text": "one\ntwo"}
    answer = await client.post("/submit", data=form, headers=HERE)
    assert answer.status_code == 303
    address = answer.headers["location"]
    page = parsed((await client.get(address)).text)
    assert page.one("noscript").one("meta", http_equiv="refresh")
    await run_one(queue, [{"error": {"detail": "no <b>good</b>"}}])
    await run_one(queue)
    page = parsed((await client.get(address)).text)
    assert page.all("noscript") == []
    assert "no <b>good</b>" in rows(page)[0]
    assert page.one(class_="progress").text == "2 of 2 done 1 without an answer"


def curl_line(page: Element) -> dict[str, object]:
    """What the page's curl line sends."""
    words = shlex.split("".join(map(str, page.one("pre", id="curl-submit").children)))
    sent: dict[str, object] = msgspec.json.decode(words[words.index("-d") + 1])
    return sent


async def test_the_curl_line_needs_no_javascript(client: httpx.AsyncClient, queue: JobQueue) -> None:
    page = parsed((await client.get("/try")).text)
    example = ["A wonderful film.", "A dull, badly acted mess."]
    assert curl_line(page) == {"model": "sentiment", "inputs": example}
    shapes = parsed((await client.get("/try?model=shapes")).text)
    assert curl_line(shapes) == {"model": "shapes", "inputs": {"feature": 1.5}}
    assert "#shell" in page.one(id="model")["hx-select-oob"], "another model brings its own line"
    broken = parsed((await client.post("/try", data={"model": "shapes", "text": "{"})).text)
    assert broken.all("pre") == [], "what stands there cannot be run"

    form = {"model": "sentiment", "mode": "lines", "text": "it's\ntwo", "p.top_k": "2"}
    address = (await client.post("/submit", data=form, headers=HERE)).headers["location"]
    asked = {"model": "sentiment", "inputs": ["it's", "two"], "parameters": {"top_k": 2}}
    assert curl_line(parsed((await client.get(address)).text)) == asked
    while await run_one(queue):
        pass
    assert curl_line(parsed((await client.get(address)).text)) == asked
    swapped = parsed((await client.post("/submit", data=form, headers=HTMX)).text)
    assert curl_line(swapped.one(id="shell", hx_swap_oob="true")) == asked


async def test_lines_that_the_queue_has_no_room_for_are_told(settings: Settings) -> None:
    small = settings.model_copy(update={"max_queued_jobs": 2})
    async with mounted(small) as (client, services):
        form = {"model": "sentiment", "mode": "lines", "text": "one\ntwo\nthree"}
        page = parsed((await client.post("/submit", data=form, headers=HTMX)).text)
        told = rows(page)
        assert sum("Not accepted" in row for row in told) == 1
        assert page.one("progress")["value"] == "1"
        full = await client.post("/submit", data=form, headers=HTMX)
        assert (full.status_code, parsed(full.text).one(role="alert").text) == (
            503,
            "the queue of 'sentiment' holds its limit of jobs",
        )
        await services.redis.flushdb()


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/tries/nix?lines=2", 404),
        ("/tries/{new}?lines=2", 404),
        ("/tries/01890000-0000-7000-8000-000000000000?lines=2", 410),
        ("/tries/{new}?lines=0", 404),
        (f"/tries/{{new}}?lines={MOST_LINES + 1}", 404),
        ("/tries/{new}?lines=²", 404),
        ("/tries/%3Cscript%3E", 404),
    ],
)
async def test_lines_that_are_not_there_have_a_page_that_says_so(
    client: httpx.AsyncClient, address: str, status: int
) -> None:
    address = address.format(new=new_id())
    for each in (address, f"/fragments{address}"):
        page = await client.get(each)
        assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert "<script>" not in page.text


@pytest.mark.parametrize(
    ("form", "status", "words"),
    [
        ({"model": "nix", "text": "kept"}, 404, "no model named"),
        (
            {"model": "sentiment", "text": "kept", "p.top_k": "many"},
            422,
            "top k: give a whole number from 1 to 1,000, or null for no limit, not 'many'",
        ),
        (
            {"model": "sentiment", "text": "kept", "p.top_k": "0"},
            422,
            "top k: give a whole number from 1 to 1,000, or null for no limit, not '0'",
        ),
        (
            {"model": "sentiment", "text": "kept", "p.function_to_apply": "nix"},
            422,
            "function to apply: choose one of sigmoid, softmax, none, not 'nix'",
        ),
        ({"model": "shapes", "text": "1", "p.shape": "{"}, 422, "shape: give an object as JSON, not '{'"),
        ({"model": "shapes", "text": "1", "p.depth": "1.5"}, 422, "depth: give a whole number, not '1.5'"),
        ({"model": "shapes", "text": "kept"}, 422, "the input is not valid JSON"),
        ({"model": "shapes", "text": "1\n{", "mode": "lines"}, 422, "line 2 is not valid JSON"),
        ({"model": "sentiment", "text": ""} | {f"f{i}": "" for i in range(70)}, 422, "more than 60 fields"),
        ({"model": "sentiment"}, 422, "no field named text"),
        ({"model": "shapes", "text": "[" * 150 + "]" * 150}, 422, "nested more than"),
        ({"mode": "lines", "text": " \n "}, 422, "no line with anything in it"),
        ({"mode": "lines", "text": "x\n" * (MOST_LINES + 1)}, 422, "more than the 200"),
        ({"text": "x" * 300_000}, 413, "a request may have"),
    ],
)
async def test_a_bad_form_comes_back_with_the_reason_and_what_was_typed(
    client: httpx.AsyncClient, redis: ArqRedis, form: dict[str, str], status: int, words: str
) -> None:
    page = await client.post("/submit", data=form)
    assert page.status_code == status
    shown = parsed(page.text)
    assert words in shown.one(role="alert").text
    if status != 413 and "text" in form and len(form) < 70:
        assert "".join(map(str, shown.one("textarea", id="text").children)).lstrip("\n") == form["text"]
        for name in form.keys() & {"p.top_k"}:
            assert shown.one(id=name)["value"] == form[name]
    fragment = await client.post("/submit", data=form, headers=HTMX)
    assert (fragment.status_code, parsed(fragment.text).one(role="alert").text) == (
        status,
        shown.one(role="alert").text,
    )
    assert await written(redis) == set()


async def test_another_model_brings_its_fields_and_keeps_what_was_typed(client: httpx.AsyncClient) -> None:
    page = parsed((await client.get("/try")).text)
    example = "".join(map(str, page.one(id="text").children)).lstrip("\n")
    assert page.one(id="p.top_k")["type"] == "text"
    assert [option.text for option in page.one(id="p.function_to_apply").all("option")] == [
        "default",
        "sigmoid",
        "softmax",
        "none",
    ]
    form = {"model": "shapes", "shown": "sentiment", "text": example, "mode": "lines", "p.top_k": "3"}
    other = parsed((await client.post("/try", data=form)).text)
    assert other.all(id="p.top_k") == []
    assert (other.one(id="p.depth")["type"], other.one(id="p.shape").tag) == ("number", "textarea")
    assert '{"feature":1.5}' in other.one(id="text").text, "an example gives way to the other's"

    typed = form | {"text": "my own\nwords"}
    kept = parsed((await client.post("/try", data=typed)).text)
    assert "my own words" in kept.one(id="text").text
    assert kept.one("input", name="mode", value="lines").attributes.get("checked", "no") is None


def test_each_task_has_real_fields_that_give_its_parameters_back(tmp_path: Path) -> None:
    typed = {
        "p.top_k": "5",
        "p.function_to_apply": "sigmoid",
        "p.aggregation_strategy": "simple",
        "p.ignore_labels": "O\r\n MISC ",
        "p.pooling": "mean",
        "p.normalize": "true",
        "p.candidate_labels": "one, still one\ntwo",
        "p.hypothesis_template": "It is {}.",
        "p.multi_label": "false",
        "p.targets": "a\nb",
        "p.max_new_tokens": "9",
        "p.do_sample": "true",
        "p.temperature": "0.5",
        "p.top_p": "1",
        "p.repetition_penalty": "1.5",
        "p.return_full_text": "false",
        "p.return_documents": "true",
    }
    for task in tasks.TASKS.values():
        allowed = task.parameters
        spec = ModelSpec(name="m", task=task.name, source="here")
        names = {f"p.{name}" for name in allowed.__struct_fields__}
        assert {field.name for field in fields(spec, typed)} == names
        assert "json" not in {field.kind for field in fields(spec, typed)}
        given = parameters(spec, typed)
        assert {f"p.{name}" for name in given} == names
        assert tasks.validate(given, allowed) == given
        assert parameters(spec, {}) == {}
    classify = ModelSpec(name="m", task="text-classification", source="here")
    assert parameters(classify, {"p.top_k": "null"}) == {"top_k": None}
    with pytest.raises(InvalidRequest, match="top k: give a whole number"):
        parameters(classify, {"p.top_k": "some"})


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ({}, "candidate labels: give up to 100 lines of up to 1,000 characters each"),
        (
            {"p.candidate_labels": "x" * 1_001},
            "candidate labels: give up to 100 lines of up to 1,000 characters each",
        ),
        (
            {"p.candidate_labels": "a", "p.multi_label": "maybe"},
            "multi label: choose one of true, false, not 'maybe'",
        ),
        (
            {"p.candidate_labels": "a", "p.hypothesis_template": "x" * 1_001},
            "hypothesis template: give a text of 1 to 1,000 characters",
        ),
    ],
)
def test_a_wrong_parameter_is_told_in_a_sentence_that_names_its_field(
    typed: dict[str, str], told: str
) -> None:
    spec = ModelSpec(name="m", task="zero-shot-classification", source="here")

    def checked() -> None:
        tasks.validate(parameters(spec, typed), spec.parameter_type)

    with pytest.raises(InvalidRequest) as raised:
        checked()
    assert str(worded(spec, typed, raised.value)) == told


def test_ids_in_a_row_are_ids_of_the_same_moment() -> None:
    first = new_id()
    ids = in_a_row(first, 200)
    assert len(set(ids)) == 200
    assert ids == sorted(ids)
    assert {created_ms(each) for each in ids} == {created_ms(first)}
    assert in_a_row(ids[0], 200) == ids
