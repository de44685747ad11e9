"""Kinds of inputs: each checks, measures, describes and shows an input; no other code depends on its kind.

Input
├── Text      one text
├── Record    several named texts, for example a query and its documents
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
    """The kind's name in the API and the pages."""
    opens: ClassVar[bytes] = b'"'
    """The first byte of the input's JSON; empty if it may be any."""
    is_json: ClassVar[bool] = False
    """Whether people enter it as JSON; otherwise it is a string and entered as plain text."""
    is_packed: ClassVar[bool] = False
    """Whether the worker leaves it as msgpack for the engine, because decoding it may take too much time."""
    is_text: ClassVar[bool] = False
    """Whether an input is itself the one text that the model reads for it."""
    has_texts: ClassVar[bool] = True
    """Whether held-out texts can be used as such inputs."""
    max_chars: int = 100_000
    """Default of `max_input_chars`."""
    least_chars: ClassVar[int] = 1
    """The smallest allowed `max_input_chars`."""
    max_batch_items: ClassVar[int] = 256
    """Default of the model's `max_batch_items`."""

    def accepts_all(self, items: Sequence[Any], limit: int) -> bool:
        """Whether a quick check accepts all inputs; otherwise `accept` decides for each."""
        return False

    def accept(self, item: Any, limit: int, pointer: str) -> None:
        """Raises InvalidRequest with the pointer for an input of another kind or above the limit."""
        self.check(item, pointer)
        size = self.measure(item)
        if size > limit:
            raise InvalidRequest(
                f"inputs: {size} characters exceed this model's limit of {limit}", pointer=pointer
            )

    @abstractmethod
    def check(self, item: Any, pointer: str) -> None:
        """Raises InvalidRequest with the pointer for an input of another kind."""

    @abstractmethod
    def measure(self, item: Any) -> int:
        """Returns the size to compare with the limit: characters, or bytes of JSON."""

    @abstractmethod
    def describe(self, limit: int) -> dict[str, Any]:
        """Returns the JSON Schema of one input; empty if it may be any value."""

    @abstractmethod
    def show(self, item: Any) -> str:
        """Returns the input in a readable form."""

    @abstractmethod
    def cut(self, item: Any, limit: int) -> Any:
        """Shortens an example to a limit of `least_chars` or more."""

    def texts(self, item: Any) -> list[str]:
        """Returns the texts that the model reads for this input, one per row of a forward pass.

        None if the cost does not depend on texts; all such inputs have the same cost.
        """
        return []


class Text(Input):
    """One text."""

    name = "text"
    is_text = True

    def accepts_all(self, items: Sequence[Any], limit: int) -> bool:
        """See Input. A list may hold thousands of texts, and a call for each takes longer than this."""
        return all(isinstance(item, str) and len(item) <= limit for item in items)

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
    """Several named texts: an object of one of `forms`. `rows` gives the texts that the model reads together.

    A text that is in several rows counts in each, because the limit applies to what the model must read.
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
        """Returns the form whose fields are all present; otherwise the first, to report what is missing."""
        given = item.keys() if isinstance(item, dict) else set()
        return next((form for form in self.forms if given >= set(form.__struct_fields__)), self.forms[0])


MAX_PACKED_RATIO = 3
"""Most bytes of msgpack per character of JSON: 0.5 takes nine bytes."""


class Json(Input):
    """Any JSON value."""

    name = "json"
    opens = b""
    is_json = True
    is_packed = True

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""

    def measure(self, item: Any) -> int:
        """See Input."""
        if isinstance(item, msgspec.Raw):  # msgpack from the queue; the exact size was checked at acceptance
            return len(memoryview(item)) // MAX_PACKED_RATIO
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
