"""Files of outputs, such as masks and sounds.

In an output a file is an address below its job's. In a row it is a data URL, because the job is deleted once
its rows are stored. The object keeps its form: `{"url", "content_type", "bytes"}`.
"""

import base64
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from api.line_calls import Result
from api.problems.problem import Refusal
from jobs.media import files

ReadFile = Callable[[str, str], Awaitable[bytes | None]]
"""Reads a file of a job by its name; None if it is gone."""


async def included(results: Sequence[Result], job_id: str, read: ReadFile) -> Sequence[Result]:
    """The results with the contents of their files in place of the addresses. Raises Refusal."""
    start = files.link_start(job_id, 0).removesuffix("0-")
    mark = start.encode()
    if not any(result.output is not UNSET and mark in bytes(result.output) for result in results):
        return results
    return [
        result
        if result.output is UNSET
        else replace(result, output=await _output(result.output, start, read))
        for result in results
    ]


async def _output(output: msgspec.Raw, start: str, read: ReadFile) -> msgspec.Raw:
    value = msgspec.json.decode(output)
    contents = {}
    job_id = start.split("/")[3]
    for name in dict.fromkeys(_names(value, start)):
        content = await read(job_id, name)
        if content is None:
            raise Refusal("job-gone", "the files of the outputs are gone")
        contents[name] = content
    return msgspec.Raw(msgspec.json.encode(_filled(value, contents, start)))


def _name(value: Any, start: str) -> str | None:
    """The name of the file that a value of an output is, or None."""
    match value:
        case {"url": str(url), "content_type": str(), "bytes": int()} if url.startswith(start):
            return url.removeprefix(start)
    return None


def _names(value: Any, start: str) -> Iterator[str]:
    if (name := _name(value, start)) is not None:
        yield name
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _names(part, start)


def _filled(value: Any, contents: Mapping[str, bytes], start: str) -> Any:
    if (name := _name(value, start)) is not None:
        content = base64.b64encode(contents[name]).decode()
        return value | {"url": f"data:{files.content_type(name)};base64,{content}"}
    if isinstance(value, dict):
        return {key: _filled(part, contents, start) for key, part in value.items()}
    if isinstance(value, list):
        return [_filled(part, contents, start) for part in value]
    return value
