"""Record: several named texts."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from jobs.tasks.inputs.base import Input, InputLimits
from jobs.tasks.inputs.showing import as_json, shown
from jobs.validation import explained, properties


class Record(Input):
    """Several named texts: an object of one of `forms`. `rows` gives the texts that the model reads together.

    A text that is in several rows counts in each, because the limit applies to what the model must read. The
    first form whose required fields are all present applies.
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

    def describe(self, limits: InputLimits) -> dict[str, Any]:
        """See Input."""
        return {"anyOf": [_object(form) for form in self.forms]}

    def show(self, item: Any) -> str:
        """See Input."""
        if not isinstance(item, dict):
            return as_json(item)
        return "\n".join(f"{name}: {shown(value)}" for name, value in item.items())

    def cut(self, item: Any, limit: int) -> Any:
        """See Input."""
        each = limit // max(1, sum(map(len, self.rows(item))))
        return {name: _cut(value, each) for name, value in item.items()}

    def texts(self, item: Any) -> list[str]:
        """See Input."""
        return [" ".join(row) for row in self.rows(item)]

    def _form(self, item: Any) -> type[msgspec.Struct]:
        """Returns the form whose fields are all present; otherwise the first, to report what is missing."""
        given = item.keys() if isinstance(item, dict) else set()
        return next((form for form in self.forms if given >= _required(form)), self.forms[0])


def _object(form: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties(form),
        "required": [name for name in form.__struct_fields__ if name in _required(form)],
        "additionalProperties": False,
    }


def _required(form: type[msgspec.Struct]) -> set[str]:
    return {field.name for field in msgspec.structs.fields(form) if field.required}


def _cut(value: Any, each: int) -> Any:
    if isinstance(value, list) and all(isinstance(entry, str) for entry in value):
        return [text[:each] for text in value]
    return value[:each] if isinstance(value, str) else value
