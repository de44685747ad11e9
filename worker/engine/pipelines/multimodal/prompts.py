"""Prompts with images: inputs of image-text-to-text as the pipeline of transformers reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import PIL.Image

from jobs.errors import InvalidRequest

Decode = Callable[[Any], PIL.Image.Image]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with its images."""

    images: list[PIL.Image.Image]
    text: str | None
    """None for a caption without a prompt."""


@dataclass(frozen=True, slots=True)
class Chat:
    """Messages whose contents are lists of parts."""

    messages: list[dict[str, Any]]
    """As in the input, with pictures."""
    shown: list[dict[str, Any]]
    """The same without the pictures, for the output."""


def read(one: dict[str, Any], decode: Decode) -> Prompt | Chat:
    """Returns the input with its images decoded. Raises InvalidRequest."""
    if "messages" in one:
        return _chat(one["messages"], decode)
    images = one["images"] if "images" in one else [one["image"]]
    return Prompt([decode(image) for image in images], one.get("text"))


def check_marks(text: str, mark: str | None, images: int) -> None:
    """Raises InvalidRequest if a text does not have one mark for each image."""
    if mark is not None and text.count(mark) not in (0, images):
        raise InvalidRequest(
            f"the text has {text.count(mark)} times {mark}, which marks an image's place, but the input has"
            f" {images} of them"
        )


def check_no_marks(chat: Chat, mark: str | None) -> None:
    """Raises InvalidRequest if a text of a chat has a mark, which the template writes for each image."""
    texts = [part["text"] for message in chat.shown for part in message["content"] if "text" in part]
    if mark is not None and any(mark in text for text in texts):
        raise InvalidRequest(f"a text contains {mark}, which marks the place of an image; leave it out")


def _chat(messages: list[dict[str, Any]], decode: Decode) -> Chat:
    given, shown = [], []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        given.append({**message, "content": [_with_picture(part, decode) for part in parts]})
        shown.append({**message, "content": [_without_picture(part) for part in parts]})
    return Chat(given, shown)


def _with_picture(part: dict[str, Any], decode: Decode) -> dict[str, Any]:
    return {**part, "image": decode(part["image"])} if part["type"] == "image" else part


def _without_picture(part: dict[str, Any]) -> dict[str, Any]:
    return {"type": "image"} if part["type"] == "image" else part
