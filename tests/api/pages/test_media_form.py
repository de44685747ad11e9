"""The form of /try for models of media and records: files, and a field for each name of a record."""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from api.pages.try_form import content
from jobs.ledger.views import JobInputs
from jobs.media import encoded
from jobs.schema import NewJob
from jobs.settings import Settings
from jobs.tasks.examples import LANDSCAPE
from tests.api.api_process import mounted, serving
from tests.api.markup import Element, parsed
from tests.conftest import written

HERE = {"sec-fetch-site": "same-origin"}
HTMX = HERE | {"hx-request": "true"}
PNG = encoded.decode(LANDSCAPE)
MODELS = """
[models.photos]
pipeline = "somewhere:Photos"
input = "image"
parameters = { depth = "integer" }
max_input_bytes = 100_000

[models.sounds]
pipeline = "somewhere:Sounds"
input = "audio"
max_inputs = 1

[models.tuned]
pipeline = "somewhere:Photos"
input = "image"
parameters = { depth = "integer" }
defaults = { depth = 7 }

[models.several]
pipeline = "somewhere:Photos"
input = "image"
example = ["@LANDSCAPE@", "@LANDSCAPE@"]

[models.ask]
task = "visual-question-answering"
source = "no/such/folder"

[models.match]
task = "keypoint-matching"
source = "no/such/folder"

[models.moods]
task = "text-classification"
source = "no/such/folder"

[models.ranks]
task = "text-ranking"
source = "no/such/folder"
""".replace("@LANDSCAPE@", LANDSCAPE)


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    settings.models_file.write_text(MODELS)
    async with mounted(settings) as (client, _):
        yield client


def file(name: str = "photo.png", data: bytes = PNG, field: str = "file") -> tuple[str, tuple[str, bytes]]:
    return field, (name, data)


async def inputs_of(client: httpx.AsyncClient, path: str) -> Element:
    """The rows of the job's page."""
    return parsed((await client.get(path)).text).one(class_="pairs")


def line(page: Element) -> list[str]:
    return shlex.split("".join(map(str, page.one("pre", id="curl-submit").children)))


async def test_the_form_takes_files(client: httpx.AsyncClient) -> None:
    page = parsed((await client.get("/try?model=photos")).text)
    form, field = page.one("form", id="try"), page.one(id="file")
    assert form["enctype"] == "multipart/form-data"
    assert (field["type"], "multiple" in field.attributes) == ("file", True)
    assert "image/png,.png" in field["accept"]
    assert page.one("img", class_="thumb")["src"] == LANDSCAPE, "what is sent without a file"
    assert page.all("textarea", id="text") == []
    sound = parsed((await client.get("/try?model=sounds")).text)
    assert "multiple" not in sound.one(id="file").attributes
    assert sound.one("button", id="record-file")
    assert page.all("button", id="record-file") == []


@pytest.mark.parametrize("names", [["photo.png"], ["one.png", "two.png"]])
async def test_files_become_the_inputs_of_one_job(client: httpx.AsyncClient, names: list[str]) -> None:
    files = [file(name) for name in names]
    form = {"model": "photos", "p.depth": "2"}
    answer = await client.post("/submit", data=form, files=files, headers=HERE)
    assert answer.status_code == 303
    rows = (await inputs_of(client, answer.headers["location"])).one("tbody").all("tr")
    assert len(rows) == len(names)
    job = answer.headers["location"].removeprefix("/jobs/")
    sources = [row.one("img")["src"] for row in rows]
    assert sources == [f"/v1/jobs/{job}/inputs/{i}" for i in range(len(names))]
    assert rows[0].one("img")["alt"] == "PNG image, 128 bytes"


async def test_without_a_file_the_example_is_sent(client: httpx.AsyncClient) -> None:
    """A browser sends an empty part for the field."""
    answer = await client.post("/submit", data={"model": "photos"}, files=[file("", b"")], headers=HERE)
    assert answer.status_code == 303
    shown = (await inputs_of(client, answer.headers["location"])).one("img")
    assert shown["alt"] == "PNG image, 128 bytes"


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"text", 422, "evil.png: not image data in a supported format"),
        (PNG + bytes(100_000), 422, "evil.png: the image has 100,1"),
        (bytes(9_000_000), 413, "the body is larger than"),
    ],
)
async def test_an_error_is_at_the_field(
    client: httpx.AsyncClient, redis: ArqRedis, data: bytes, status: int, words: str
) -> None:
    form, files = {"model": "photos", "p.depth": "2"}, [file("evil.png", data)]
    page = await client.post("/submit", data=form, files=files, headers=HERE)
    assert page.status_code == status
    alert = [each.text for each in parsed(page.text).all(role="alert") if each.text]
    assert [words in each for each in alert] == [True]
    if status == 422:
        assert parsed(page.text).one(id="file-error").text == alert[0]
        assert parsed(page.text).one(id="p.depth")["value"] == "2"
        swapped = await client.post("/submit", data=form, files=files, headers=HTMX)
        assert swapped.headers["hx-retarget"] == "#try"
    assert await written(redis) == set()


