"""TextOrPair: one text, or two texts that the model reads together."""

import msgspec

from jobs.tasks.inputs.record import Record
from jobs.tasks.inputs.text_or_record import TextOrRecord


class Pair(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The names are those that `transformers.pipeline` and its tokenizers use."""

    text: str
    text_pair: str


class TextOrPair(TextOrRecord):
    """A text, or `{"text": ..., "text_pair": ...}`."""

    def __init__(self) -> None:
        super().__init__(
            Record((Pair,), lambda item: [(item["text"], item["text_pair"])], TextOrRecord.max_chars)
        )
