"""Outputs of models of media: over the picture, beside the sound, as files; odd ones fall back to JSON."""

import pytest

from api.pages.drawings import Drawing, drawing
from api.pages.input_media import Medium, media_of
from api.pages.output_files import OutputFile
from api.pages.output_rows import Row, view_of
from api.pages.overlays import MAX_BOXES, Box, Mask
from api.pages.transcripts import Part, clock
from api.pages.visuals import Piece, visual
from jobs.media.values import Stored
from jobs.tasks.inputs import Audio, Image, Text

URL = "/v1/jobs/0-1/inputs/0"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)
PICTURE = Medium("image", "image/png", URL, "PNG image, 58 bytes", 58)
SOUND = Medium("audio", "audio/wav", URL, "WAV audio, 3.2 kB", 3_200)
BOX = {"score": 0.5, "label": "cat", "box": {"xmin": 1, "ymin": 2, "xmax": 11, "ymax": 22}}


def file(name: str = "0-0.png", content_type: str = "image/png") -> dict[str, object]:
    return {"url": f"/v1/jobs/0-1/files/{name}", "content_type": content_type, "bytes": 7}


def test_media_are_shown_from_the_jobs_own_addresses() -> None:
    assert media_of(Image(), PNG, URL) == [PICTURE]
    stored = Stored(0, 2_000_000, b"", b"fLaC")
    assert media_of(Audio(), stored, URL) == [
        Medium("audio", "audio/flac", URL, "FLAC audio, 2.0 MB", 2_000_000)
    ]
    for odd in ("base64", b"<svg>", None, {"image": PNG}):
        assert media_of(Image(), odd, URL) == [], "a stock client may have sent anything"
    assert media_of(Text(), "text", URL) == []


def test_boxes_have_a_colour_for_each_label() -> None:
    found = [BOX, BOX | {"label": "dog"}, BOX | {"score": None}]
    over = drawing({"output": found}, [SOUND, PICTURE], "boxes").overlay
    assert over is not None
    assert over.picture == PICTURE
    assert over.boxes[0] == Box("cat", 0.5, 0, 1, 2, 10, 20)
    assert [(box.label, box.colour, box.score) for box in over.boxes[1:]] == [
        ("dog", 1, 0.5),
        ("cat", 0, None),
    ]
    many = drawing({"output": [BOX] * 60}, [], "boxes").overlay
    assert many is not None
    assert (many.picture, len(many.boxes), many.more) == (None, MAX_BOXES, 60 - MAX_BOXES)


@pytest.mark.parametrize(
    "box",
    [None, "all", {}, {"xmin": 1}, {"xmin": "1", "ymin": 0, "xmax": 2, "ymax": 2}]
    + [{"xmin": least, "ymin": 0, "xmax": 2, "ymax": 2} for least in (float("nan"), 3, -1e300)],
)
def test_what_is_no_box_is_shown_as_json(box: object) -> None:
    output = [{"label": "x", "box": box}]
    assert drawing({"output": output}, [PICTURE], "boxes") == Drawing()
    assert '"label": "x"' in view_of({"output": [{"label": "x", "box": None}]}, "boxes").text


def test_masks_are_our_own_files_only() -> None:
    found = [
        {"score": 0.9, "label": "sky", "mask": file()},
        {"score": None, "label": None, "mask": file("0-1.png")},
        {"score": 0.9, "label": "sky", "mask": file("0-2.png")},
    ]
    over = drawing({"output": found}, [PICTURE], "masks").overlay
    assert over is not None
    assert over.masks[0] == Mask("sky", 0.9, 0, "/v1/jobs/0-1/files/0-0.png")
    assert [(mask.label, mask.colour) for mask in over.masks[1:]] == [("mask", 1), ("sky", 0)]
    for url in ("javascript:alert(1)", "https://elsewhere/v1/jobs/x/files/y", "/v1/jobs/x/files/../../z"):
        hostile = [{"score": 0.9, "label": "sky", "mask": file() | {"url": url}}]
        assert drawing({"output": hostile}, [PICTURE], "masks") == Drawing()


