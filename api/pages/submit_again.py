"""The command of a job's page that submits the same again. It reads the job's media from the server."""

from collections.abc import Iterator
from typing import Any

import msgspec
from starlette.requests import Request

from api.pages import curl_lines
from api.pages.curl_lines import Part
from api.pages.input_media import Medium, media_of
from api.pages.unserved import Unknown
from jobs.ledger.views import JobInputs
from jobs.media.formats import FORMATS
from jobs.media.values import Stored, changed
from jobs.schema import Job
from jobs.tasks.inputs import Input, Media

MAX_MEDIA = 8
"""Most media of a job for which there is a command: each takes a line."""

_EXTENSIONS = {each.content_type: each.extension for each in FORMATS}


def line(request: Request, job: Job, given: JobInputs, kind: Input) -> str | None:
    """The command, or None if it is too long or the inputs are not known."""
    if not given.inputs or given.partial or isinstance(kind, Unknown):  # it would be refused
        return None
    if kind.has_media:
        return _of_media(request, job, given, kind)
    if _count(given.inputs):  # the model had another task when the job was submitted; it would be refused
        return None
    inputs = given.inputs[0] if given.single else given.inputs
    body = {"model": job.model, "inputs": inputs}
    if given.parameters:
        body["parameters"] = given.parameters
    if given.keep:
        body["keep_inputs"] = True
    return curl_lines.submit(request, body)


def _of_media(request: Request, job: Job, given: JobInputs, kind: Input) -> str | None:
    """A command for inputs with media: a pipe for one medium, otherwise a file for each."""
    each = [
        media_of(kind, item, f"{job.urls['self']}/inputs/{index}") for index, item in enumerate(given.inputs)
    ]
    media = [medium for found in each for medium in found]
    if not 0 < len(media) == _count(given.inputs) <= MAX_MEDIA:
        return None  # a stock client may have sent anything
    alone = len(media) == 1 and isinstance(kind, Media)
    if alone and not given.parameters:
        [one] = media
        return curl_lines.again(request, job.model, one.url, one.content_type, given.keep)
    names = ["-"] if alone else [_name(medium, number) for number, medium in enumerate(media, 1)]
    unused = iter(names)
    parts = [Part("model", job.model)]
    for index, (item, found) in enumerate(zip(given.inputs, each, strict=True)):
        place = "inputs" if isinstance(kind, Media) or len(each) == 1 else f"inputs.{index}"
        parts += [Part(_place(place, medium.part), next(unused), "file") for medium in found]
        parts += _others(item, found, place)
    if given.parameters:
        parts.append(Part("parameters", _json(given.parameters)))
    if given.keep:
        parts.append(Part("keep_inputs", "true"))
    submit = curl_lines.of_parts(request, parts)
    if alone:
        return f"{curl_lines.fetch(request, media[0].url)} |\n{submit}"
    saves = [curl_lines.save(request, medium.url, name) for medium, name in zip(media, names, strict=True)]
    command = " &&\n".join([*saves, submit])
    return command if len(command) <= curl_lines.MAX_BODY else None


def _others(item: object, media: list[Medium], place: str) -> Iterator[Part]:
    """The parts for the values of a record that are no media."""
    known = {medium.part for medium in media}
    for name, value in item.items() if isinstance(item, dict) else ():
        if name not in known:
            is_text = isinstance(value, str)
            text = value if is_text else _json(value)
            yield Part(_place(place, name), text, "text" if is_text else "json")


def _place(place: str, part: str) -> str:
    return f"{place}.{part}" if part else place


def _count(inputs: Any) -> int:
    """The number of media that are kept within the inputs."""
    found: list[object] = []
    changed(inputs, lambda medium: found.append(medium) if isinstance(medium, bytes | Stored) else None)
    return len(found)


def _name(medium: Medium, number: int) -> str:
    return f"input-{number}.{_EXTENSIONS[medium.content_type]}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
