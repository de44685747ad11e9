"""From rounds to lines: the best setting of a peer, ratios within a round, and what went wrong."""

import pytest

from bench.peers import batchline, picture, table
from bench.peers.measuring import Measured
from bench.peers.peer import Setting
from bench.peers.rounds import rotated, settings_for
from bench.peers.summary import Line, Summary, summarize
from tests.bench.peers.peers import PEER, a_round, measured

MACHINE = {"cpu": "a cpu", "cores": "2", "load before": "0.1", "torch": "2"}


def own(rate: float, name: str = batchline.NAME) -> Measured:
    return measured(name, None, rate)


def find(summary: Summary, setting: str, name: str = "other") -> Line:
    [line] = [each for each in summary.served if (each.name, each.setting) == (name, setting)]
    return line


def test_after_the_first_round_a_peer_runs_as_shipped_and_at_its_best() -> None:
    assert settings_for(PEER, []) == [Setting(32), Setting(4), Setting(8)]
    first = a_round(100, [measured("other", 32, 90), measured("other", 4, 40), measured("other", 8, 50)])
    assert settings_for(PEER, [first]) == [Setting(32), Setting(8)]


def test_wrong_answers_never_make_a_setting_the_fastest() -> None:
    wrong = measured("other", 8, 50, cosine=0.9)
    assert settings_for(PEER, [a_round(100, [measured("other", 4, 40), wrong])]) == [Setting(32), Setting(4)]


def test_a_peer_that_failed_everywhere_is_tried_as_shipped() -> None:
    broken = Measured("other", Setting(4), problem="it ended")
    assert settings_for(PEER, [a_round(100, [broken])]) == [Setting(32)]


def test_rounds_begin_at_different_places_and_omit_no_contender() -> None:
    steps = list(range(7))
    assert [rotated(steps, by)[0] for by in range(3)] == [0, 2, 4]
    assert all(sorted(rotated(steps, by)) == steps for by in range(9))


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [
        a_round(100, [own(80), measured("other", 32, 40), measured("other", 8, 50)]),
        a_round(50, [own(40), measured("other", 32, 10), measured("other", 8, 20)]),
    ]
    summary = summarize(rounds, [PEER], {})
    shipped, tuned = find(summary, "as shipped, batch 32"), find(summary, "tuned, batch 8")
    assert shipped.behind is not None
    assert (shipped.behind.least, shipped.behind.median, shipped.behind.most) == (2, 3, 4)
    assert tuned.behind is not None
    assert (tuned.behind.least, tuned.behind.most) == (1.6, 2)
    assert shipped.of_ceiling is not None
    assert (shipped.of_ceiling.least, shipped.of_ceiling.most) == (0.2, 0.4)
    assert [line.name for line in summary.served] == ["batchline", "other", "other"]
    assert summary.tried == {"other": {"batch 32": 40, "batch 8": 50}}


def test_batchline_with_its_own_dtype_has_a_line_where_it_was_measured() -> None:
    with_it = a_round(100, [own(80), own(200, batchline.AUTO), measured("other", 32, 40)])
    summary = summarize([with_it], [PEER], {})
    assert summary.served[0].name == batchline.AUTO
    without = summarize([a_round(100, [own(80), measured("other", 32, 40)])], [PEER], {})
    assert batchline.AUTO not in [line.name for line in without.served]


def draw(summary: Summary) -> str:
    versions = {"other": {"python": "3", "other": "1"}}
    return table.draw(summary, MACHINE, versions, 2) + picture.draw(summary, MACHINE)


def test_the_table_shows_wrong_answers_and_the_picture_omits_them() -> None:
    summary = summarize([a_round(100, [own(80), measured("other", 32, 40, cosine=0.95)])], [PEER], {})
    assert "WRONG ANSWERS: cosine 0.950000" in draw(summary)
    assert "as shipped" not in picture.draw(summary, MACHINE)


def test_the_table_lists_unmeasured_peers_with_their_reasons() -> None:
    broken = a_round(100, [own(80), Measured("other", Setting(32), problem="it ran out of luck")])
    text = draw(summarize([broken], [PEER], {"third": "No matching distribution"}))
    assert "other as shipped, batch 32                        not measured: it ran out of luck" in text
    assert "NOT MEASURED: third: No matching distribution" in text


def test_the_table_shows_in_how_many_rounds_a_peer_was_measured() -> None:
    good = a_round(100, [own(80), measured("other", 32, 40)])
    bad = a_round(100, [own(80), Measured("other", Setting(32), problem="it went away")])
    assert "in 1 rounds only: it went away" in draw(summarize([good, bad], [PEER], {}))


def test_peers_go_without_batchline_when_it_failed() -> None:
    broken = Measured(batchline.NAME, None, problem="no stack")
    summary = summarize([a_round(100, [broken, measured("other", 32, 40)])], [PEER], {})
    line = find(summary, "as shipped, batch 32")
    assert line.rate is not None
    assert line.rate.median == pytest.approx(40)
    assert line.behind is None
    assert "batchline                                         not measured: no stack" in draw(summary)


def test_the_echo_has_lines_of_its_own() -> None:
    echoed = [own(1000), Measured("other", PEER.echo_setting, measured("other", 1, 500).load)]
    summary = summarize([a_round(100, [own(80), measured("other", 32, 40)], echoed)], [PEER], {})
    assert [(line.name, line.behind and line.behind.median) for line in summary.echoed] == [
        ("batchline", 1),
        ("other", 2),
    ]
