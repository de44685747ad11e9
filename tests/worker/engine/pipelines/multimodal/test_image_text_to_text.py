"""Texts from images: captions, prompts and chats are continued as the pipeline of transformers does alone."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load, plain_pipeline
from tests.worker.engine.pipelines.pictures import BROKEN, PICTURES, encoded, opened, picture

TASK = "image-text-to-text"
TEXTS = ["the bridge", "the paper", "it was not the house", "the town", "the river"]


def said(text: str, *images: bytes, role: str = "user") -> dict[str, Any]:
    parts = [{"type": "image", "image": data} for data in images]
    return {"role": role, "content": [*parts, {"type": "text", "text": text}]}


CHATS = [
    {"messages": [said("is it a bridge ?", PICTURES[0])]},
    {"messages": [said("is it a paper ?", PICTURES[1])]},
    {"messages": [said("is it one ?", PICTURES[1], PICTURES[2])]},
    {"messages": [{"role": "system", "content": "the town"}, said("was it late ?", PICTURES[3])]},
    {"messages": [said("is it a town ?", PICTURES[4]), said("the town", role="assistant")]},
    {"messages": [{"role": "user", "content": "was it a bridge ?"}]},
]
PROMPTS = [{"image": data, "text": f"<image> {text}"} for data, text in zip(PICTURES, TEXTS, strict=True)]
PROMPTS.append({"images": PICTURES[1:3], "text": "the <image> and <image>"})
BARE = [{"image": data, "text": text} for data, text in zip(PICTURES, TEXTS, strict=True)]


def alone(plain: Any, one: dict[str, Any], **parameters: Any) -> Any:
    """What a user of transformers would call; without the pictures in its output."""
    if new := parameters.pop("max_new_tokens", None):
        parameters["generate_kwargs"] = {"max_new_tokens": new, "do_sample": False}
    if "messages" not in one:
        images = [opened(data) for data in one["images"]] if "images" in one else opened(one["image"])
        return plain({"images": images, "text": one["text"]}, **parameters)
    messages: list[dict[str, Any]] = []
    for message in one["messages"]:
        content = message["content"]
        parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        pictures = [{**part, "image": opened(part["image"])} if "image" in part else part for part in parts]
        messages.append({**message, "content": pictures})
    return without_pictures(plain(text=messages, **parameters))


def without_pictures(value: Any) -> Any:
    if isinstance(value, list):
        return [without_pictures(part) for part in value]
    if isinstance(value, dict):
        return {name: without_pictures(part) for name, part in value.items() if name != "image"}
    return value


@pytest.mark.parametrize("parameters", [{}, {"return_full_text": False}])
@pytest.mark.parametrize("model", [TASK, "llava-that-ends", "idefics3", "qwen2-vl"])
def test_a_chat_is_continued_as_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    folder = model_folder(model)
    parameters = {"max_new_tokens": 12, **parameters}
    pipeline: Any = load(folder, TASK)
    plain = transformers.pipeline(TASK, model=pipeline.model, processor=pipeline.processor)  # type: ignore[call-overload]
    expected = [alone(plain, one, **parameters) for one in CHATS]
    outputs = pipeline.run(CHATS, {**parameters, "do_sample": False})
    assert_same(outputs, expected)
    assert len({str(output) for output in outputs}) == len(CHATS)
    assert_same(expected, [pipeline.run([one], {**parameters, "do_sample": False})[0] for one in CHATS])


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (TASK, PROMPTS),
        ("llava-without-template", PROMPTS),
        ("llava-that-ends", PROMPTS),
        ("blip", BARE),
        ("git", BARE),
    ],
)
def test_a_prompt_is_continued_as_alone(
    model_folder: ModelFolder, model: str, inputs: list[dict[str, Any]]
) -> None:
    folder = model_folder(model)
    plain, pipeline = plain_pipeline(folder, TASK), load(folder, TASK)
    for parameters in ({"max_new_tokens": 9}, {"max_new_tokens": 9, "return_full_text": False}):
        expected = [alone(plain, one, **parameters) for one in inputs]
        assert_same(pipeline.run(inputs, {**parameters, "do_sample": False}), expected)
    assert pipeline.steps <= 9


def test_a_row_that_ends_first_is_not_padded(model_folder: ModelFolder) -> None:
    """The model's padding is a word, since its tokenizer has no token for it."""
    pipeline: Any = load(model_folder("llava-that-ends"), TASK)
    words = ("bridge", "paper", "town", "river", "house")
    inputs = [{"image": data, "text": f"<image> {word}"} for data in PICTURES for word in words]
    parameters = {"max_new_tokens": 12, "do_sample": False, "return_full_text": False}
    assert len(pipeline.prepare(inputs, parameters).work.passes) == 1
    outputs = pipeline.run(inputs, parameters)
    assert len({len(output[0]["generated_text"].split()) for output in outputs}) > 1
    assert_same(outputs, [pipeline.run([one], parameters)[0] for one in inputs])


