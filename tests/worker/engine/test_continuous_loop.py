"""The engine with continuous batching: which rows are computed together, and how each is answered."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.gate import Gate
from tests.waiting import until
from tests.worker.conftest import poison_spec
from worker.engine.protocol import Joined, Partial, Raised, Ran, Reply, Run, Withdrawn
from worker.supervisor.engine import Engine, EngineDied


class Rows:
    """Sends rows, and keeps what the engine replies."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.replies: dict[int, list[Reply | EngineDied]] = {}
        self.order: list[int] = []
        """Rows in the order of their final replies."""
        engine.rows.patience = 60.0
        engine.rows.on_reply = self._replied

    def _replied(self, row: int, reply: Reply | EngineDied) -> None:
        self.replies[row].append(reply)
        if not isinstance(reply, Joined | Partial):
            self.order.append(row)

    def send(self, text: str, tokens: int = 3, *, stream: bool = False) -> int:
        inputs: list[Any] = [text]
        row = self.engine.send_row(Run(inputs, {"tokens": tokens}, stream=stream))
        self.replies[row] = []
        return row

    def joined(self, row: int) -> bool:
        return any(isinstance(reply, Joined) for reply in self.replies[row])

    async def until_joined(self, *rows: int) -> None:
        async def all_joined() -> bool:
            return all(map(self.joined, rows))

        await until(all_joined)

    async def answers(self, *rows: int) -> list[Any]:
        """The final replies of these rows."""

        async def all_answered() -> bool:
            return all(row in self.order for row in rows)

        await until(all_answered)
        return [self.replies[row][-1] for row in rows]

    async def output(self, row: int) -> dict[str, Any]:
        [answer] = await self.answers(row)
        assert isinstance(answer, Ran), answer
        assert isinstance(answer.outputs[0], bytes)
        decoded: dict[str, Any] = msgspec.json.decode(answer.outputs[0])
        return decoded


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[Engine]:
    options = {"slots": 3, "memory": 1_000}
    spec = poison_spec(
        pipeline="tests.worker.rolling:Rolling", parameters={"tokens": "integer"}, options=options
    )
    engine = Engine(spec, None)
    await engine.start()
    yield engine
    await engine.kill()


@pytest.fixture
def rows(engine: Engine) -> Rows:
    assert not engine.rows
    return Rows(engine)


async def test_a_short_row_that_comes_later_ends_first(rows: Rows, gate: Gate) -> None:
    long = rows.send(gate.text)
    await rows.until_joined(long)
    short = rows.send("short", 5)
    assert await rows.output(short) == {"text": "short", "tokens": 5, "companions": 2}
    assert long not in rows.order
    gate.open()
    assert (await rows.output(long))["companions"] == 2


async def test_a_row_reports_its_part_of_the_time_and_its_neighbours(rows: Rows, gate: Gate) -> None:
    alone = rows.send("a b")
    [ran] = await rows.answers(alone)
    assert (ran.steps, ran.rows, ran.tokens) == (3, 1.0, 2)
    assert ran.compute_ms >= 3.0, "each step takes at least a millisecond"
    long = rows.send(gate.text)
    await rows.until_joined(long)
    [ran] = await rows.answers(rows.send("short", 20))
    assert (ran.steps, ran.rows) == (20, 2.0)
    gate.open()
    [last] = await rows.answers(long)
    assert 1.0 < last.rows <= 2.0


async def test_a_row_that_ends_gives_its_slot_to_the_next(rows: Rows, gate: Gate) -> None:
    first, *held = [rows.send("until /", 1), rows.send(gate.text), rows.send(gate.text)]
    next_rows = [rows.send(f"next {i}") for i in range(3)]
    await rows.answers(first, *next_rows)
    assert rows.order == [first, *next_rows]
    gate.open()
    await rows.answers(*held)


async def test_none_passes_a_row_that_does_not_fit_yet(rows: Rows, gate: Gate) -> None:
    first = rows.send(gate.text, 600)
    await rows.until_joined(first)
    large, small = rows.send("large", 500), rows.send("small", 1)
    rows.engine.withdraw_row(rows.send("another"))  # it is answered after the others were looked at

    async def withdrawn() -> bool:
        return len(rows.order) == 1

    await until(withdrawn)
    assert not rows.joined(large)
    assert not rows.joined(small)
    gate.open()
    await rows.answers(large, small)
    assert rows.order[1:] == [first, small, large], "they were computed together"


async def test_a_step_comes_between_long_prompts(rows: Rows, gate: Gate) -> None:
    first = rows.send(gate.text, 1_000)
    await rows.until_joined(first)
    long = [rows.send("x " * count, 1) for count in (1_500, 1_500, 3_000)]
    rows.engine.withdraw_row(rows.send("another"))  # it is answered after the others were looked at

    async def withdrawn() -> bool:
        return len(rows.order) == 1

    await until(withdrawn)
    gate.open()
    assert [(await rows.output(row))["companions"] for row in long] == [1, 1, 1]


