"""Inputs that are objects with media in them: accepted, refused with the place, described and shown."""

import base64
from typing import Any

import msgspec
import pytest

from api.v1.model_schemas import request_schema
from jobs.errors import InvalidRequest
from jobs.inputs import admit_inputs
from jobs.media.encoded import decode
from jobs.media.values import Stored
from jobs.models import ModelSpec
from jobs.tasks import find
from jobs.tasks.examples import LANDSCAPE, TONE

PNG = decode(LANDSCAPE)
PAGE = ModelSpec(name="m", task="document-question-answering", source="here")
CHAT = ModelSpec(name="m", task="image-text-to-text", source="here", max_input_chars=2_000)
QUESTION = ModelSpec(name="m", task="vqa", source="here")
WORDS = [["a", [1, 2, 3, 4]], ["b", [5, 6, 7, 8]]]


def message(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(parts)}]}


IMAGE = {"type": "image", "image": LANDSCAPE}
TEXT = {"type": "text", "text": "What is it?"}


@pytest.mark.parametrize(
    ("spec", "given", "admitted"),
    [
        (QUESTION, {"image": LANDSCAPE, "question": "q"}, {"image": PNG, "question": "q"}),
        (PAGE, {"image": LANDSCAPE, "question": "q"}, {"image": PNG, "question": "q"}),
        (
            PAGE,
            {"question": "q", "word_boxes": WORDS, "image": LANDSCAPE},
            {"question": "q", "word_boxes": WORDS, "image": PNG},
        ),
        (CHAT, {"image": LANDSCAPE}, {"image": PNG}),
        (CHAT, {"images": [LANDSCAPE] * 2, "text": "t"}, {"images": [PNG, PNG], "text": "t"}),
        (CHAT, message(IMAGE, TEXT), message({**IMAGE, "image": PNG}, TEXT)),
        (
            CHAT,
            {"messages": [{"role": "user", "content": "t"}]},
            {"messages": [{"role": "user", "content": "t"}]},
        ),
    ],
)
def test_media_become_bytes_wherever_they_are(spec: ModelSpec, given: Any, admitted: Any) -> None:
    assert admit_inputs(given, spec) == (admitted, 1)
    assert admit_inputs([admitted], spec) == ([admitted], 1), "an upload has bytes there"
    assert admit_inputs([given, given], spec)[0] == [admitted] * 2


def test_a_medium_beside_the_payload_is_accepted() -> None:
    stored = Stored(0, len(PNG), b"digest", PNG[:64])
    given = message({"type": "image", "image": stored}, TEXT)
    assert admit_inputs(given, CHAT) == (given, 1)