@pytest.mark.parametrize(
    "body", [b"--x\r\nnonsense", b"", b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--"]
)
async def test_a_broken_multipart_form_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    for boundary in ("; boundary=x", ""):
        headers = HERE | {"content-type": f"multipart/form-data{boundary}"}
        answer = await client.post("/submit", content=body, headers=headers)
        assert answer.status_code == 422


async def test_the_curl_line_has_the_names_of_the_files(client: httpx.AsyncClient) -> None:
    page = parsed((await client.get("/try?model=photos")).text)
    words = ["curl", "-fsS", "-o", "example.png", "http://edge/try/example?model=photos", "&&", "curl", "-s"]
    assert line(page)[: len(words)] == words, "the form sends the example, so the command fetches it"
    assert line(page)[len(words)].startswith("http://edge/v1/jobs?model=photos")
    assert line(page)[-2:] == ["--data-binary", "@example.png"]
    assert "Content-Type: image/png" in line(page)
    evil = 'it\'s $(rm -rf ~)\n;type="x".png'
    typed = {"model": "photos", "file": f"{evil}/-.png", "p.depth": "2"}
    words = line(parsed((await client.post("/try", data=typed)).text))
    parts = [words[i + 1] for i, word in enumerate(words) if word in ("-F", "--form-string")]
    assert f'inputs=@"{evil.replace(chr(34), chr(92) + chr(34))}"' in parts
    assert "inputs=@./-.png" in parts
    assert 'parameters={"depth":2}' in parts
    sent = await client.post("/submit", data={"model": "photos"}, files=[file("mine.jpg")], headers=HTMX)
    assert line(parsed(sent.text))[-1] == "@mine.jpg"


async def run(command: str, folder: Path) -> dict[str, Any]:
    """What the command prints in that folder, as JSON."""
    process = await asyncio.create_subprocess_shell(command, cwd=folder, stdout=-1)
    printed, _ = await process.communicate()
    answer: dict[str, Any] = json.loads(printed)
    return answer


async def run_line(page: httpx.Response, line: str, folder: Path) -> dict[str, Any]:
    """The job that a curl line of the page submits."""
    command = "".join(map(str, parsed(page.text).one("pre", id=line).children))
    return await run(command.replace("wait=10", "wait=0"), folder)


async def test_the_curl_lines_work(settings: Settings, tmp_path: Path) -> None:
    names = ["mine.png", 'a;type="x", it\'s $(exit).png', "-.png"]
    for name in names:
        (tmp_path / name).write_bytes(PNG)
    settings.models_file.write_text(MODELS)
    chosen = {"model": "photos", "file": "/".join(names), "p.depth": "2"}
    async with serving(settings) as (client, services):

        async def inputs(job: dict[str, Any]) -> JobInputs:
            return await services.ledger.inputs(await services.ledger.read(job["id"], sees=None))

        for model in ("photos", "tuned", "several", "ask", "match", ""):
            asked = client.get(f"/try?model={model}") if model else client.post("/try", data=chosen)
            job = await run_line(await asked, "curl-submit", tmp_path)
            page = await client.get(job["urls"]["page"])
            media = len(parsed(page.text).all("img", class_="thumb"))
            assert media == {"several": 2, "match": 2, "": 3}.get(model, 1)
            again = await run_line(page, "curl-again", tmp_path)
            assert await inputs(again) == await inputs(job) != JobInputs(), model
        await services.store.events.flushdb()


async def test_an_example_is_fetched_by_its_place(client: httpx.AsyncClient) -> None:
    found = await client.get("/try/example?model=match&part=images&index=1")
    assert (found.headers["content-type"], found.content) == ("image/png", PNG)
    assert "sandbox" in found.headers["content-security-policy"]
    for asked in ("model=match", "model=match&part=images&index=2", "model=moods", "model=ask&part=question"):
        assert (await client.get(f"/try/example?{asked}")).status_code == 404
    assert (await client.get("/try/example?model=match&index=-1")).status_code == 422


async def test_a_record_has_a_field_for_each_name(client: httpx.AsyncClient) -> None:
    page = parsed((await client.get("/try?model=ranks")).text)
    assert (page.one(id="i.query").tag, page.one(id="i.documents").tag) == ("textarea", "textarea")
    assert "enctype" not in page.one("form", id="try").attributes
    form = {"model": "ranks", "shown": "ranks", "i.query": "q?", "i.documents": "one\r\n\r\ntwo"}
    asked = {"query": "q?", "documents": ["one", "two"]}
    words = line(parsed((await client.post("/try", data=form)).text))
    assert msgspec.json.decode(words[-1])["inputs"] == asked
    answer = await client.post("/submit", data=form, headers=HERE)
    assert "query: q? documents: - one - two" in (await inputs_of(client, answer.headers["location"])).text
    wrong = parsed((await client.post("/submit", data=form | {"i.documents": " "})).text)
    assert [each["id"] for each in wrong.all(aria_invalid="true")] == ["i.documents"]
    assert "".join(map(str, wrong.one(id="i.query").children)).strip() == "q?"


async def test_two_texts_are_one_input(client: httpx.AsyncClient) -> None:
    page = parsed((await client.get("/try?model=moods")).text)
    assert page.one(id="i.text_pair")["aria-describedby"] == "i.text_pair-hint"
    form = {"model": "moods", "shown": "moods", "mode": "lines", "text": "one\ntwo"}
    for second, inputs in (
        ("", ["one", "two"]),
        ("both", [{"text": "one", "text_pair": "both"}, {"text": "two", "text_pair": "both"}]),
    ):
        shown = parsed((await client.post("/try", data=form | {"i.text_pair": second})).text)
        assert msgspec.json.decode(line(shown)[-1])["inputs"] == inputs
        assert "".join(map(str, shown.one(id="i.text_pair").children)).strip() == second
    long = form | {"mode": "one", "i.text_pair": "x" * 200_000}
    wrong = parsed((await client.post("/submit", data=long)).text)
    assert "exceed this model's limit" in wrong.one(id="text-error").text


def test_the_same_files_make_the_same_job() -> None:
    def job(data: bytes) -> NewJob:
        return NewJob("photos", [data], 1, {}, "normal", None, has_media=True)

    assert content(job(b"a")) == content(job(b"a")) != content(job(b"b"))
    assert len(content(job(bytes(1_000_000)))) < 1_000
