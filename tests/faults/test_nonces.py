"""Unique inputs while engines are killed: each output belongs to its input. Long form: `make nonces`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import nonces


@pytest.mark.attack(
    "engines are killed (SIGKILL) at random moments while unique inputs run in batches",
    held="every output belongs to its input, none is missing",
)
async def test_every_output_is_its_inputs(
    tmp_path: Path, tried: Callable[[int, str], None], figure: Callable[[str], None]
) -> None:
    found = await nonces.run(tmp_path, inputs=2_000, kills=10, seed=1)
    figure(str(found))
    tried(found.inputs, "inputs")
    tried(found.kills, "kills")
    assert (found.wrong, found.lost) == ([], [])
    assert (found.right, found.kills) == (2_000, 10)