async def test_long_prompts_that_are_known_join_together(rows: Rows, gate: Gate) -> None:
    first = rows.send(gate.text, 1_000)
    await rows.until_joined(first)
    long = [rows.send("known " * 1_500, 1) for _ in range(3)]
    rows.engine.withdraw_row(rows.send("another"))  # it is answered after the others were looked at

    async def withdrawn() -> bool:
        return len(rows.order) == 1

    await until(withdrawn)
    gate.open()
    assert [(await rows.output(row))["companions"] for row in long] == [3, 3, 3]


async def test_a_row_that_never_fits_fails(rows: Rows) -> None:
    [answer] = await rows.answers(rows.send("huge", 2_000))
    assert answer == Raised("the model has too little memory for this input")


async def test_withdrawn_rows_leave_and_the_others_continue(rows: Rows, gate: Gate) -> None:
    running = [rows.send("until /never") for _ in range(3)]
    waiting, last = rows.send("waiting"), rows.send("last")
    await rows.until_joined(*running)
    for row in (running[1], waiting):
        rows.engine.withdraw_row(row)
    answers = await rows.answers(running[1], waiting)
    assert answers == [Withdrawn(), Withdrawn()]
    assert (await rows.output(last))["text"] == "last"
    for row in (running[0], running[2]):
        assert row not in rows.order
        rows.engine.withdraw_row(row)
    await rows.answers(*running)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("refuse me", "'refuse me' is refused"),
        ("raise row", "ValueError: this text is bad"),
        ("raise join", "ValueError: this text is bad"),
        ("err", "ValueError: this row is bad"),
        ("raise output", "ValueError: this text is bad"),
    ],
)
async def test_an_error_of_one_row_fails_it_alone(rows: Rows, gate: Gate, text: str, detail: str) -> None:
    held = rows.send(gate.text)
    bad, good = rows.send(text), rows.send("good")
    [answer] = await rows.answers(bad)
    assert answer == Raised(detail)
    assert (await rows.output(good))["tokens"] == 3
    gate.open()
    await rows.answers(held)


async def test_a_step_that_raises_is_the_answer_to_all_its_rows(rows: Rows, gate: Gate) -> None:
    held = rows.send(gate.text)
    await rows.until_joined(held)
    bad = rows.send("raise")
    assert await rows.answers(held, bad) == [Raised("ValueError: this text is bad", rows=2)] * 2
    assert (await rows.output(rows.send("after")))["companions"] == 1


async def test_a_row_without_memory_to_join_waits_until_another_leaves(rows: Rows, gate: Gate) -> None:
    held = rows.send(gate.text)
    await rows.until_joined(held)
    short_of_memory, behind = rows.send("exhaust join"), rows.send("behind")
    await rows.until_joined(short_of_memory)
    gate.open()
    await rows.answers(held, short_of_memory, behind)
    assert rows.order[0] == held
    assert (await rows.output(short_of_memory))["text"] == "exhaust join"


async def test_a_step_without_memory_says_so(rows: Rows, gate: Gate) -> None:
    held = rows.send(gate.text)
    await rows.until_joined(held)
    for answer in await rows.answers(held, rows.send("exhaust")):
        assert (answer.shortage, answer.rows) == (True, 2)


async def test_partial_answers_come_only_if_they_are_wanted(rows: Rows) -> None:
    streamed, other = rows.send("a", 3, stream=True), rows.send("b", 3)
    await rows.answers(streamed, other)
    parts = [reply for reply in rows.replies[streamed] if isinstance(reply, Partial) and reply.text]
    assert parts == [Partial("1 ", 1), Partial("2 ", 2), Partial("3 ", 3)]
    assert not any(isinstance(reply, Partial) and reply.text for reply in rows.replies[other])


async def test_half_a_character_does_not_end_the_engine(rows: Rows) -> None:
    """A class of a user's own may return any string."""
    torn = rows.send("torn", stream=True)
    await rows.answers(torn)
    parts = [reply for reply in rows.replies[torn] if isinstance(reply, Partial) and reply.text]
    assert parts == [Partial("?", number) for number in (1, 2, 3)]


async def test_an_engine_that_computes_shows_that_it_is_alive(rows: Rows, gate: Gate) -> None:
    held = rows.send(gate.text)

    async def alive() -> bool:
        return any(isinstance(reply, Partial) and not reply.text for reply in rows.replies[held])

    await until(alive)
    gate.open()
    await rows.answers(held)


async def test_a_row_is_answered_with_its_engines_end(engine: Engine, rows: Rows) -> None:
    held, bad = rows.send("until /never"), rows.send("die")
    for answer in await rows.answers(held, bad):
        assert isinstance(answer, EngineDied)
        assert "SIGSEGV" in str(answer)
    await engine.restart()
    assert (await rows.output(rows.send("after")))["tokens"] == 3


async def test_an_engine_that_reports_nothing_hangs(engine: Engine, rows: Rows) -> None:
    engine.rows.patience = 0.5
    [answer] = await rows.answers(rows.send("hang"))
    assert isinstance(answer, EngineDied)
    assert answer.kind == "engine-timeout"
    await engine.restart()
