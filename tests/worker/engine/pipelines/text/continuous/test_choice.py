"""Each row's token is chosen by its own settings."""

from collections import Counter

import pytest
import torch
import transformers

from worker.engine.pipelines.text.continuous.choice import Choice, choose

CPU = torch.device("cpu")


def test_tokens_are_drawn_as_often_as_they_are_probable() -> None:
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.0, 0.2, 0.0])
    row = Choice([], [1], 9, "any", True, 3, CPU)
    drawn: Counter[object] = Counter()
    for _ in range(2_000):
        drawn.update(choose(probabilities.log()[None].clone(), [row]))
    assert set(drawn) == {0, 2, 4}
    assert drawn[0] / 2_000 == pytest.approx(0.5, abs=0.05)
    assert drawn[4] / 2_000 == pytest.approx(0.2, abs=0.05)


def test_rows_with_other_settings_do_not_share_them() -> None:
    logits = torch.tensor([[1.0, 2.0, 3.0]]).repeat(4, 1)
    suppressed = transformers.SuppressTokensLogitsProcessor([2])
    penalty = transformers.RepetitionPenaltyLogitsProcessor(9.0)
    rows = [
        Choice([], [2], 9, "plain", False, None, CPU),
        Choice([suppressed], [2], 9, "suppressed", False, None, CPU),
        Choice([penalty], [2, 1], 9, "penalty", False, None, CPU),
        Choice([penalty], [0], 9, "penalty", False, None, CPU),
    ]
    assert choose(logits, rows) == [2, 1, 0, 2]
    rows[3].append(2)
    assert choose(torch.tensor([[1.0, 2.0, 3.0]]), rows[3:]) == [1]


def test_a_row_without_probabilities_fails_alone() -> None:
    logits = torch.tensor([[0.0, 1.0], [float("nan"), 1.0]])
    rows = [Choice([], [1], 9, "any", True, 3, CPU) for _ in range(2)]
    token, error = choose(logits, rows)
    assert token in (0, 1)
    assert str(error) == "the model's probabilities are not numbers"
