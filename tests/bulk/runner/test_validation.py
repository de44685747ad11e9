"""Which files are refused, with which codes, and how a valid file is cut into chunks."""

from collections.abc import AsyncIterator, Iterator

import pytest

from bulk.batches.batch import MAX_FAULTS
from bulk.runner.input_lines import split
from bulk.runner.validation import CHUNK_BYTES, Validation
from tests.bulk.batches.table import asked
from tests.bulk.runner.echoing import Echoing, request

LONGEST = 4_000
BOM = b"\xef\xbb\xbf"


async def parts(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def validated(
    content: bytes,
    size: int = 1_000,
    *,
    most: int = 1_000,
    per_chunk: int = 2,
    models: frozenset[str] = frozenset(),
) -> Validation:
    validation = Validation(asked(models=models), Echoing(per_chunk), most, LONGEST)
    await validation.read(split(parts(content, size), LONGEST))
    return validation


def with_body(custom_id: str, body: object) -> bytes:
    return request(custom_id, body=body)


FIRST = request("a")
BAD = [
    pytest.param(b"", [("empty_file", None)], id="empty"),
    pytest.param(b"\n \r\n\n", [("empty_file", None)], id="blank lines only"),
    pytest.param(FIRST + b"{nonsense}\n", [("invalid_json_line", 2)], id="no JSON"),
    pytest.param(FIRST + b"[1]\n", [("invalid_json_line", 2)], id="a list"),
    pytest.param(FIRST + b'"text"', [("invalid_json_line", 2)], id="a text without a line break"),
    pytest.param(FIRST + request("b")[:-9], [("invalid_json_line", 2)], id="truncated"),
    pytest.param(FIRST + b'{"a":' * 3_000, [("invalid_json_line", 2)], id="too long and deep"),
    pytest.param(b"[" * 3_000, [("invalid_json_line", 1)], id="deep"),
    pytest.param(FIRST + b'{"custom_id": "\xff"}\n', [("invalid_json_line", 2)], id="not UTF-8"),
    pytest.param("{}".encode("utf-16"), [("invalid_json_line", 1)], id="UTF-16"),
    pytest.param(b"PK\x03\x04\x00\x00\n", [("invalid_json_line", 1)], id="an archive"),
    pytest.param(request("b", "x" * LONGEST) + FIRST, [("invalid_json_line", 1)], id="a long line"),
    pytest.param(FIRST * 2 + request("b"), [("duplicate_custom_id", 2)], id="twice"),
    pytest.param(request(""), [("missing_custom_id", 1)], id="an empty custom_id"),
    pytest.param(request(5), [("missing_custom_id", 1)], id="a number as custom_id"),
    pytest.param(b'{"method": "POST"}', [("missing_custom_id", 1)], id="no custom_id"),
    pytest.param(request("x" * 600), [("invalid_custom_id", 1)], id="a long custom_id"),
    pytest.param(request("a", method="GET"), [("invalid_method", 1)], id="GET"),
    pytest.param(request("a", method=None), [("invalid_method", 1)], id="no method"),
    pytest.param(request("a", url="/v1/moderations"), [("url_mismatch", 1)], id="another url"),
    pytest.param(request("a", url=[]), [("url_mismatch", 1)], id="a list as url"),
    pytest.param(with_body("a", []), [("invalid_body", 1)], id="a list as body"),
    pytest.param(with_body("a", None), [("invalid_body", 1)], id="no body"),
    pytest.param(with_body("a", {}), [("model_not_found", 1)], id="no model"),
    pytest.param(with_body("a", {"model": "none"}), [("model_not_found", 1)], id="an unknown model"),
    pytest.param(FIRST + with_body("b", {"model": "other"}), [("model_mismatch", 2)], id="two models"),
    pytest.param(
        request("a", method="PUT") + b"\n" + request("a", url="/x") + FIRST + FIRST,
        [("invalid_method", 1), ("url_mismatch", 3), ("duplicate_custom_id", 5)],
        id="several faults",
    ),
]


@pytest.mark.parametrize(("content", "expected"), BAD)
async def test_bad_files(content: bytes, expected: list[tuple[str, int | None]]) -> None:
    for size in (1, 7, 100_000):
        found = await validated(content, size)
        assert [(fault.code, fault.line) for fault in found.faults] == expected
        assert all(fault.message for fault in found.faults)


async def test_a_line_of_20_mb_is_named_and_not_kept() -> None:
    def long() -> Iterator[bytes]:
        yield FIRST
        yield b'{"custom_id": "b", "body": "'
        for _ in range(20):
            yield b"x" * 1_000_000
        yield b'"}\n' + request("c")

    async def streamed() -> AsyncIterator[bytes]:
        for part in long():
            yield part

    found = Validation(asked(), Echoing(), 1_000, LONGEST)
    sizes = []
    async for line in split(streamed(), LONGEST):
        sizes.append((line.number, line.size, line.content is None))
    assert sizes[1][0] == 2
    assert sizes[1][1] > 20_000_000
    assert [kept for _, _, kept in sizes] == [False, True, False]
    await found.read(split(streamed(), LONGEST))
    assert [(fault.code, fault.line) for fault in found.faults] == [("invalid_json_line", 2)]


async def test_so_many_lines() -> None:
    lines = b"".join(request(str(number)) for number in range(11))
    found = await validated(lines, most=10)
    assert [(fault.code, fault.line) for fault in found.faults] == [("too_many_tasks", None)]
    assert "more than 10 requests" in found.faults[0].message
    assert not (await validated(lines, most=11)).faults


async def test_so_many_faults_are_listed() -> None:
    found = await validated(b"nonsense\n" * 500)
    assert len(found.faults) == MAX_FAULTS
    assert found.faults[-1].line == MAX_FAULTS


async def test_a_model_that_the_key_may_not_use() -> None:
    found = await validated(FIRST, models=frozenset({"other"}))
    assert [fault.code for fault in found.faults] == ["model_not_found"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"".join([request("a"), request("b"), request("c")]), id="usual"),
        pytest.param(b"".join([request("a"), request("b"), request("c")])[:-1], id="without the last break"),
        pytest.param(BOM + b"".join([request("a"), request("b"), request("c")]), id="BOM"),
        pytest.param(b"".join([request("a"), request("b"), request("c")]).replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(b"\n".join([b"", request("a"), request("b"), request("c"), b"\n"]), id="blank lines"),
    ],
)
async def test_chunks(content: bytes) -> None:
    found = await validated(content, 50)
    assert (found.faults, found.total) == ([], 3)
    assert found.spec is not None
    assert found.spec.name == "echo"
    assert [chunk.lines for chunk in found.chunks] == [2, 1]
    for chunk, expected in zip(found.chunks, [[b'"a"', b'"b"'], [b'"c"']], strict=True):
        text = content[chunk.offset : chunk.offset + chunk.size]
        assert [part for part in (b'"a"', b'"b"', b'"c"') if part in text] == expected
    numbers = [chunk.first for chunk in found.chunks]
    [third] = [at for at, line in enumerate(content.split(b"\n"), 1) if b'"c"' in line]
    assert numbers[1] == third


async def test_a_chunk_has_so_many_bytes() -> None:
    line = request("0", "x" * 3_000)
    lines = b"".join(request(str(number), "x" * 3_000) for number in range(800))
    found = await validated(lines, 100_000, per_chunk=500)
    assert len(found.chunks) == 3
    assert max(chunk.size for chunk in found.chunks) <= CHUNK_BYTES < 500 * len(line)
    assert sum(chunk.lines for chunk in found.chunks) == 800
