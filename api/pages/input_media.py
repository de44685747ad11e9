"""The media among a job's inputs, as pages show them: thumbnails and players, read from the job's URLs."""

from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote

from api.pages.unserved import Unknown
from jobs.media.formats import Kind, recognise, summary
from jobs.media.values import Stored
from jobs.tasks.inputs import Input, Media, MediaRecord


class Medium(NamedTuple):
    """One picture, sound or video that a browser can fetch."""

    kind: Kind
    content_type: str
    url: str
    about: str
    """Its format and size, and the name of its field if it has one; also its text alternative."""
    size: int
    part: str = ""
    """The name of its field if it has one."""


def media_of(kind: Input, item: object, url: str) -> list[Medium]:
    """The media of one input. `url` is the address of that input."""
    return list(_media(kind, item, url))


def _media(kind: Input, item: object, url: str) -> Iterator[Medium]:
    if isinstance(kind, Media):
        yield from _medium(item, url, "")
    elif isinstance(kind, Unknown):
        yield from _any(item, url)
    elif isinstance(kind, MediaRecord) and isinstance(item, dict):
        for name in kind.media:
            value, path = item.get(name), f"{url}/{quote(name)}"
            if isinstance(value, list):
                for i, each in enumerate(value):
                    yield from _medium(each, f"{path}/{i}", f"{name} {i + 1}: ", name)
            else:
                yield from _medium(value, path, f"{name}: ", name)


def _any(item: object, url: str, *names: str) -> Iterator[Medium]:
    """The media anywhere in a value, each with its place in it."""
    if isinstance(item, list):
        for index, each in enumerate(item):
            yield from _any(each, f"{url}/{index}", *names, str(index + 1))
    elif isinstance(item, dict):
        for name, each in item.items():
            yield from _any(each, f"{url}/{quote(str(name))}", *names, str(name))
    else:
        yield from _medium(item, url, f"{' '.join(names)}: " if names else "")


def _medium(item: object, url: str, about: str, part: str = "") -> Iterator[Medium]:
    """The medium if its format is known; a stock client may have sent anything."""
    match item:
        case Stored(start=start, size=size):
            pass
        case bytes():
            start, size = item, len(item)
        case _:
            return
    if found := recognise(start):
        yield Medium(found.kind, found.content_type, url, about + summary(start, size), size, part)
