"""image-text-to-text: texts generated from images, with a prompt or as the next message of a chat."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.errors import InvalidRequest
from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.inputs import Image, MediaRecord
from jobs.tasks.multimodal.image_text_models import ARCHITECTURES
from jobs.tasks.task import Task
from jobs.tasks.text.generation import Continuation, new_tokens

MAX_IMAGES = 32
MAX_MESSAGES = 1_000


class TextPart(msgspec.Struct, forbid_unknown_fields=True, frozen=True, tag="text"):
    text: str


class ImagePart(msgspec.Struct, forbid_unknown_fields=True, frozen=True, tag="image"):
    image: str


class Message(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    role: Literal["user", "assistant", "system"]
    content: str | Annotated[list[TextPart | ImagePart], Meta(min_length=1, max_length=MAX_MESSAGES)]


class Chat(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    messages: Annotated[list[Message], Meta(min_length=1, max_length=MAX_MESSAGES)]


class Prompt(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    image: str
    text: str | UnsetType = UNSET


class PromptOfImages(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    images: Annotated[list[str], Meta(min_length=1, max_length=MAX_IMAGES)]
    text: str


class ImageTextToText(Continuation, frozen=True):
    continue_final_message: bool | UnsetType = UNSET


def texts(item: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns what the model reads besides the images."""
    if "messages" not in item:
        return [(item.get("text", ""),)]
    found: list[str] = []
    for message in item["messages"]:
        content = message["content"]
        found += [content] if isinstance(content, str) else [part.get("text", "") for part in content]
    return [tuple(found)]


class PromptOrChat(MediaRecord):
    """A prompt or a chat, with so many images that the engine can have all of them in memory."""

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""
        super().check(item, pointer)
        contents = [message["content"] for message in item.get("messages", ())]
        images = sum(
            part["type"] == "image" for parts in contents if isinstance(parts, list) for part in parts
        )
        if images > MAX_IMAGES:
            raise InvalidRequest(
                f"inputs: the messages have {images} images, more than {MAX_IMAGES}",
                pointer=f"{pointer}/messages",
            )


IMAGE_TEXT_TO_TEXT = Task(
    name="image-text-to-text",
    aliases=("image-to-text",),
    help="Each image gets a text: a caption, the continuation of a prompt, or the answer in a chat.",
    input=PromptOrChat((Prompt, PromptOfImages, Chat), {"image": Image(), "images": Image()}, texts),
    parameters=ImageTextToText,
    example={
        "inputs": {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "image": LANDSCAPE},
                        {"type": "text", "text": "Describe this image."},
                    ],
                }
            ]
        },
        "parameters": {"max_new_tokens": 20, "return_full_text": False},
    },
    output="texts",
    generates=new_tokens,
    heads=ARCHITECTURES,
    input_tokens=600,  # of a LLaVA with one image of 336 x 336 pixels in patches of 14
    pipeline="worker.engine.pipelines.multimodal.image_text_to_text:ImageTextToText",
)
