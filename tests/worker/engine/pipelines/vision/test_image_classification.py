"""Images get the labels that plain transformers gives each alone; a bad one fails alone."""

import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.media.encoded import decode as decode_text
from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import InputLimits
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load
from tests.worker.engine.pipelines.vision.images import IMAGES, encoded, opened, picture
from worker.engine import conveyor
from worker.engine.pipelines.vision.decoding import decode
from worker.engine.protocol import Failure

LIMITS = InputLimits(max_input_chars=1)
SEED = np.random.default_rng(7)


@pytest.mark.parametrize("parameters", [{}, {"top_k": 2}, {"function_to_apply": "sigmoid", "top_k": 1_000}])
@pytest.mark.parametrize("model", ["image-classification", "resnet"])
def test_labels_are_those_of_each_image_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    folder = model_folder(model)
    plain: Any = transformers.pipeline("image-classification", model=str(folder), device="cpu")
    expected = [plain(opened(data), **parameters) for data in IMAGES.values()]
    assert_same(load(folder, "image-classification").run(list(IMAGES.values()), parameters), expected)


def test_a_batch_is_one_forward_pass(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("image-classification"), "image-classification")
    calls: list[Any] = []
    pipeline.model.register_forward_hook(lambda *call: calls.append(call[2].logits.shape))
    pipeline.run(list(IMAGES.values()), {})
    assert calls == [(len(IMAGES), 7)]


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG that claims to be so large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


BAD = {
    "another format": (b"\0\0\0\x0cjP  " * 50, "the image is damaged, or none of JPEG, PNG"),
    "nothing": (b"", "the image is damaged, or none of JPEG, PNG"),
    "its first bytes": (encoded(picture(9, 9))[:16], "the image is damaged"),
    "half of it": (encoded(picture(300, 300))[:4_000], "the image is damaged: "),
    "a bomb": (png(20_000, 20_000, bytes(60_000)), "the image has 20000 x 20000 pixels, more"),
    "a smaller bomb": (
        png(8_000, 8_000, bytes(60_000)),
        "the image has 8000 x 8000 pixels, more than",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_image_is_refused_in_a_sentence(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(InvalidRequest, match=reason) as refused:
        decode(data, LIMITS)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", IMAGES)
def test_whatever_is_in_a_file_it_is_an_image_or_refused(name: str) -> None:
    whole = IMAGES[name]
    outcomes = set()
    for _ in range(200):
        data = bytearray(whole)
        for at in SEED.integers(4, len(data), 3):
            data[at] = SEED.integers(0, 256)
        cut = data[: SEED.integers(4, len(data))] if SEED.random() < 0.5 else data
        try:
            outcomes.add(decode(bytes(cut), LIMITS).mode)
        except InvalidRequest:
            outcomes.add("refused")
    assert outcomes <= {"RGB", "refused"}
    assert "refused" in outcomes


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_pixels(*_: Any) -> None:
        raise AssertionError("its pixels were decoded")

    monkeypatch.setattr(PIL.Image.Image, "load", load_pixels)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load_pixels)
    width = LIMITS.max_pixels // 1_000
    with pytest.raises(InvalidRequest, match="pixels, more than"):
        decode(png(width, 1_001, b""), LIMITS)
    with pytest.raises(InvalidRequest, match="its pixels were decoded"):
        decode(png(width, 1_000, b""), LIMITS)


def test_bad_images_fail_alone_without_another_run(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("image-classification"), "image-classification")
    calls: list[Any] = []
    pipeline.model.register_forward_hook(lambda *call: calls.append(call))
    good = list(IMAGES.values())[:3]
    outputs = pipeline.run([good[0], BAD["half of it"][0], 7, good[1], BAD["a bomb"][0], good[2]], {})
    assert_same([outputs[0], outputs[3], outputs[5]], [pipeline.run([one], {})[0] for one in good])
    assert len(calls) == 1 + 3
    failures = [conveyor.encode_one(outputs[index]) for index in (1, 2, 4)]
    assert [failure.kind for failure in failures if isinstance(failure, Failure)] == ["input-failed"] * 3
    assert "must be the bytes of an image, not int" in str(failures[1])
    assert isinstance(conveyor.encode_one(pipeline.run([BAD["half of it"][0]], {})[0]), Failure)


def test_an_image_costs_one(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("image-classification"), "image-classification")
    assert pipeline.units(list(IMAGES.values())) == len(IMAGES)
    assert pipeline.prepare([decode_text(LANDSCAPE)] * 3, {}).padded is None
    [sample], parameters = pipeline.warm_up() or ([], {})
    assert opened(sample).size == (256, 256)
    assert parameters == {}


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_the_dtype_is_the_operators(model_folder: ModelFolder, dtype: str) -> None:
    pipeline: Any = load(model_folder("image-classification"), "image-classification", dtype=dtype)
    assert pipeline.info.dtype == dtype
    assert str(pipeline.model.dtype) == ("torch.bfloat16" if dtype == "bfloat16" else "torch.float32")
    [best, *_], _ = pipeline.run(list(IMAGES.values())[:2], {})
    assert 0 < best["score"] < 1


def test_a_checkpoint_without_its_processor(model_folder: ModelFolder, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder("image-classification"), tmp_path / "copy")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ConfigurationError, match="cannot be loaded for image-classification: ") as refused:
        load(folder, "image-classification")
    assert "\n" not in str(refused.value)
    with pytest.raises(ConfigurationError, match="cannot be loaded for image-classification: "):
        load(model_folder("text-classification"), "image-classification")


def test_threads_do_not_share_what_a_batch_needs(model_folder: ModelFolder) -> None:
    """One batch is prepared while another computes."""
    pipeline = load(model_folder("image-classification"), "image-classification")
    texts = list(IMAGES.values())
    first, second = (pipeline.prepare(part, {"top_k": 1}) for part in (texts[:4], texts[4:]))
    later = pipeline.answer(pipeline.compute(second))
    assert_same(pipeline.answer(pipeline.compute(first)) + later, pipeline.run(texts, {"top_k": 1}))
    assert torch.is_inference_mode_enabled() is False
