"""The command that writes the attack table: its row for each kind of test."""

import pytest

from tests.faults.attacks import BEGIN, END, Attacks, written

pytest_plugins = ["pytester"]

TESTS = """
    import pytest

    @pytest.fixture
    def untidy():
        yield
        raise AssertionError("something was left behind")

    @pytest.mark.attack("a flood", held="nothing is lost")
    @pytest.mark.parametrize("size", [1, 1_000])
    def test_flood(size, record_property):
        record_property("tried", f"{size} bodies")

    @pytest.mark.attack("a leak", held="memory comes back", tried="2 leaks")
    def test_leak(request):
        assert request.node.callspec.params["_attack_round"] > 0

    @pytest.mark.attack("a mess", held="nothing is left behind")
    def test_mess(untidy):
        pass

    @pytest.mark.attack("a full disk", held="what was accepted is there")
    def test_disk():
        pytest.skip("no disk")

    def test_that_is_no_attack():
        raise AssertionError("it must not count")
"""


def test_each_text_is_a_row_with_its_runs(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    # plugins would be imported deep in the call stack of this run, where Python 3.11's parser may fail
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\nmarkers = attack\n")
    pytester.makepyfile(TESTS)
    attacks = Attacks(times=3)
    pytester.inline_run("-p", "no:cacheprovider", "-m", "attack", plugins=[attacks])
    assert attacks.table()[2:] == [
        "| a flood | 6 runs, 3,003 bodies | nothing is lost | 6 of 6 |",
        "| a leak | 3 runs, 6 leaks | memory comes back | 2 of 3 |",
        "| a mess | 3 runs | nothing is left behind | 0 of 3 |",
        "| a full disk | 0 runs | what was accepted is there | not run: no disk |",
    ]
    assert not attacks.all_held


def test_the_table_takes_the_place_of_the_one_before() -> None:
    document = f"before\n\n{BEGIN}\n| old |\n{END}\n\nafter\n"
    assert written(document, ["| new |"]) == f"before\n\n{BEGIN}\n| new |\n{END}\n\nafter\n"
    with pytest.raises(ValueError, match="there is no"):
        written("a document without a table", [])
