"""A text or a pair in a large body is read like one in a small body, and nothing else is decoded."""

from pathlib import Path

import msgspec
import pytest

from api.v1.submission import large_json
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec

CATALOG = ModelCatalog(
    [ModelSpec(name="m", task="text-classification", source="here", max_input_chars=40)], Path()
)


def parse(inputs: bytes) -> object:
    job = large_json.parse(bytearray(b'{"model":"m","inputs":%b}' % inputs), CATALOG)
    return msgspec.msgpack.decode(job.inputs)


def test_texts_and_pairs() -> None:
    inputs = ["good", {"text": "a", "text_pair": "b"}]
    assert parse(msgspec.json.encode(inputs)) == inputs
    assert parse(msgspec.json.encode(inputs[1])) == inputs[1]
    assert parse(b'"good"') == "good"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b'{"text":"a"}', "inputs: text_pair is missing"),
        (b'{"text":"%b","text_pair":"b"}' % (b"a" * 40), "41 characters exceed this model's limit of 40"),
        (b"[" * 3 + b"]" * 3, "expected a text or a list of texts"),
        (b'["good",3]', "expected a text or a list of texts"),
        (b'{"text":%b1%b}' % (b"[" * 300, b"]" * 300), "JSON"),
        (b'{"text":[%b1]}' % (b"1," * 1_000), "bytes of JSON exceed this model's limit of 640"),
    ],
)
def test_what_is_neither_is_refused(given: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        parse(given)
