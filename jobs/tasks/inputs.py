"""Kinds of inputs: each checks, measures, describes and shows an input, so that nothing else asks what it is.

Input
├── Text      one text
├── Record    several named texts, as a query and its documents
├── Image     base64 or a data URL (`images.py`)
└── Json      any JSON value, for a custom pipeline
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import msgspec

from jobs.errors import InvalidRequest
from jobs.validation import explained, properties


class Input(ABC):
    """A kind of input. `limit` is the model's `max_input_chars`, in the units of `measure`."""

    name: ClassVar[str]
    """What the interface calls it."""
    opens: ClassVar[bytes] = b'"'
    """The first byte of its JSON; empty where that may be any."""
    is_json: ClassVar[bool] = False
    """Whether people write it as JSON; else it is a string and they write it as it is."""
    has_texts: ClassVar[bool] = True
    """Whether held-out texts can be made into such inputs."""
    max_chars: int = 100_000
    """The limit where the models file has none."""
    least_chars: ClassVar[int] = 1
    """The least limit that a model can have."""
    max_batch_items: ClassVar[int] = 256
    """Inputs in one micro-batch where the models file does not say."""

    def accept(self, item: Any, limit: int, pointer: str) -> None:
        """Refuses an input of another kind, or above the limit. Raises InvalidRequest with the pointer."""
        self.check(item, pointer)
        size = self.measure(item)
        if size > limit:
            raise InvalidRequest(
                f"inputs: {size} characters are more than this model's {limit}", pointer=pointer
            )

    @abstractmethod
    def check(self, item: Any, pointer: str) -> None:
        """Refuses an input of another kind. Raises InvalidRequest with the pointer."""

    @abstractmethod
    def measure(self, item: Any) -> int:
        """What counts against the limit: characters, or bytes of JSON."""

    @abstractmethod
    def describe(self, limit: int) -> dict[str, Any]:
        """JSON Schema of one input; empty where that may be any value."""

    @abstractmethod
    def show(self, item: Any) -> str:
        """The input in a form for people."""

    @abstractmethod
    def cut(self, item: Any, limit: int) -> Any:
        """An example that keeps to a limit of `least_chars` or more."""

    def texts(self, item: Any) -> list[str]:
        """The texts that the model reads for this input, one for each row of a forward pass; none where the
        cost of an input does not depend on a text. Inputs without texts cost the same.
        """
        return []


class Text(Input):
    """One text."""

    name = "text"

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""
        if not isinstance(item, str):
            raise InvalidRequest("inputs: expected a text or a list of texts", pointer=pointer)

    def measure(self, item: str) -> int:
        """See Input."""
        return len(item)

    def describe(self, limit: int) -> dict[str, Any]:
        """See Input."""
        return {"type": "string", "maxLength": limit}

    def show(self, item: Any) -> str:
        """See Input."""
        return item if isinstance(item, str) else _json(item)

    def cut(self, item: str, limit: int) -> str:
        """See Input."""
        return item[:limit]

    def texts(self, item: str) -> list[str]:
        """See Input."""
        return [item]


class Record(Input):
    """Several named texts: an object of one of `forms`. `rows` are the texts that the model reads together.

    A text that is in several rows counts in each of them: what a model has to read is what is limited.
    """

    name = "record"
    opens = b"{"
    is_json = True

    def __init__(
        self,
        forms: Sequence[type[msgspec.Struct]],
        rows: Callable[[Any], Sequence[tuple[str, ...]]],
        max_chars: int,
    ) -> None:
        self.forms = forms
        self.rows = rows
        self.max_chars = max_chars

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""
        form = self._form(item)
        try:
            msgspec.convert(item, form, strict=True)
        except msgspec.ValidationError as error:
            raise explained(error, form, pointer.removeprefix("/")) from None

    def measure(self, item: Any) -> int:
        """See Input."""
        return sum(len(text) for row in self.rows(item) for text in row)

    def describe(self, limit: int) -> dict[str, Any]:
        """See Input."""
        return {"anyOf": [_object(form) for form in self.forms]}

    def show(self, item: Any) -> str:
        """See Input."""
        if not isinstance(item, dict):
            return _json(item)
        return "\n".join(f"{name}: {_shown(value)}" for name, value in item.items())

    def cut(self, item: Any, limit: int) -> Any:
        """See Input."""
        each = limit // sum(map(len, self.rows(item)))
        return {name: _cut(value, each) for name, value in item.items()}

    def texts(self, item: Any) -> list[str]:
        """See Input."""
        return [" ".join(row) for row in self.rows(item)]

    def _form(self, item: Any) -> type[msgspec.Struct]:
        """The form whose fields are all there; else the first, by which to say what is missing."""
        given = item.keys() if isinstance(item, dict) else set()
        return next((form for form in self.forms if given >= set(form.__struct_fields__)), self.forms[0])


MOST_PACKED = 3
"""Bytes of msgpack for a character of JSON at most: 0.5 takes nine."""


class Json(Input):
    """Any JSON value."""

    name = "json"
    opens = b""
    is_json = True

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""

    def measure(self, item: Any) -> int:
        """See Input."""
        if isinstance(item, msgspec.Raw):  # from the queue, as msgpack; it was measured when it was accepted
            return len(memoryview(item)) // MOST_PACKED
        return len(msgspec.json.encode(item))

    def describe(self, limit: int) -> dict[str, Any]:
        """See Input."""
        return {}

    def show(self, item: Any) -> str:
        """See Input."""
        return item if isinstance(item, str) else _json(item)

    def cut(self, item: Any, limit: int) -> Any:
        """See Input."""
        return item if self.measure(item) <= limit else 1

    def texts(self, item: Any) -> list[str]:
        """See Input."""
        return [item] if isinstance(item, str) else []


def _object(form: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties(form),
        "required": list(form.__struct_fields__),
        "additionalProperties": False,
    }


def _json(item: Any) -> str:
    return msgspec.json.encode(item).decode()


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return "".join(f"\n- {entry}" for entry in value)
    return _json(value)


def _cut(value: Any, each: int) -> Any:
    return value[:each] if isinstance(value, str) else [text[:each] for text in value]