@pytest.mark.parametrize(
    ("spec", "given", "reason", "pointer"),
    [
        (QUESTION, "text", "give an object, not a text", "/inputs/0"),
        (QUESTION, {"image": LANDSCAPE}, "question is missing; give a text", "/inputs/0"),
        (QUESTION, {"image": LANDSCAPE, "question": ""}, "give a text", "/inputs/0/question"),
        (QUESTION, {"image": 7, "question": "q"}, "give a text, not a whole number", "/inputs/0/image"),
        (QUESTION, {"image": "no", "question": "q"}, "not base64", "/inputs/0/image"),
        (QUESTION, {"image": TONE, "question": "q"}, "this is WAV (audio)", "/inputs/0/image"),
        (
            QUESTION,
            {"image": LANDSCAPE, "question": "q", "x": 1},
            "there are image and question",
            "/inputs/0",
        ),
        (
            PAGE,
            {"image": LANDSCAPE, "question": "q", "word_boxes": [*WORDS, ["c", [1, 2, 3, 1_001]]]},
            "inputs/0/word_boxes/2/1/3: give a whole number from 0 to 1,000",
            "/inputs/0/word_boxes/2/1/3",
        ),
        (
            PAGE,
            {"image": LANDSCAPE, "question": "q", "word_boxes": [["c"]]},
            "inputs/0/word_boxes/0: give a list",
            "/inputs/0/word_boxes/0",
        ),
        (CHAT, {"images": [LANDSCAPE, TONE], "text": "t"}, "this is WAV (audio)", "/inputs/0/images/1"),
        (CHAT, {"images": LANDSCAPE, "text": "t"}, "give a list of 1 to 32 texts", "/inputs/0/images"),
        (CHAT, {"image": LANDSCAPE, "text": "t" * 2_001}, "exceed this model's limit", "/inputs/0"),
        (CHAT, message(TEXT, {**TEXT, "text": "t" * 2_000}), "2011 characters exceed", "/inputs/0"),
        (CHAT, message({**IMAGE, "image": "no"}), "not base64", "/inputs/0/messages/0/content/0/image"),
        (
            CHAT,
            message({"type": "audio"}),
            "give text or image, not 'audio'",
            "/inputs/0/messages/0/content/0/type",
        ),
        (CHAT, message(*[IMAGE] * 33), "the messages have 33 images, more than 32", "/inputs/0/messages"),
        (CHAT, message({"type": "text"}), "text is missing; give a text", "/inputs/0/messages/0/content/0"),
        (
            CHAT,
            message(TEXT, role="robot"),
            "give assistant, system or user, not",
            "/inputs/0/messages/0/role",
        ),
        (
            CHAT,
            {"messages": [{"role": "user"}]},
            "content is missing; give a text or a list",
            "/inputs/0/messages/0",
        ),
        (
            CHAT,
            {"messages": [{"role": "user", "content": 1}]},
            "give a text or a list",
            "/inputs/0/messages/0/content",
        ),
        (
            CHAT,
            {"messages": [{**message(TEXT)["messages"][0], "name": "a"}]},
            "role and content",
            "/inputs/0/messages/0",
        ),
    ],
)
def test_a_wrong_part_is_named(spec: ModelSpec, given: Any, reason: str, pointer: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        admit_inputs([given], spec)
    assert reason in str(refused.value)
    assert refused.value.pointer == pointer


def test_a_large_image_in_a_chat_is_refused_before_it_is_decoded() -> None:
    large = base64.b64encode(PNG + bytes(30_000_000)).decode()
    with pytest.raises(InvalidRequest, match="max_input_bytes") as refused:
        admit_inputs(message({"type": "image", "image": large}), CHAT)
    assert refused.value.pointer == "/inputs/messages/0/content/0/image"


def test_the_schema_says_where_media_are() -> None:
    schema = request_schema(CHAT, default=True, longest_result_ttl=60)
    assert b"$ref" not in msgspec.json.encode(schema)
    assert b"discriminator" not in msgspec.json.encode(schema)
    one, several, chat = schema["properties"]["inputs"]["anyOf"][0]["anyOf"]
    medium = CHAT.definition.input.describe(CHAT.limits)["anyOf"][0]["properties"]["image"]
    assert medium["contentEncoding"] == "base64"
    assert one["properties"]["image"] == medium
    assert several["properties"]["images"] == {
        "type": "array",
        "items": medium,
        "minItems": 1,
        "maxItems": 32,
    }
    [content] = [
        each
        for each in chat["properties"]["messages"]["items"]["properties"]["content"]["anyOf"]
        if "items" in each
    ]
    assert [
        part["properties"]["image"] for part in content["items"]["anyOf"] if "image" in part["properties"]
    ] == [medium]
    assert chat["required"] == ["messages"]


def test_a_page_shows_no_bytes() -> None:
    kind = CHAT.definition.input
    shown = kind.show(admit_inputs(message(IMAGE, TEXT), CHAT)[0])
    assert "PNG image, 128 bytes" in shown
    assert "What is it?" in shown
    assert (
        kind.show({"images": [LANDSCAPE, 7], "text": "t"})
        == "images: \n- PNG image, 128 bytes\n- no image\ntext: t"
    )


def test_an_example_is_cut_to_the_limit_without_its_media() -> None:
    task = find("visual-question-answering")
    assert task is not None
    given = {"image": LANDSCAPE, "question": "q" * 100}
    assert task.input.cut(given, 10) == {"image": LANDSCAPE, "question": "q" * 10}
