"""The page /try: a form for each model, answers as they become known; with and without JavaScript."""

import shlex

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.ledger.leasing import Progress
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.markup import Element, parsed
from tests.conftest import written
from tests.ledger import JobQueue, ending

HERE = {"sec-fetch-site": "same-origin"}
HTMX = HERE | {"hx-request": "true"}


def rows(page: Element) -> list[str]:
    return [row.text for row in page.one(class_="pairs").one("tbody").all("tr")]


async def test_one_input_without_javascript_ends_at_its_jobs_page(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    form = {"model": "sentiment", "text": "Fine\r\nfilm", "p.top_k": "2"}
    answer = await client.post("/submit", data=form, headers=HERE)
    assert answer.status_code == 303
    assert (await client.get(answer.headers["location"])).status_code == 200
    asked = await queue.inputs_of(answer.headers["location"].removeprefix("/jobs/"))
    assert (list(asked.inputs), asked.parameters) == (["Fine\nfilm"], {"top_k": 2})


async def test_lines_are_one_job_whose_answers_appear_as_they_are_known(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    form = {"model": "sentiment", "mode": "lines", "text": "one\n\n two \r\nthree\n"}
    sent = await client.post("/submit", data=form, headers=HTMX)
    assert sent.status_code == 200
    page = parsed(sent.text)
    assert rows(page) == ["1 one not yet", "2 two not yet", "3 three not yet"]
    assert curl_line(page) == {"model": "sentiment", "inputs": ["one", " two ", "three"], "keep_inputs": True}
    refresh = page.one(id="answers")["hx-get"]

    [claimed], _ = await queue.claim("sentiment", 1)
    known = [
        b'{"index":2,"output":[{"label":"POSITIVE","score":0.9}]}',
        b'{"index":0,"error":{"detail":"no"}}',
    ]
    await queue.note([Progress(claimed.id, claimed.token, 0, 1, 1, known)])
    answer = await client.get(refresh)
    page = parsed(answer.text)
    assert answer.status_code == 200
    assert rows(page) == ["1 one no", "2 two not yet", "3 three POSITIVE 0.900"]
    assert (page.one("progress")["value"], page.one("progress")["max"]) == ("2", "3")
    assert page.one(class_="progress").text == "2 of 3 inputs done 1 failed"

    assert await queue.finish("sentiment", [ending(claimed)]) == set()
    answer = await client.get(refresh)
    assert answer.status_code == 286, "ends htmx's polling"
    page = parsed(answer.text)
    assert "hx-get" not in page.one(id="answers").attributes
    assert rows(page)[0] == "1 one POSITIVE 0.980", "the inputs are kept"
    assert page.one(id="job-link")["href"] == f"/jobs/{claimed.id}"


def curl_line(page: Element, name: str = "curl-submit") -> dict[str, object]:
    """What the page's curl line sends."""
    words = shlex.split("".join(map(str, page.one("pre", id=name).children)))
    sent: dict[str, object] = msgspec.json.decode(words[words.index("-d") + 1])
    return sent


async def test_the_curl_line_needs_no_javascript(client: httpx.AsyncClient, queue: JobQueue) -> None:
    page = parsed((await client.get("/try")).text)
    example = ["A wonderful film.", "A dull, badly acted mess."]
    assert curl_line(page) == {"model": "sentiment", "inputs": example, "keep_inputs": True}
    shapes = parsed((await client.get("/try?model=shapes")).text)
    assert curl_line(shapes) == {"model": "shapes", "inputs": {"feature": 1.5}, "keep_inputs": True}
    assert "#shell" in page.one(id="model")["hx-select-oob"], "another model brings its own line"
    broken = parsed((await client.post("/try", data={"model": "shapes", "text": "{"})).text)
    assert broken.all("pre") == [], "what stands there cannot be run"


async def test_the_form_sends_what_its_curl_line_sends(client: httpx.AsyncClient, queue: JobQueue) -> None:
    form = {"model": "sentiment", "mode": "lines", "text": "it's\ntwo", "p.top_k": "2"}
    asked = {
        "model": "sentiment",
        "inputs": ["it's", "two"],
        "parameters": {"top_k": 2},
        "keep_inputs": True,
    }
    assert curl_line(parsed((await client.post("/try", data=form)).text)) == asked
    address = (await client.post("/submit", data=form, headers=HERE)).headers["location"]
    sent = await queue.inputs_of(address.removeprefix("/jobs/"))
    assert (list(sent.inputs), sent.single, sent.parameters) == (["it's", "two"], False, {"top_k": 2})
    assert curl_line(parsed((await client.get(address)).text), "curl-again") == asked
    swapped = parsed((await client.post("/submit", data=form, headers=HTMX)).text)
    assert curl_line(swapped.one(id="shell", hx_swap_oob="true")) == asked


async def test_a_full_queue_is_an_error_beside_the_form(settings: Settings) -> None:
    small = settings.model_copy(update={"max_queued_jobs": 1})
    async with mounted(small) as (client, services):
        form = {"model": "sentiment", "mode": "lines", "text": "one\ntwo\nthree"}
        assert (await client.post("/submit", data=form, headers=HTMX)).status_code == 200
        full = await client.post("/submit", data=form, headers=HTMX)
        assert (full.status_code, parsed(full.text).one(role="alert").text) == (
            503,
            "the queue of 'sentiment' holds its limit of jobs",
        )
        assert "hx-retarget" not in full.headers, "no field of the form is wrong"
        await services.store.events.flushdb()


@pytest.mark.parametrize(
    ("form", "status", "words", "field"),
    [
        ({"model": "nix", "text": "kept"}, 404, "no model named", "model"),
        (
            {"model": "sentiment", "text": "kept", "p.top_k": "many"},
            422,
            "top k: give a whole number from 1 to 1,000, or null for no limit, not 'many'",
            "p.top_k",
        ),
        (
            {"model": "sentiment", "text": "kept", "p.top_k": "0"},
            422,
            "top k: give a whole number from 1 to 1,000, or null for no limit, not '0'",
            "p.top_k",
        ),
        (
            {"model": "sentiment", "text": "kept", "p.function_to_apply": "nix"},
            422,
            "function to apply: choose one of sigmoid, softmax, none, not 'nix'",
            "p.function_to_apply",
        ),
        (
            {"model": "shapes", "text": "1", "p.shape": "{"},
            422,
            "shape: give an object as JSON, not '{'",
            "p.shape",
        ),
        (
            {"model": "shapes", "text": "1", "p.depth": "1.5"},
            422,
            "depth: give a whole number, not '1.5'",
            "p.depth",
        ),
        ({"model": "shapes", "text": "kept"}, 422, "the input is not valid JSON", "text"),
        ({"model": "shapes", "text": "1\n{", "mode": "lines"}, 422, "line 2 is not valid JSON", "text"),
        ({"model": "shapes", "text": "[" * 150 + "]" * 150}, 422, "nested more than", "text"),
        ({"text": "one\n\n\n" + "x" * 120_000, "mode": "lines"}, 422, "line 4: ", "text"),
        ({"model": "shapes", "text": "1\n\n{", "mode": "lines"}, 422, "line 3 is not valid JSON", "text"),
        (
            {"model": "shapes", "text": "1", "p.shape": '{"a":' + "[" * 150 + "]" * 150 + "}"},
            422,
            "nested more than",
            "p.shape",
        ),
        ({"mode": "lines", "text": " \n "}, 422, "all lines are empty", "text"),
        (
            {"mode": "lines", "text": "x\n" * 1_001},
            422,
            "1001 inputs exceed this model's limit of 1000",
            "text",
        ),
        ({"model": "sentiment"}, 422, "no field named text", "text"),
        ({"model": "sentiment", "text": ""} | {f"f{i}": "" for i in range(70)}, 422, "more than 60", None),
        ({"text": "x" * 300_000}, 413, "the body is larger than", None),
    ],
)
async def test_a_bad_form_is_returned_with_the_reason_at_its_field(
    client: httpx.AsyncClient,
    redis: ArqRedis,
    form: dict[str, str],
    status: int,
    words: str,
    field: str | None,
) -> None:
    page = await client.post("/submit", data=form)
    assert page.status_code == status
    shown = parsed(page.text)
    assert words in shown.one(role="alert").text
    assert [each["id"] for each in shown.all(aria_invalid="true")] == ([field] if field else [])
    if field:
        assert shown.one(role="alert")["id"] == f"{field}-error"
        assert f"{field}-error" in shown.one(id=field)["aria-describedby"].split()
    if status != 413 and "text" in form and len(form) < 70:
        assert "".join(map(str, shown.one("textarea", id="text").children)).lstrip("\n") == form["text"]
        for name in form.keys() & {"p.top_k"}:
            assert shown.one(id=name)["value"] == form[name]
    answer = await client.post("/submit", data=form, headers=HTMX)
    assert (answer.status_code, parsed(answer.text).one(role="alert").text) == (
        status,
        shown.one(role="alert").text,
    )
    assert answer.headers.get("hx-retarget") == ("#try" if field else None)
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


@pytest.mark.parametrize(
    ("form", "inputs"),
    [
        ({"text": "[1,2]", "mode": "one"}, [[1, 2]]),
        ({"text": "[1,2]", "mode": "lines"}, [[1, 2]]),
        ({"text": "[1,2]\n[3]", "mode": "lines"}, [[1, 2], [3]]),
        ({"text": "1\n\n2", "mode": "lines"}, [1, 2]),
    ],
)
async def test_a_line_that_is_a_list_is_one_input(
    client: httpx.AsyncClient, redis: ArqRedis, settings: Settings, form: dict[str, str], inputs: list[object]
) -> None:
    answer = await client.post("/submit", data=form | {"model": "shapes"}, headers=HERE)
    shapes = JobQueue(redis, settings, ["shapes"])
    job = await shapes.inputs_of(answer.headers["location"].removeprefix("/jobs/"))
    assert list(job.inputs) == inputs
