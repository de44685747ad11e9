"""The page of a job whose model is no longer served: its media and boxes are recognised in what is stored."""

from collections.abc import Mapping
from typing import Any

import httpx
from arq.connections import ArqRedis

from api.pages.input_media import media_of
from api.pages.unserved import Unknown
from jobs.media import encoded
from jobs.media.values import Stored
from jobs.settings import Settings
from jobs.tasks.examples import LANDSCAPE
from tests.api.api_process import mounted
from tests.api.markup import parsed
from tests.ledger import JobQueue, run_one

BEFORE = """
[models.sentiment]
task = "text-classification"
source = "no/such/folder"

[models.photos]
pipeline = "somewhere:Photos"
input = "image"

[models.ask]
task = "visual-question-answering"
source = "no/such/folder"
"""
AFTER = BEFORE.partition("[models.photos]")[0]
LARGE = encoded.decode(LANDSCAPE) + bytes(100_000)
BOX = {"label": "cat", "score": 0.5, "box": {"xmin": 1, "ymin": 2, "xmax": 9, "ymax": 9}}


async def answered(client: httpx.AsyncClient, queue: JobQueue, output: Any, **asked: Any) -> str:
    """The page of a job that ended with that output."""
    job = (await client.post("/v1/jobs", **asked)).json()
    await run_one(queue, [{"output": output}], job["model"])
    return str(job["urls"]["page"])


async def test_media_and_boxes_of_a_model_that_is_no_longer_served(
    settings: Settings, redis: ArqRedis
) -> None:
    settings.models_file.write_text(BEFORE)
    queue = JobQueue(redis, settings, ["photos", "ask"])
    raw: Mapping[str, Any] = {"content": LARGE, "headers": {"content-type": "image/png"}}
    record = {"image": LANDSCAPE, "question": "What?"}
    async with mounted(settings) as (client, _):
        photo = await answered(client, queue, [BOX], params={"model": "photos", "keep_inputs": True}, **raw)
        asked = {"model": "ask", "inputs": record, "keep_inputs": True}
        record_page = await answered(client, queue, [{"answer": "a cat", "score": 0.5}], json=asked)
    await queue.close()
    settings.models_file.write_text(AFTER)
    async with mounted(settings) as (client, _):
        url = photo.replace("/jobs/", "/v1/jobs/") + "/inputs/0"
        page = parsed((await client.get(photo)).text)
        assert page.one(class_="input").text == "PNG image, 100.1 kB"
        assert page.one("img", class_="thumb")["src"] == url
        over = page.one(class_="overlay")
        assert (over.one("img")["src"], over.one("rect")["data-label"]) == (url, "cat")
        assert (await client.get(url)).content == LARGE
        assert page.all("pre", id="curl-again") == [], "the request would be refused"

        page = parsed((await client.get(record_page)).text)
        assert page.one(class_="input").text == "image: PNG image, 128 bytes question: What?"
        assert page.one("img", class_="thumb")["alt"] == "image: PNG image, 128 bytes"
        assert (await client.get(page.one("img", class_="thumb")["src"])).content == encoded.decode(LANDSCAPE)


def test_whatever_the_inputs_of_an_unknown_kind_are() -> None:
    stored = Stored(0, 2_000_000, b"", b"fLaC")
    assert (
        Unknown().show([stored, {"a": b"?"}, 7]) == '["FLAC audio, 2.0 MB",{"a":"unknown format, 1 byte"},7]'
    )
    assert Unknown().show({"a": ["b", "c"], "d": 1}) == "a: \n- b\n- c\nd: 1"
    found = media_of(Unknown(), {"a b": [b"?", stored], "c": "text"}, "/v1/jobs/0-1/inputs/0")
    assert [(each.kind, each.url, each.about) for each in found] == [
        ("audio", "/v1/jobs/0-1/inputs/0/a%20b/1", "a b 2: FLAC audio, 2.0 MB")
    ]
