"""The owner in payloads and records: of this release, of 0.1, of a newer one and of stock clients."""

import msgspec
import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import JobGone, JobNotFound
from jobs.ledger import keys
from jobs.ledger.records import Header, decode_record, encode_head
from tests.jobs.ledger import release_0_1
from tests.jobs.ledger.test_owners import like_unknown, of
from tests.jobs.ledger.test_upgrades import put
from tests.ledger import JobQueue


@pytest.mark.parametrize("name", release_0_1.RECORDS)
async def test_records_of_0_1_have_no_owner(queue: JobQueue, redis: ArqRedis, name: str) -> None:
    record = release_0_1.RECORDS[name]
    job_id = msgspec.msgpack.decode(record)["id"]
    await redis.set(keys.RESULT.of(job_id), record, ex=60)
    assert (await queue.read(job_id, sees="")) == (await queue.read(job_id, sees=None))
    with pytest.raises((JobNotFound, JobGone)):
        await queue.read(job_id, sees="alice")


@pytest.mark.parametrize("name", release_0_1.PAYLOADS)
async def test_payloads_of_0_1_have_no_owner(queue: JobQueue, redis: ArqRedis, name: str) -> None:
    job_id = await put(redis, release_0_1.PAYLOADS[name])
    assert (await queue.read(job_id, sees="")).owner is msgspec.UNSET
    await like_unknown(queue, job_id, "alice")
    await queue.cancel(job_id)
    assert (await queue.read(job_id, sees="")).status == "cancelled"


OURS, STOCK, ODD = ("t", "f", "k", "a", "et"), ("t", "f", "a", "k", "et"), ("f", "t", "a", "k", "et")


def payload(order: tuple[str, ...], envelope: dict[str, object], text: str = "a") -> bytes:
    fields = {"t": None, "f": "infer", "k": envelope, "a": [text], "et": 0}
    encoded = msgspec.msgpack.encode({name: fields[name] for name in order})
    return encoded[:-1] + b"\xcf" + (1_700_000_000_000).to_bytes(8)


@pytest.mark.parametrize("order", [STOCK, ODD])
async def test_a_stock_client_names_no_owner(
    queue: JobQueue, redis: ArqRedis, order: tuple[str, ...]
) -> None:
    job_id = await put(redis, payload(order, {"owner": "alice"}))
    await like_unknown(queue, job_id, "alice")
    assert (await queue.cancel(job_id, sees="")).owner is msgspec.UNSET


@pytest.mark.parametrize("length", [1, 300, 9_000])
async def test_an_owner_at_another_place_is_found(queue: JobQueue, redis: ArqRedis, length: int) -> None:
    """Of a newer release, which may add fields anywhere."""
    later = {"n": 1, "region": "x" * length, "owner": "alice", "priority": "normal"}
    job_id = await put(redis, payload(OURS, later))
    await like_unknown(queue, job_id, "bob")
    assert (await queue.cancel(job_id, sees="alice")).status == "cancelled"
    assert (await queue.read(job_id)).owner == "alice"


@pytest.mark.parametrize("name", ["*", "x" * 65, 'a"b', "\u00e9", 7, ["alice"], None])
async def test_what_is_no_name_is_no_owner(queue: JobQueue, redis: ArqRedis, name: object) -> None:
    job_id = await put(redis, payload(OURS, {"n": 1, "owner": name, "priority": "normal"}))
    assert (await queue.read(job_id, sees="")).owner is msgspec.UNSET
    assert (await queue.cancel(job_id, sees="")).status == "cancelled"


@pytest.mark.parametrize("owner", ["a", "x" * 64, "a.b_c@d-e", "0"])
async def test_every_name_of_an_owner_is_read(queue: JobQueue, owner: str) -> None:
    for text in ("a", "x" * 1_000):
        job, _ = await queue.submit(of(owner, text))
        assert (await queue.read(job.id)).owner == owner
        await queue.cancel(job.id, sees=owner)
        assert (await queue.read(job.id)).owner == owner


def test_a_record_without_owner_has_not_grown() -> None:
    header = Header(model="m", state="s", n=1, attempts=1, created=2, started=3, worker="w")
    size, fields = len(encode_head(header)), len(Header.__struct_fields__)
    assert encode_head(header)[2] == 0x90 + fields - 2, "neither owner nor lengths"
    owned = replace(header, owner="alice")
    assert len(encode_head(owned)) == size + 1 + len("alice")
    divided = replace(header, lengths=[3, 200])
    assert len(encode_head(divided)) == size + 1 + len(b"\x92\x03\xcc\xc8")
    for given in (header, owned, divided, replace(owned, lengths=[1])):
        record = decode_record(b"\xc1" + bytes(8) + encode_head(given) + b"[]")
        assert (record.header, record.results) == (given, b"[]")
