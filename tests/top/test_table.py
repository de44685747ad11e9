"""How figures and texts look on a terminal."""

import pytest

from top.figures import Bound
from top.table import at_most, duration, plain


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 ms"),
        (0.00123, "1.23 ms"),
        (0.2504, "250 ms"),
        (0.9996, "1 s"),
        (12.34, "12.3 s"),
        (119.0, "119 s"),
        (121.0, "2 min"),
        (7_200.0, "2 h"),
        (200_000.0, "2 d"),
    ],
)
def test_every_duration_has_its_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_bound_says_on_which_side_the_percentile_is() -> None:
    assert (at_most(Bound(0.035)), at_most(Bound(1800.0, above=True))) == ("≤35 ms", ">30 min")


def test_no_text_commands_the_terminal() -> None:
    assert plain("a\x1b[2Jb\u202ec\r\n[red]d") == "a [2Jb c  [red]d"
