"""Files of outputs, such as masks and sounds.

In an output a file is an address below its job's. In a row it is a data URL, because the job is deleted once
its rows are stored. The object keeps its form: `{"url", "content_type", "bytes"}`.
"""

import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from api.dialects import output_files
from api.line_calls import Result
from api.problems.problem import Refusal
from jobs.media import files

ReadFile = Callable[[str, str], Awaitable[bytes | None]]
"""Reads a file of a job by its name; None if it is gone."""


async def included(results: Sequence[Result], job_id: str, read: ReadFile) -> Sequence[Result]:
    """The results with the contents of their files in place of the addresses. Raises Refusal."""
    start = output_files.start_of(job_id)
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
    for name in dict.fromkeys(output_files.names(value, start)):
        content = await read(job_id, name)
        if content is None:
            raise Refusal("job-gone", "the files of the outputs are gone")
        contents[name] = content

    def as_data_url(file: dict[str, Any], name: str) -> dict[str, Any]:
        content = base64.b64encode(contents[name]).decode()
        return file | {"url": f"data:{files.content_type(name)};base64,{content}"}

    return msgspec.Raw(msgspec.json.encode(output_files.filled(value, start, as_data_url)))
