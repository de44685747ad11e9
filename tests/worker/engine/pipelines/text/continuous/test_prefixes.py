"""Which beginnings of prompts are kept, and which go when there is no more room."""

from collections.abc import Sequence

import pytest
import torch

from worker.engine.pipelines.text.continuous import prefixes
from worker.engine.pipelines.text.continuous.prefixes import Layers, Prefixes


def computed(kept: Prefixes, text: str) -> int:
    """A prompt, each letter a token, is computed; returns how many of its positions were known."""
    blocks = kept.blocks([*map(ord, text)])
    kept.see(blocks)
    known = kept.known(blocks)
    kept.keep(blocks, len(text), lambda start, end: layers(text[start:end]))
    return known


def layers(text: str) -> Layers:
    values = torch.tensor([[[float(ord(letter))] for letter in text]])
    return [(values, -values)]


def read(kept: Prefixes, text: str) -> str:
    """What is kept of a prompt."""
    parts = kept.read(kept.blocks([*map(ord, text)]))
    for [(keys, values)] in parts:
        assert torch.equal(keys, -values)
    return "".join(chr(int(one)) for [(keys, _)] in parts for one in keys.flatten())


def test_what_two_prompts_begin_with_is_known_to_the_third() -> None:
    kept = Prefixes(None, size=2)
    assert [computed(kept, text) for text in ("abcdef", "abcdxy", "abcdzz", "abxxxx", "xxcdef")] == [
        0,
        0,
        4,
        2,
        0,
    ]
    assert read(kept, "abcdqq") == "abcd"
    assert read(kept, "abqqqq") == "ab"
    assert read(kept, "cdqqqq") == ""


def test_the_last_token_is_always_computed() -> None:
    """The next one follows from it."""
    kept = Prefixes(None, size=2)
    assert [computed(kept, "abcd") for _ in range(3)] == [0, 0, 2]
    assert [computed(kept, "a") for _ in range(3)] == [0, 0, 0]


def test_prompts_that_share_nothing_keep_nothing() -> None:
    kept = Prefixes(None, size=2)
    for text in ("abcd", "cdab", "efgh", "ab"):
        computed(kept, text)
    assert kept.positions == kept.stored == 0


def test_a_prompt_computed_in_part_keeps_only_whole_blocks() -> None:
    kept = Prefixes(None, size=2)
    blocks = kept.blocks([*map(ord, "abcdefgh")])
    kept.see(blocks)
    kept.see(blocks)
    kept.keep(blocks, 5, lambda start, end: layers("abcdefgh"[start:end]))
    assert read(kept, "abcdefgh") == "abcd"


def test_the_beginning_that_was_not_used_for_longest_goes_first() -> None:
    kept = Prefixes(8, size=2)
    for text in ("abcd?", "abcd!", "efgh?", "efgh!", "abcd."):
        computed(kept, text)
    assert kept.positions == 8
    for text in ("ijkl?", "ijkl!"):
        computed(kept, text)
        assert kept.positions <= 8
    assert [read(kept, text) for text in ("abcd.", "efgh.", "ijkl.")] == ["abcd", "", "ijkl"]


def test_the_end_of_a_beginning_goes_before_its_start() -> None:
    kept = Prefixes(6, size=2)
    for text in ("abcdef?", "abcdef!", "xy?", "xy!"):
        computed(kept, text)
    assert [read(kept, text) for text in ("abcdef.", "xy.")] == ["abcd", "xy"]


@pytest.mark.parametrize("positions", [0, 1, 2, 5])
def test_a_beginning_longer_than_the_memory_is_kept_as_far_as_it_fits(positions: int) -> None:
    kept = Prefixes(positions, size=2)
    for text in ("abcdefgh?", "abcdefgh!"):
        computed(kept, text)
    assert read(kept, "abcdefgh.") == "abcdefgh"[: positions // 2 * 2]
    assert kept.positions <= positions
    assert not kept.lacking(kept.blocks([*map(ord, "abcdefgh.")]))


def test_the_number_of_blocks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefixes, "MAX_BLOCKS", 4)
    kept = Prefixes(None, size=2)
    texts: Sequence[str] = ("abcd?", "abcd!", "efgh?", "ijkl?")
    for text in texts:
        computed(kept, text)
        assert len(kept._blocks) <= 4
    assert kept.positions == 0
    assert read(kept, "abcd.") == ""