def test_files_are_shown_by_their_type() -> None:
    depth = drawing(
        {"output": {"depth": file(), "name": "x", "predicted_depth": [[1]]}}, [PICTURE], "picture"
    )
    url = "/v1/jobs/0-1/files/0-0.png"
    assert depth.files == [OutputFile("depth", url, "image/png", 7, "image")]
    assert depth.rest == '{"name":"x"}', "numbers of each pixel are in the JSON"
    sound = drawing({"output": {"audio": file("0-0.wav", "audio/wav"), "sampling_rate": 16_000}}, [], "sound")
    assert [each.kind for each in sound.files] == ["audio"]
    assert sound.rest == '{"sampling_rate":16000}'
    other = drawing({"output": [file("0-0.bin", "application/octet-stream")]}, [], "any")
    assert [(each.name, each.kind) for each in other.files] == [("", "other")]
    assert drawing({"output": {"audio": "none"}}, [], "sound") == Drawing()


def test_a_transcript_has_its_parts_with_times() -> None:
    chunks = [
        {"timestamp": [0.0, 0.5], "text": " Hello"},
        {"timestamp": [0.5, None], "text": "world"},
        {"timestamp": [None, None], "text": "lost"},
        "odd",
    ]
    heard = drawing({"output": {"text": "Hello world", "chunks": chunks}}, [SOUND], "transcript").transcript
    assert heard is not None
    assert (heard.text, heard.sound, heard.more) == ("Hello world", SOUND, 2)
    assert heard.parts == [Part("Hello", 0.0, 0.5), Part("world", 0.5, None)]
    assert drawing({"output": {"text": "Hello"}}, [], "transcript").transcript is not None
    assert drawing({"output": {"text": "Hello"}}, [], "any") == Drawing(), "any class may return that"
    assert drawing({"output": ["Hello"]}, [], "transcript") == Drawing()
    assert [clock(each) for each in (0.5, 61.25, 3_723.0)] == ["0:00.50", "1:01.25", "1:02:03.00"]


def test_an_answer_is_marked_in_its_context() -> None:
    given = {"question": "When?", "context": "It was opened in 1911 by nobody."}
    output = {"answer": "1911", "score": 0.75, "start": 17, "end": 21}
    marked = [Piece("It was opened in "), Piece("1911", "answer"), Piece(" by nobody.")]
    for each in (output, [output]):
        assert visual({"output": each}, given, "answers").pieces == marked
        assert view_of({"output": each}, "answers", given).rows == [Row("1911", 0.75)]
    long = {"question": "When?", "context": "x" * 5_000 + "1911" + "y" * 5_000}
    pieces = visual({"output": output | {"start": 5_000, "end": 5_004}}, long, "answers").pieces
    assert [piece.text[:3] for piece in pieces] == ["… x", "191", "yyy"]
    assert sum(len(piece.text) for piece in pieces) < 1_000
    odds: list[object] = [
        output | {"end": 99},
        output | {"start": -1},
        output | {"start": "x"},
        {"answer": 7},
    ]
    for odd in [*odds, []]:
        assert visual({"output": odd}, given, "answers").pieces == []
    assert view_of({"output": [{"answer": "red", "score": 0.5}]}, "answers").rows == [Row("red", 0.5)]


def test_scores_are_beside_their_sentences() -> None:
    given = {"source_sentence": "a", "sentences": ["b", "c"]}
    rows = [Row("b", 0.5), Row("c", None, "score -0.25")]
    assert view_of({"output": [0.5, -0.25]}, "scores", given).rows == rows
    assert view_of({"output": [0.5]}, "scores", given).rows == [Row("sentence 1", 0.5)]
    assert view_of({"output": [0.5, None]}, "scores", given).text


def test_matched_points_are_rows() -> None:
    match = {"keypoint_image_0": {"x": 1, "y": 2.5}, "keypoint_image_1": {"x": 3, "y": 4}, "score": 0.5}
    assert view_of({"output": [match]}, "keypoints").rows == [Row("(1, 2.5) and (3, 4)", 0.5)]
    assert view_of({"output": [{"keypoint_image_0": 7}]}, "keypoints").rows == []
