"""The fields of /try for inputs that are no single text: files, and one for each name of a record. No I/O."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec import inspect

from api.edge.json_shape import check_shape
from api.v1.model_schemas import example
from jobs.errors import InvalidRequest
from jobs.media.formats import of_kind
from jobs.models import ModelSpec
from jobs.tasks.inputs import Input, Media, MediaRecord, Record, TextOrPair

FILE = "file"
"""The name of the only field of an input that is one medium."""
PREFIX = "i."
"""The prefix of a record's names in the form."""
PAIR = "text_pair"
"""The name of the second text of a pair."""
MAX_EXAMPLE = 64 * 1024
"""Maximum characters of an example's picture or sound that is part of the page."""


class Upload(NamedTuple):
    """A file that was sent with a form."""

    filename: str
    content: bytes


Uploads = Mapping[str, Sequence[Upload]]
"""Files by the name of their field."""


class InputField(NamedTuple):
    """One field. `name` is that in the form, `part` that in the record; empty if it is the whole input."""

    name: str
    part: str
    label: str
    kind: Literal["text", "lines", "json", "image", "audio", "video"]
    required: bool
    several: bool = False
    """Whether it takes several files."""
    is_list: bool = False
    """Whether its value is always a list."""
    value: str = ""
    """The typed text."""
    example: Any = None
    """What is sent if no file is chosen: the model's example, or None without one."""

    @property
    def is_media(self) -> bool:
        return self.kind in ("image", "audio", "video")

    @property
    def accept(self) -> str:
        """What the browser's dialog for files offers."""
        formats = of_kind(self.kind)  # type: ignore[arg-type]
        return ",".join(each for known in formats for each in (known.content_type, f".{known.extension}"))

    @property
    def example_url(self) -> str:
        """The example as a data URL, if it is one and small."""
        given = self.example[0] if isinstance(self.example, list) and self.example else self.example
        shown = isinstance(given, str) and given.startswith(f"data:{self.kind}/")
        return given if shown and len(given) <= MAX_EXAMPLE else ""


def fields(spec: ModelSpec, form: Mapping[str, str] | None = None) -> list[InputField]:
    """The fields of the model's inputs, filled in with the form's texts or with the example.

    Empty for texts and JSON, which are typed into one field.
    """
    kind = spec.definition.input
    if isinstance(kind, Media):
        several = spec.max_inputs > 1
        return [InputField(FILE, "", _named(kind), kind.kind, True, several, example=example(spec)["inputs"])]
    if not isinstance(kind, Record):
        return []
    given = example(spec)["inputs"]
    sample = given[0] if isinstance(given, list) and given else given
    known = sample if isinstance(sample, dict) else {}
    return [_field(kind, each, known, form) for each in msgspec.structs.fields(kind.forms[0])]


def second_text(spec: ModelSpec, form: Mapping[str, str]) -> InputField | None:
    """The field of a text that the model reads together with each input, if it reads pairs."""
    if not isinstance(spec.definition.input, TextOrPair):
        return None
    name = PREFIX + PAIR
    return InputField(name, PAIR, "Second text", "text", False, value=form.get(name, ""))


def paired(text: str, spec: ModelSpec, form: Mapping[str, str]) -> Any:
    """The text with the second one, if there is one; otherwise the text."""
    field = second_text(spec, form)
    second = field.value.replace("\r\n", "\n") if field else ""
    return {"text": text, PAIR: second} if second.strip() else text


def inputs(spec: ModelSpec, form: Mapping[str, str], uploads: Uploads) -> Any:
    """The inputs that were sent. Raises InvalidRequest with the pointer of a missing or invalid part."""
    found: dict[str, Any] = {}
    for field in fields(spec):
        pointer = f"/inputs/{field.part}" if field.part else "/inputs"
        value = _sent(field, uploads, pointer) if field.is_media else _typed(field, form, pointer)
        if not field.part:
            return value
        if value is not msgspec.UNSET:
            found[field.part] = value
    return found


def _named(kind: Input) -> str:
    return kind.name.capitalize()


def _field(
    kind: Record,
    declared: "msgspec.structs.FieldInfo",
    known: Mapping[str, Any],
    form: Mapping[str, str] | None,
) -> InputField:
    name, part, label = PREFIX + declared.name, declared.name, declared.name.replace("_", " ").capitalize()
    types = _types(declared.type)
    is_list = all(isinstance(each, inspect.ListType) for each in types)
    if isinstance(kind, MediaRecord) and declared.name in kind.media:
        several = any(isinstance(each, inspect.ListType) for each in types)
        medium = kind.media[declared.name].kind
        return InputField(
            name, part, label, medium, declared.required, several, is_list, example=known.get(part)
        )
    texts = is_list and all(isinstance(each.item_type, inspect.StrType) for each in types)
    is_text = any(isinstance(each, inspect.StrType) for each in types)
    how: Literal["text", "lines", "json"] = "lines" if texts else "text" if is_text else "json"
    before = None if form is None else form.get(name)
    value = _written(how, known.get(part)) if before is None else before
    return InputField(name, part, label, how, declared.required, value=value)


def _types(declared: Any) -> list[Any]:
    """The types that a field may have, without null."""
    found = inspect.type_info(declared)
    types = found.types if isinstance(found, inspect.UnionType) else (found,)
    return [each for each in types if not isinstance(each, inspect.NoneType)]


def _written(how: str, value: Any) -> str:
    if value is None:
        return ""
    if how == "lines" and isinstance(value, list):
        return "\n".join(map(str, value))
    return value if how == "text" and isinstance(value, str) else msgspec.json.encode(value).decode()


def _sent(field: InputField, uploads: Uploads, pointer: str) -> Any:
    """The files of the field, or the example without any."""
    files = [upload.content for upload in uploads.get(field.name, ())]
    if files:
        if len(files) > 1 and not field.several:
            raise InvalidRequest(f"{field.label}: send one file, not {len(files)}", pointer=pointer)
        return files if field.is_list or len(files) > 1 else files[0]
    if field.example is not None:
        return field.example
    if field.required:
        raise InvalidRequest(f"{field.label}: choose a file", pointer=pointer)
    return msgspec.UNSET


def _typed(field: InputField, form: Mapping[str, str], pointer: str) -> Any:
    text = form.get(field.name, "").replace("\r\n", "\n")
    if field.kind == "lines":
        return [line for line in text.split("\n") if line.strip()]
    if not text.strip() and not field.required:
        return msgspec.UNSET
    if field.kind == "text":
        return text
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(f"{field.label}: this is not valid JSON", pointer=pointer) from None
    check_shape(value, pointer)
    return value
