"""TextOrChat: a prompt, or the messages of a chat that the model continues."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from jobs.tasks.inputs.record import Record
from jobs.tasks.inputs.text_or_record import TextOrRecord

MAX_MESSAGES = 1_000


class Message(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str


class Chat(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The names are those of chat templates."""

    messages: Annotated[list[Message], Meta(min_length=1, max_length=MAX_MESSAGES)]


def contents(item: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns the texts of the messages, which the model reads together."""
    return [tuple(message["content"] for message in item["messages"])]


class TextOrChat(TextOrRecord):
    """A text, or `{"messages": [{"role": ..., "content": ...}, ...]}`."""

    def __init__(self) -> None:
        super().__init__(Record((Chat,), contents, TextOrRecord.max_chars))
