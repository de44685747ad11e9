"""Rows of different lengths become one rectangle."""

from worker.engine.pipelines.text.padding import pad_left, pad_right


def test_short_rows_are_filled_at_their_end() -> None:
    assert pad_right([[1, 2, 3], [4]], 9).tolist() == [[1, 2, 3], [4, 9, 9]]


def test_prompts_are_filled_with_their_own_first_token_and_masked() -> None:
    """A repetition penalty would count any other token as one that occurred."""
    ids, mask = pad_left([[1, 2, 3], [4, 5]])
    assert ids.tolist() == [[1, 2, 3], [4, 4, 5]]
    assert mask.tolist() == [[1, 1, 1], [0, 1, 1]]
