"""Answers with files of outputs, such as masks and sounds, which clients read from the answer itself.

In an output a file is an address. In the answer it is base64, or the file's bytes are the whole answer.
"""

import base64
from collections.abc import Mapping
from typing import Any
from weakref import finalize

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import caller_of
from api.dialects import output_files
from api.edge.decoding import THREAD_BYTES, in_thread
from api.edge.json_reply import JsonReply
from api.problems.exceptions import EXPECTED, problem_of
from api.problems.problem import Refusal
from api.services import services
from api.waiting.large_results import MEMORY_SECONDS
from jobs.media import files

MEMORY_PER_BYTE = 4
"""Bytes of memory per byte of a file: the file, its base64, and the answer."""


OF_BODY = ("cache-control", "content-length", "content-type")
"""Headers that are of this answer only. The others are of its job."""


class FileAnswer(JsonReply):
    """An answer whose files are not read yet. `filled` makes the response that is sent."""

    def __init__(self, job_id: str, answer: Any, body: str | None) -> None:
        """`body` is the value of the answer that is a file and the whole response, if any."""
        super().__init__(b"", 200, {})
        self._job_id = job_id
        self._answer = answer
        self._body = body

    async def filled(self, request: Request) -> Response:
        """The response with the files. Raises Refusal with the headers of the answer and the job's id."""
        try:
            return await self._filled(request)
        except EXPECTED as error:
            problem = problem_of(error)
            of_job = {name: value for name, value in self.headers.items() if name not in OF_BODY}
            extensions = {**problem.extensions, "job_id": self._job_id}
            headers = {**problem.headers, **of_job}
            raise Refusal(problem.kind, problem.detail, headers=headers, **extensions) from None

    async def _filled(self, request: Request) -> Response:
        shared, sees = services(request), caller_of(request.scope).sees
        start = output_files.start_of(self._job_id)
        answer = self._answer if self._body is None else self._answer.get(self._body)
        names = dict.fromkeys(output_files.names(answer, start))
        if self._body is not None and not names:
            raise Refusal("job-failed", "the output has no file", job_id=self._job_id)
        found = {name: await shared.ledger.attachments.file(self._job_id, name, sees=sees) for name in names}
        size = sum(each.size for each in found.values() if each is not None)
        share = await shared.budget.acquire(MEMORY_PER_BYTE * size, MEMORY_SECONDS)
        try:
            contents: dict[str, bytes] = {}
            for name, each in found.items():
                content = None if each is None else await each.read(0, each.size)
                if content is None:
                    raise Refusal("job-gone", "the files of the outputs are gone", job_id=self._job_id)
                contents[name] = content
            given = answer, contents, start
            heavy = size >= THREAD_BYTES
            response = await in_thread(self._response, *given) if heavy else self._response(*given)
        except BaseException:
            share.release()
            raise
        finalize(response, share.release)
        return response

    def _response(self, answer: Any, contents: Mapping[str, bytes], start: str) -> Response:
        kept = [
            header for header in self.raw_headers if header[0] not in (b"content-length", b"content-type")
        ]
        if self._body is not None:
            [(name, content)] = contents.items()
            response: Response = Response(content, media_type=files.content_type(name))
        else:

            def in_base64(_: dict[str, Any], name: str) -> str:
                return base64.b64encode(contents[name]).decode()

            answer = output_files.filled(answer, start, in_base64)
            response = JsonReply(msgspec.json.encode(answer), 200, {})
            kept = [header for header in kept if header[0] != b"cache-control"]
        response.raw_headers.extend(kept)
        return response
