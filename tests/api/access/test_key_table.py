"""The table of secrets finds each of them, whatever shares its bucket."""

import math

from api.access.key_table import NOBODY, Entry, KeyTable
from jobs.access.api_key import ApiKey, new_id, new_secret, raw_digest


def entry(secret: str, until: float = math.inf, fault: str = "") -> Entry:
    return Entry(raw_digest(secret), ApiKey(id=new_id(), owner="alice", digest=""), until, fault)


def test_every_secret_of_a_large_table_is_found() -> None:
    given = {secret: entry(secret) for secret in (new_secret() for _ in range(5_000))}
    table = KeyTable(given.values())
    for secret, each in given.items():
        assert table.find(secret, 0) == (each.key, "", True, True)
    for _ in range(5_000):
        found = table.find(new_secret(), 0)
        assert (found.fault, found.same, found.accepted) == ("unknown", False, False)


def test_an_entry_is_accepted_until_its_time() -> None:
    table = KeyTable([entry("bl_a", until=10, fault="expired")])
    assert table.find("bl_a", 9.9).accepted
    late = table.find("bl_a", 10)
    assert (late.fault, late.same, late.accepted) == ("expired", True, False)


def test_an_empty_table_knows_nobody() -> None:
    assert KeyTable(()).find("bl_a", 0) == (NOBODY, "unknown", False, False)


def test_of_equal_digests_the_last_one_counts() -> None:
    first, last = entry("bl_a"), entry("bl_a")
    assert KeyTable([first, last]).find("bl_a", 0).key == last.key
