"""The batch size that a number of closed-loop clients allows, and the offline rate at it.

A client has one request under way. While a batch is computed, the answers of the batch before and the next
requests travel, so the batches of N clients have N / 2 texts: larger ones would leave the model idle. A
server cannot sort either, because it knows only these texts.
"""

from typing import NamedTuple

from bench.ceiling import Ceiling

LARGEST = 128
"""No larger batches are measured; on no machine so far was one faster."""

UNSORTED = (1, 2, 4, 8, 16, 32, 64, LARGEST)


class Allowed(NamedTuple):
    """What so many clients allow offline."""

    size: int
    rate: float
    """Texts per second in unsorted batches of this size."""


def allowed_size(clients: int) -> int:
    """Returns the largest size in UNSORTED that so many clients allow."""
    most = max(1, clients // 2)
    return max(size for size in UNSORTED if size <= most)


def allowed(clients: int, ceiling: Ceiling) -> Allowed:
    """Returns the unsorted rate at the size that so many clients allow.

    Clients that allow the largest size allow all of them, and the fastest counts.
    """
    size = allowed_size(clients)
    if size == LARGEST:
        size = max(ceiling.unsorted, key=ceiling.unsorted.__getitem__)
    return Allowed(size, ceiling.unsorted[size])


def best_up_to(clients: int, ceiling: Ceiling) -> Allowed:
    """Returns the fastest unsorted size that so many clients allow: padding can make a smaller one faster."""
    sizes = [size for size in ceiling.unsorted if size <= allowed_size(clients)]
    size = max(sizes, key=ceiling.unsorted.__getitem__)
    return Allowed(size, ceiling.unsorted[size])
