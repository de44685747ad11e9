"""`models.toml`: what is left out has a default that fits, and what does not fit together is refused."""

from pathlib import Path

import pytest

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec, load_catalog

TASK = 'task = "fill-mask"\nsource = "here"'
CLASS = 'pipeline = "a.module:Class"'


def spec_of(folder: Path, table: str) -> ModelSpec:
    (folder / "models.toml").write_text(f"[models.one]\n{table}\n")
    return load_catalog(folder / "models.toml").default


@pytest.mark.parametrize(("table", "items"), [(TASK, 256), (CLASS, 32)])
def test_a_task_knows_more_of_its_batches_than_a_class(tmp_path: Path, table: str, items: int) -> None:
    spec = spec_of(tmp_path, table)
    assert spec.max_batch_items == items
    assert spec.token_budget is None
    assert spec_of(tmp_path, f"{table}\nmax_batch_items = 7\ntoken_budget = 9").max_batch_items == 7
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec


def test_held_out_texts_are_beside_the_file(tmp_path: Path) -> None:
    auto = f'{TASK}\ndtype = "auto"'
    assert spec_of(tmp_path, auto).held_out is None
    assert spec_of(tmp_path, f'{auto}\nheld_out = "mine.txt"').held_out == str(tmp_path / "mine.txt")
    assert spec_of(tmp_path, f'{auto}\nheld_out = "/there.txt"').held_out == "/there.txt"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (f'{CLASS}\ndtype = "int8"', 'dtype = "int8" is for a task'),
        (f'{CLASS}\ndtype = "auto"', 'dtype = "auto" is for a task'),
        (f'{TASK}\nheld_out = "mine.txt"', 'held_out is for dtype = "auto"'),
        (f'{TASK}\ndtype = "int4"', "dtype: Input should be"),
        (f"{TASK}\nmax_batchitems = 3", r"unknown key max_batchitems; did you mean max_batch_items\?"),
        ('pipeline = "a:B"\nparameters = {"a-b" = "integer"}', "must be one in Python, which 'a-b' is not"),
        (f"{TASK}\nnix = 3", "unknown key nix; known: description, task, "),
        (f"{TASK}\nthreads = 0", "threads: Input should be greater"),
        (f"{TASK}\ntoken_budget = 0", "token_budget: Input should be greater"),
        (f"{TASK}\nmax_batch_items = 0", "max_batch_items: Input should be greater"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, table: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"\[models.one\]: .*{reason}") as refused:
        spec_of(tmp_path, table)
    assert "\n" not in str(refused.value)
