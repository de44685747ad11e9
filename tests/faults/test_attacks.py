"""The command that writes the attack table: its row for each kind of test."""

import ast
from collections.abc import Iterator

import pytest

from tests.faults.attacks import BEGIN, DOCUMENT, END, ROOT, Attacks, written

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


def attacks_in_the_tests() -> Iterator[str]:
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)) if "mark.attack" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.attack":
                yield ast.literal_eval(node.args[0])


def test_every_attack_has_its_row_in_the_document() -> None:
    table = DOCUMENT.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    rows = {line.split(" | ")[0].removeprefix("| ") for line in table.strip().splitlines()[2:]}
    assert set(attacks_in_the_tests()) == rows, "`make attacks` writes the table"