def captions(folder: Path, new: int) -> list[str]:
    """What the image-to-text pipeline of transformers 4 returned."""
    library: Any = transformers
    model = library.AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = library.AutoProcessor.from_pretrained(folder)
    found = []
    for data in PICTURES:
        images = processor.image_processor(images=opened(data), return_tensors="pt")
        with torch.inference_mode():
            tokens = model.generate(**images, max_new_tokens=new)
        found.append(processor.tokenizer.decode(tokens[0], skip_special_tokens=True))
    return found


@pytest.mark.parametrize("model", ["blip", "git"])
def test_an_image_without_a_text_gets_a_caption(model_folder: ModelFolder, model: str) -> None:
    folder = model_folder(model)
    outputs = load(folder, TASK).run([{"image": data} for data in PICTURES], {"max_new_tokens": 9})
    assert outputs == [[{"generated_text": text}] for text in captions(folder, 9)]


def test_prompts_of_one_length_share_a_pass(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder(TASK), TASK)
    assert pipeline.shares
    prepared = pipeline.prepare([*CHATS[:2], *PROMPTS[:2]], {"max_new_tokens": 4})
    assert sorted(len(one.places) for one in prepared.work.passes) == [2, 2]
    pipeline.shares = False
    prepared = pipeline.prepare(CHATS[:2], {"max_new_tokens": 4})
    assert [len(one.places) for one in prepared.work.passes] == [1, 1]


def test_a_model_that_mixes_its_rows_runs_them_one_at_a_time(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = transformers.LlavaForConditionalGeneration.forward

    @functools.wraps(forward)
    def mixing(self: Any, *args: Any, **options: Any) -> Any:
        found = forward(self, *args, **options)
        found.logits = found.logits + found.logits.mean(0, keepdim=True).flip(-1)
        return found

    pipeline: Any = load(model_folder(TASK), TASK)
    assert pipeline._keeps_rows_apart()
    monkeypatch.setattr(transformers.LlavaForConditionalGeneration, "forward", mixing)
    assert not pipeline._keeps_rows_apart()


BAD = [
    (TASK, {"messages": [said("is it ?", BROKEN)]}, "the image is damaged"),
    (TASK, {"image": BROKEN, "text": "<image> a"}, "the image is damaged"),
    (TASK, {"image": PICTURES[0], "text": "the bridge"}, "write <image> where it goes, or send messages"),
    (
        TASK,
        {"image": PICTURES[0], "text": "<image> <image>"},
        "has 2 times <image>, which marks an image's place, but the input has 1 of them",
    ),
    (TASK, {"image": PICTURES[0]}, "needs a text with its image"),
    (TASK, {"messages": [said("is <image> it ?", PICTURES[0])]}, "a text contains <image>"),
    (TASK, {"messages": [said("a"), said("b", role="system")]}, "refuses the messages: system comes first"),
    (
        TASK,
        {"messages": [{"role": "assistant", "content": [{"type": "image", "image": PICTURES[0]}]}]},
        "it must end with a text",
    ),
    (TASK, {"messages": [said("the river " * 300)]}, "and the model reads at most 255"),
    ("llava-without-template", CHATS[0], "the model has no chat template"),
]


@pytest.mark.parametrize(("model", "bad", "reason"), BAD)
def test_a_bad_input_fails_alone(
    model_folder: ModelFolder, model: str, bad: dict[str, Any], reason: str
) -> None:
    pipeline = load(model_folder(model), TASK)
    parameters = {"max_new_tokens": 3, "do_sample": False}
    outputs = pipeline.run([PROMPTS[0], bad, PROMPTS[1]], parameters)
    assert isinstance(outputs[1], InvalidRequest)
    assert reason in str(outputs[1])
    assert "\n" not in str(outputs[1])
    assert_same([outputs[0], outputs[2]], pipeline.run(PROMPTS[:2], parameters))


def test_more_tokens_than_the_model_has_room_for(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder(TASK), TASK)
    [refused] = pipeline.run(PROMPTS[:1], {"max_new_tokens": 4_000})
    assert "share 256 tokens" in str(refused)
    [output] = pipeline.run(PROMPTS[:1], {"do_sample": False})  # up to 256 by default, which does not fit
    assert isinstance(output, list)
    assert pipeline.steps < 256


def test_a_narrow_image_is_not_resized_to_gigabytes(model_folder: ModelFolder) -> None:
    narrow = encoded(picture(2_000_000, 1))
    pipeline = load(model_folder(TASK), TASK)
    [refused] = pipeline.run([{"image": narrow, "text": "<image> the"}], {"max_new_tokens": 2})
    assert isinstance(refused, InvalidRequest)
    assert "too narrow" in str(refused)


def test_the_samples_of_the_warm_up_run(model_folder: ModelFolder) -> None:
    for model in (TASK, "llava-without-template", "blip", "git", "idefics3", "qwen2-vl"):
        pipeline: Any = load(model_folder(model), TASK)
        assert len(pipeline.run(*pipeline.warm_up())) == 1
        assert pipeline.steps == 4
        assert pipeline.new_tokens == 256
