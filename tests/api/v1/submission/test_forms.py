"""Forms: `curl -F model=pictures -F inputs=@a.png -F inputs=@b.png .../v1/jobs`."""

import base64
import gc
import time
import weakref
from typing import Any

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from api.v1.submission import form_body
from api.v1.submission.multipart import MAX_PARTS, FormReader, Part
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.problem_kinds import TYPE
from jobs.settings import Settings
from jobs.tasks import Task, custom_task
from jobs.tasks.inputs import Image, MediaRecord
from tests.conftest import written
from tests.jobs.media.samples import image, sound
from tests.ledger import JobQueue

PNG, JPEG = image("PNG"), image("JPEG")
Field = tuple[str, Any]


async def test_files_are_inputs_in_their_order(
    client: httpx.AsyncClient, redis: ArqRedis, settings: Settings
) -> None:
    fields = {"model": "pictures", "parameters": '{"top_k": 2}', "priority": "low", "keep_inputs": "true"}
    files = [("inputs", ("a.png", PNG, "image/png")), ("inputs", ("b", JPEG, "text/html"))]
    answer = await client.post("/v1/jobs?wait=0", data=fields, files=files)
    assert answer.status_code == 202, answer.text
    assert answer.json()["counts"]["total"] == 2
    stored = await JobQueue(redis, settings, ["pictures"]).inputs_of(answer.json()["id"])
    assert (stored.inputs, stored.parameters) == ([PNG, JPEG], {"top_k": 2})


@pytest.mark.parametrize(
    ("model", "files", "inputs"),
    [
        ("pictures", [("inputs", ("a.png", PNG))], [PNG]),
        ("pictures", [("inputs", (None, f"data:;base64,{base64.b64encode(PNG).decode()}"))], [PNG]),
        ("texts", [("inputs", (None, "naïve"))], ["naïve"]),
        ("texts", [("inputs", ("a.txt", b"one")), ("inputs", (None, "two"))], ["one", "two"]),
        ("shapes", [("inputs", (None, '{"sides": 3}'))], [{"sides": 3}]),
        ("shapes", [("inputs", ("x.json", b"[1, 2]"))], [[1, 2]]),
        (
            "shapes",
            [("inputs.sides", (None, "3")), ("inputs.size", (None, "3", "application/json"))],
            [{"sides": "3", "size": 3}],
        ),
    ],
)
async def test_what_a_part_becomes(
    client: httpx.AsyncClient,
    redis: ArqRedis,
    settings: Settings,
    model: str,
    files: list[Field],
    inputs: Any,
) -> None:
    answer = await client.post("/v1/jobs", data={"model": model}, files=files)
    assert answer.status_code == 202, answer.text
    stored = await JobQueue(redis, settings, [model]).inputs_of(answer.json()["id"])
    assert stored.inputs == inputs


BAD: dict[str, tuple[list[Field], str, str | None]] = {
    "no inputs": ([("model", (None, "texts"))], "no part named inputs", "/inputs"),
    "an unknown name": ([("file", ("a.png", PNG))], "part named 'file'; there are model, para", None),
    "twice": ([("model", (None, "texts")), ("model", (None, "texts"))], "model: given twice", "/model"),
    "wrong JSON": (
        [("parameters", (None, "{'a': 1}"))],
        "not valid JSON: JSON is malformed: object keys must be strings (byte 1)",
        "/parameters",
    ),
    "an unknown parameter": ([("parameters", (None, '{"k": 1}'))], "k is unknown", "/parameters"),
    "a wrong time": ([("expires_in", (None, "0"))], "expires_in: give a number above 0", "/expires_in"),
    "a wrong priority": ([("priority", (None, "!"))], "priority: give high, normal or low", "/priority"),
    "a file as a field": ([("priority", ("a", b"\xff"))], "priority: the part is not UTF-8", "/priority"),
    "another medium": ([("inputs", ("a.wav", sound("WAV")))], "inputs/1: not image data", "/inputs/1"),
    "an empty file": ([("inputs", ("a.png", b""))], "inputs/1: the image is empty", "/inputs/1"),
    "a text": ([("inputs", (None, "a cat!"))], "inputs/1: expected base64", "/inputs/1"),
    "too many": ([("inputs", ("a.png", PNG))] * 4, "limit of 4 (max_inputs in models.toml)", "/inputs"),
    "two ways": ([("inputs.image", ("a.png", PNG))], "use one way", "/inputs"),
}


@pytest.mark.parametrize(("more", "detail", "pointer"), BAD.values(), ids=BAD)
async def test_what_is_refused(
    client: httpx.AsyncClient, redis: ArqRedis, more: list[Field], detail: str, pointer: str | None
) -> None:
    files = more if detail.startswith("no part") else [("inputs", ("0.png", PNG)), *more]
    answer = await client.post("/v1/jobs", files=files)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, f"{TYPE}invalid-request")
    assert detail in problem["detail"]
    assert problem.get("pointer") == pointer
    assert await written(redis) == set()


