"""Reservations of an owner's quota while an upload is received."""

from collections.abc import AsyncIterator

import pytest

from bulk.files import reservation
from bulk.files.files import Files
from tests.bulk.files.test_files import new


async def test_a_file_that_is_larger_than_announced_reserves_in_steps(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a gzipped body is. One script for each piece would make the upload slow."""
    sizes = list[int]()
    reserve = reservation.Reservation._reserve

    async def noted(self: reservation.Reservation, size: int, wanted: int = 0) -> None:
        sizes.append(size)
        await reserve(self, size, wanted)

    monkeypatch.setattr(reservation.Reservation, "_reserve", noted)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(1_000)

    assert (await files.create(new(), pieces(), announced=500)).bytes == 100_000
    assert sizes == [500, 1_000]
