"""The offline rate beside which a number of clients is measured."""

import pytest

from bench.allowed import UNSORTED, allowed, allowed_size, best_up_to
from bench.ceiling import Ceiling

RATES = {1: 50.0, 2: 80.0, 4: 70.0, 8: 90.0, 16: 110.0, 32: 130.0, 64: 120.0, 128: 100.0}
CEILING = Ceiling(2, {8: 200.0}, 1, {}, RATES)


@pytest.mark.parametrize(
    ("clients", "size"), [(1, 1), (2, 1), (8, 4), (9, 4), (64, 32), (256, 128), (10_000, 128)]
)
def test_half_of_the_clients_texts_make_a_batch_and_half_travel(clients: int, size: int) -> None:
    assert allowed_size(clients) == size


@pytest.mark.parametrize(
    ("clients", "expected"), [(1, (1, 50)), (8, (4, 70)), (64, (32, 130)), (256, (32, 130))]
)
def test_the_rate_is_that_of_the_size_or_the_best_if_all_are_allowed(
    clients: int, expected: tuple[int, float]
) -> None:
    assert allowed(clients, CEILING) == expected


@pytest.mark.parametrize(("clients", "expected"), [(1, (1, 50)), (8, (2, 80)), (64, (32, 130))])
def test_a_smaller_size_can_be_faster(clients: int, expected: tuple[int, float]) -> None:
    assert best_up_to(clients, CEILING) == expected


def test_all_sizes_are_measured() -> None:
    assert set(UNSORTED) == set(RATES)