async def test_a_form_above_the_limit(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/jobs", files={"inputs": ("a.png", PNG + bytes(100_000))})
    assert (answer.status_code, answer.json()["max_bytes"]) == (413, 100_000)


PART = b'--x\r\ncontent-disposition: form-data; name="inputs"\r\n\r\ntext\r\n'
MALFORMED = {
    "nothing": b"",
    "JSON": b'{"inputs": "x"}',
    "another boundary": PART.replace(b"--x", b"--y") + b"--y--",
    "no end": PART,
    "half a boundary": PART + b"--x",
    "no name": b"--x\r\ncontent-disposition: form-data\r\n\r\ntext\r\n--x--",
    "no form-data": b'--x\r\ncontent-disposition: attachment; name="inputs"\r\n\r\ntext\r\n--x--',
    "no headers": b"--x\r\n\r\ntext\r\n--x--",
    "no colon": b"--x\r\nheader\r\n\r\ntext\r\n--x--",
    "base64": PART.replace(b"\r\n\r\n", b"\r\ncontent-transfer-encoding: base64\r\n\r\n") + b"--x--",
    "a long header": b"--x\r\nx: " + b"y" * 10_000,
    "a long name": PART.replace(b"inputs", b"inputs" * 100) + b"--x--",
    "many headers": b"--x\r\n" + b"x: y\r\n" * 100,
    "many parts": PART * (MAX_PARTS + 1) + b"--x--",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_form(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = await client.post("/v1/jobs?wait=0", content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (422, f"{TYPE}invalid-request"), answer.text
    assert any(word in answer.json()["detail"] for word in ("form", "send the parts"))


def test_a_form_without_a_boundary() -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=", f"x; boundary={'y' * 999}"):
        with pytest.raises(InvalidRequest, match=r"boundary|Boundary"):
            FormReader(content_type)


@pytest.mark.parametrize("size", [1, 7, 64 * 1024])
def test_a_form_in_pieces_is_the_same(size: int) -> None:
    body = PART + b'--x\r\nContent-Disposition: form-data; name=inputs; filename="a"\r\n'
    body += b"Content-Type: Image/PNG; q=1\r\n\r\n" + PNG + b"\r\n--x--\r\nepilogue"
    reader = FormReader('multipart/form-data; boundary="x"')
    for start in range(0, len(body), size):
        reader.write(body[start : start + size])
    reader.end()
    assert reader.parts == [Part("inputs", "", False, b"text"), Part("inputs", "image/png", True, PNG, "a")]


def test_a_forms_parts_are_freed_with_it() -> None:
    """At once: a garbage collection of old objects comes only after many new ones, however large they are."""
    gc.disable()
    try:
        reader = FormReader("multipart/form-data; boundary=x")
        reader.write(PART)
        freed = weakref.ref(reader)
        del reader
        assert freed() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("piece", [b"\r", b"\n", b"\r\n--xxxxxxxxxxxxxx", b"--", bytes(1)])
def test_data_that_resembles_a_boundary_takes_no_long_time(piece: bytes) -> None:
    reader = FormReader("multipart/form-data; boundary=xxxxxxxxxxxxxxxx")
    reader.write(PART.replace(b"--x", b"--xxxxxxxxxxxxxxxx"))
    data = piece * (64 * 1024 // len(piece))
    started = time.thread_time()  # of the processor, which others may use meanwhile
    reader.write(data)
    assert time.thread_time() - started < 1  # it takes up to 10 ms


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    image: Any
    question: str


def _catalog() -> ModelCatalog:
    """A model that reads an image, or several, and a question."""
    spec = ModelSpec(name="m", pipeline="own:Class", input="json")
    kind = MediaRecord((_Asked,), {"image": Image()}, lambda item: [(item["question"],)])
    custom = custom_task("json", {})
    given = {name: getattr(custom, name) for name in Task.__dataclass_fields__} | {"input": kind}
    spec.__dict__["definition"] = Task(**given)
    return ModelCatalog([spec], None)  # type: ignore[arg-type]


def _part(name: str, data: bytes, content_type: str = "") -> Part:
    return Part(name, content_type, data in (PNG, JPEG), data)


def _inputs(*parts: Part) -> Any:
    return form_body.job(list(parts), _catalog()).inputs


def test_named_values_are_one_input() -> None:
    question = _part("inputs.question", b"What is it?")
    assert _inputs(_part("inputs.image", PNG), question) == {"image": PNG, "question": "What is it?"}
    several = _inputs(_part("inputs.image", PNG), question, _part("inputs.image", JPEG))
    assert several == {"image": [PNG, JPEG], "question": "What is it?"}
    encoded = base64.b64encode(PNG)
    assert _inputs(_part("inputs.image", encoded), question)["image"] == PNG
    whole = msgspec.json.encode({"image": encoded.decode(), "question": "What?"})
    assert _inputs(_part("inputs", whole)) == {"image": PNG, "question": "What?"}


def test_values_with_an_index_are_several_inputs() -> None:
    parts = [_part("inputs.1.image", JPEG), _part("inputs.0.image", PNG)]
    parts += [_part("inputs.0.question", b"a"), _part("inputs.1.question", b'"b"', "application/json")]
    assert _inputs(*parts) == [{"image": PNG, "question": "a"}, {"image": JPEG, "question": "b"}]


@pytest.mark.parametrize(
    ("names", "reason", "pointer"),
    [
        (["inputs.image"], "question is missing", "/inputs"),
        (
            ["inputs.picture", "inputs.question"],
            "picture: the part is not UTF-8 text, and model .* expects no medium",
            "/inputs/picture",
        ),
        (["inputs.0.image", "inputs.question"], "inputs.0.NAME", "/inputs"),
        (["inputs.0.image", "inputs.2.image"], "inputs.0.NAME", "/inputs"),
        (["inputs.a.image"], "neither inputs.NAME nor", "/inputs"),
        (["inputs.0.image.x"], "neither inputs.NAME nor", "/inputs"),
        (["inputs."], "not UTF-8 text", "/inputs/"),
        (["inputs"], "not valid JSON.* parts of their own: inputs.image, inputs.question$", "/inputs"),
    ],
)
def test_wrong_names_of_values(names: list[str], reason: str, pointer: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        _inputs(*(_part(name, b"x" if "question" in name else PNG) for name in names))
    assert caught.value.pointer == pointer
