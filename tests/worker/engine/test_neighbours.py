"""Engines that start together load at once and measure in turn, but none waits for long."""

import threading
from pathlib import Path

import pytest

from worker.engine import neighbours
from worker.engine.neighbours import Neighbours


def test_engines_load_at_once(tmp_path: Path) -> None:
    with Neighbours(tmp_path).loading(), Neighbours(tmp_path).loading():
        pass


def test_one_measures_after_the_others_have_loaded(tmp_path: Path) -> None:
    order: list[str] = []
    waits = threading.Event()

    def measure() -> None:
        waits.set()
        with Neighbours(tmp_path).measuring() as alone:
            order.append("alone" if alone else "beside others")

    other = threading.Thread(target=measure)
    with Neighbours(tmp_path).loading():
        other.start()
        assert waits.wait(60)
        order.append("loaded")
    other.join(60)
    assert order == ["loaded", "alone"]


@pytest.mark.parametrize("busy", ["loading", "measuring"])
def test_an_engine_measures_beside_others_rather_than_wait_for_ever(
    busy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "PATIENCE", 0.0)
    with getattr(Neighbours(tmp_path), busy)(), Neighbours(tmp_path).measuring() as alone:
        assert not alone
    with Neighbours(tmp_path).measuring() as alone:
        assert alone, "the lock ended with its holder"


def test_without_a_cache_an_engine_counts_as_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (None, tmp_path / "file" / "folder"):
        with Neighbours(folder).measuring() as one, Neighbours(folder).measuring() as other:
            assert one
            assert other
