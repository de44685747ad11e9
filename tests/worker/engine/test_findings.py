"""What an engine measured is known to the next one, as long as nothing has changed."""

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobs.models import ModelSpec
from worker.engine import findings
from worker.engine.findings import Findings, FindingsStore
from worker.engine.protocol import Cost, Loaded
from worker.supervisor.engine import Engine


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "batchline" / "findings"


def written(cache: Path) -> int:
    return len(list(cache.iterdir()))


def damage(cache: Path) -> None:
    """The file's content is not even text."""
    for file in cache.iterdir():
        file.write_bytes(b'{"key": {"a": "\xff"}}')


class Record:
    """The sizes of the batches that an engine ran at its start."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "record"

    async def start(self, **fields: Any) -> tuple[Loaded, list[int]]:
        before = len(self._sizes())
        engine = Engine(self._spec(**fields), None)
        try:
            loaded = await engine.start()
        finally:
            await engine.kill()
        return loaded, self._sizes()[before:]

    def _spec(self, **fields: Any) -> ModelSpec:
        pipeline = "tests.worker.engine.pipelines.own:Counted"
        return ModelSpec(name="mine", pipeline=pipeline, options={"record": str(self.file)}, **fields)

    def _sizes(self) -> list[int]:
        return list(map(int, self.file.read_text().split())) if self.file.exists() else []


async def test_a_second_start_does_not_measure_again(tmp_path: Path, cache: Path) -> None:
    record = Record(tmp_path)
    first, measured = await record.start()
    assert max(measured) == 32
    assert written(cache) == 1
    second, ran = await record.start()
    assert ran == [2]  # warm-up
    assert second.cost == first.cost


async def test_another_limit_is_measured_anew(tmp_path: Path, cache: Path) -> None:
    record = Record(tmp_path)
    await record.start()
    _, measured = await record.start(max_batch_items=8)
    assert max(measured) == 8


async def test_the_operators_budget_is_used_and_not_remembered(tmp_path: Path, cache: Path) -> None:
    record = Record(tmp_path)
    pinned, _ = await record.start(token_budget=77)
    assert pinned.cost.budget == 77
    found, ran = await record.start()
    assert found.cost.budget != 77
    assert ran == [2]


async def test_a_cache_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("BATCHLINE_CACHE_DIR", str(tmp_path / "file"))
    loaded, measured = await Record(tmp_path).start()
    assert loaded.cost.fixed_ms + loaded.cost.token_ms > 0
    assert max(measured) == 32
    assert capfd.readouterr().err.count("cannot be written") == 1


FOUND = Findings({"format": 1, "source": "a"}, Cost(512, 5.0, 0.1), "float32", "")


def test_findings_are_recalled_under_the_same_circumstances(tmp_path: Path) -> None:
    store = FindingsStore(tmp_path / "new" / "folder")
    assert store.load(FOUND.key) is None
    store.save(FOUND)
    assert store.load(FOUND.key) == FOUND
    assert store.load({**FOUND.key, "source": "b"}) is None


@pytest.mark.parametrize(
    "text", ["", "{", "{}", '{"key": {}, "cost": {"budget": 1}, "dtype": "", "why": ""}']
)
def test_a_damaged_file_is_no_finding(tmp_path: Path, text: str) -> None:
    store = FindingsStore(tmp_path)
    store.save(FOUND)
    [file] = tmp_path.iterdir()
    file.write_text(text)
    assert store.load(FOUND.key) is None


def test_findings_of_a_busy_machine_serve_for_an_hour(tmp_path: Path) -> None:
    store = FindingsStore(tmp_path)
    store.save(busy := msgspec.structs.replace(FOUND, settled=False))
    assert store.load(FOUND.key) == busy
    [file] = tmp_path.iterdir()
    two_hours_ago = time.time() - 7200
    os.utime(file, (two_hours_ago, two_hours_ago))
    assert store.load(FOUND.key) is None
    store.save(FOUND)
    os.utime(file, (two_hours_ago, two_hours_ago))
    assert store.load(FOUND.key) == FOUND


def test_no_home_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-of-this-name/cache")
    assert findings.folder(None) is None
    store = FindingsStore(None)
    store.save(FOUND)
    assert store.load(FOUND.key) is None


def test_other_weights_are_other_circumstances(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"1")
    os.utime(weights, ns=(1, 1))
    spec = ModelSpec(name="tiny", task="fill-mask", source="here")
    seen = [findings.measurement_key(spec, tmp_path, 2)]
    assert findings.measurement_key(spec.model_copy(update={"name": "renamed"}), tmp_path, 2) == seen[0]
    seen.append(findings.measurement_key(spec, tmp_path, 1))
    os.utime(weights, ns=(2, 2))
    seen.append(findings.measurement_key(spec, tmp_path, 2))
    weights.write_bytes(b"12")
    os.utime(weights, ns=(2, 2))
    seen.append(findings.measurement_key(spec, tmp_path, 2))
    seen.append(findings.measurement_key(spec.model_copy(update={"dtype": "bfloat16"}), tmp_path, 2))
    assert all(one != other for i, one in enumerate(seen) for other in seen[:i])


async def test_what_is_no_text_counts_as_nothing(tmp_path: Path, cache: Path) -> None:
    record = Record(tmp_path)
    await record.start()
    damage(cache)
    _, measured = await record.start()
    assert max(measured) == 32
