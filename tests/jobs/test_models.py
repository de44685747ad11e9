"""`models.toml`: what is left out has a default that fits, and what does not fit together is refused."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from jobs.catalog import ModelCatalog, load_catalog
from jobs.errors import ConfigurationError, InvalidRequest, UnknownModel
from jobs.models import ModelSpec

IMAGES = 'task = "image-classification"\nsource = "here"'
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


@pytest.mark.parametrize(
    ("task", "name", "chars", "items"),
    [
        ("sentiment-analysis", "text-classification", 100_000, 256),
        ("rerank", "text-ranking", 1_000_000, 256),
        ("image-classification", "image-classification", 100_000, 32),
    ],
)
def test_a_task_has_its_own_limits_and_aliases(
    tmp_path: Path, task: str, name: str, chars: int, items: int
) -> None:
    table = f'task = "{task}"\nsource = "here"'
    spec = spec_of(tmp_path, table)
    assert (spec.task, spec.max_input_chars, spec.max_batch_items) == (name, chars, items)
    assert spec.definition.name == name
    assert spec_of(tmp_path, f"{table}\nmax_input_chars = 900").max_input_chars == 900
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec


def test_held_out_texts_are_beside_the_file(tmp_path: Path) -> None:
    auto = f'{TASK}\ndtype = "auto"'
    assert spec_of(tmp_path, auto).held_out is None
    assert spec_of(tmp_path, f'{auto}\nheld_out = "mine.txt"').held_out == str(tmp_path / "mine.txt")
    assert spec_of(tmp_path, f'{auto}\nheld_out = "/there.txt"').held_out == "/there.txt"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (f'{CLASS}\ndtype = "int8"', 'dtype = "int8" is allowed only with task'),
        (f'{CLASS}\ndtype = "auto"', 'dtype = "auto" is allowed only with task'),
        (f'{TASK}\nheld_out = "mine.txt"', 'held_out is allowed only with dtype = "auto"'),
        (f'{TASK}\ndtype = "int4"', "dtype: Input should be"),
        (f'{TASK}\nbackend = "onnx"', "backend: Input should be"),
        (
            f'{CLASS}\nbackend = "onnxruntime"',
            'backend = "onnxruntime" is allowed only for text-classification, ',
        ),
        (f'{IMAGES}\nbackend = "onnxruntime"', "allowed only for .*, text-ranking.*, not for image-"),
        (f'{TASK}\nbackend = "onnxruntime"\ndtype = "bfloat16"', "computes in float32, not in bfloat16"),
        (f"{TASK}\nmax_batchitems = 3", r"unknown key max_batchitems; did you mean max_batch_items\?"),
        (
            'pipeline = "a:B"\nparameters = {"a-b" = "integer"}',
            "must be a Python identifier, which 'a-b' is not",
        ),
        (f"{TASK}\nnix = 3", "unknown key nix; known: description, task, "),
        (
            f'{IMAGES}\ndtype = "auto"',
            'dtype = "auto" of image-classification needs held_out, a folder with media of your own',
        ),
        (
            'task = "depth-estimation"\nsource = "here"\ndtype = "auto"\nheld_out = "here"',
            'dtype = "auto" cannot compare the answers of depth-estimation',
        ),
        (f"{TASK}\nmax_input_bytes = 9", "max_input_bytes limits media, which this model does not accept"),
        ('task = "nix"\nsource = "here"', "unknown task 'nix'; known: text-classification, "),
        (f"{TASK}\nthreads = 0", "threads: Input should be greater"),
        (f"{TASK}\ntoken_budget = 0", "token_budget: Input should be greater"),
        (f"{TASK}\nmax_batch_items = 0", "max_batch_items: Input should be greater"),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path: Path, table: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"\[models.one\]: .*{reason}") as refused:
        spec_of(tmp_path, table)
    assert "\n" not in str(refused.value)


def catalog_of(folder: Path, text: str) -> ModelCatalog:
    (folder / "models.toml").write_text(text)
    return load_catalog(folder / "models.toml")


FEATURES = 'task = "feature-extraction"\nsource = "here"'
ZERO_SHOT = 'task = "zero-shot-classification"\nsource = "here"'
OWN = f'{CLASS}\nparameters = {{ depth = "integer", scale = "number", shape = "object" }}'


@pytest.mark.parametrize(
    ("table", "given", "run"),
    [
        (FEATURES, {"pooling": "cls"}, {"pooling": "cls"}),
        (
            f'{FEATURES}\ndefaults = {{ pooling = "mean", normalize = true }}',
            {},
            {"pooling": "mean", "normalize": True},
        ),
        (
            f'{FEATURES}\ndefaults = {{ pooling = "mean", normalize = true }}',
            {"normalize": False},
            {"pooling": "mean", "normalize": False},
        ),
        (f"{OWN}\ndefaults = {{ depth = 3, scale = 1 }}", {"depth": 4}, {"depth": 4, "scale": 1.0}),
        (f'{ZERO_SHOT}\ndefaults = {{ candidate_labels = ["a"] }}', {}, {"candidate_labels": ["a"]}),
        (
            f"{ZERO_SHOT}\ndefaults = {{ multi_label = true }}",
            {"candidate_labels": ["a"]},
            {"candidate_labels": ["a"], "multi_label": True},
        ),
    ],
)
def test_what_a_job_leaves_out_has_the_models_default(
    tmp_path: Path, table: str, given: dict[str, Any], run: dict[str, Any]
) -> None:
    spec = spec_of(tmp_path, table)
    assert spec.effective(given) == run
    assert ModelSpec.model_validate_json(spec.model_dump_json()) == spec


def test_a_required_parameter_without_a_default_stays_required(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, f"{ZERO_SHOT}\ndefaults = {{ multi_label = true }}")
    with pytest.raises(InvalidRequest, match="candidate_labels is missing"):
        spec.effective({})


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (f'{FEATURES}\ndefaults = {{ pooling = "nonsense" }}', "defaults/pooling: give none, mean, cls"),
        (
            f"{FEATURES}\ndefaults = {{ pool = 1 }}",
            "defaults: pool is unknown; there are pooling, normalize, dimensions and encoding",
        ),
        (f'{OWN}\ndefaults = {{ depth = "3" }}', "defaults/depth: give a whole number, not a text"),
        (f"{OWN}\ndefaults = {{ shape = {{ made = 2020-01-01 }} }}", "defaults: a date is not JSON"),
        (f"{FEATURES}\ndefault = {{ pooling = 'mean' }}", r"unknown key default; did you mean defaults\?$"),
        (f"{FEATURES}\nexample = 3", "example: expected a text or a list of texts"),
        (f"{FEATURES}\nexample = []", "example: give at least one input"),
        (
            f'{FEATURES}\nmax_inputs = 1\nexample = ["a", "b"]',
            "example: 2 inputs exceed this model's limit of 1",
        ),
        (f'{FEATURES}\nmax_input_chars = 2\nexample = "abc"', "example: 3 characters exceed"),
        (f'{CLASS}\ninput = "json"\nexample = {{ at = 07:32:00 }}', "example: a time is not JSON"),
        (f'{CLASS}\ninput = "json"\nexample = [[1.0, inf]]', "example: inf is not JSON"),
        (f'{TASK}\naliases = ["a b"]', "aliases.0: String should match"),
        (f'{TASK}\naliases = ["two", "two"]', r"aliases: 'two' is already an alias of \[models.one\]"),
        (f'{TASK}\naliases = ["one"]', r"aliases: 'one' is already the name of \[models.one\]"),
    ],
)
def test_a_default_example_or_alias_that_cannot_work_is_refused(
    tmp_path: Path, table: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"\[models.one\]: .*{reason}") as refused:
        spec_of(tmp_path, table)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("example", ['"one text"', '["two", "texts"]'])
def test_an_example_is_what_inputs_would_be(tmp_path: Path, example: str) -> None:
    assert spec_of(tmp_path, f"{TASK}\nexample = {example}").example == tomllib.loads(f"e = {example}")["e"]
    rows = spec_of(tmp_path, f'{CLASS}\ninput = "json"\nexample = [[5.1, 3.5], {{ a = true }}]')
    assert rows.example == [[5.1, 3.5], {"a": True}]
    assert ModelSpec.model_validate_json(rows.model_dump_json()) == rows


def test_a_model_is_found_by_each_of_its_names(tmp_path: Path) -> None:
    catalog = catalog_of(
        tmp_path,
        f'[models."BAAI/bge-small-en-v1.5"]\n{TASK}\naliases = ["bge"]\n'
        f'[models.minilm]\n{TASK}\naliases = ["MiniLM", "sentence-transformers/all-MiniLM-L6-v2"]\n',
    )
    assert list(catalog.specs) == ["BAAI/bge-small-en-v1.5", "minilm"]
    assert catalog["bge"] is catalog["BAAI/bge-small-en-v1.5"] is catalog.default
    assert catalog["sentence-transformers/all-MiniLM-L6-v2"] is catalog["MiniLM"] is catalog["minilm"]
    with pytest.raises(UnknownModel, match="no model named 'Minilm' is served"):
        catalog["Minilm"]


@pytest.mark.parametrize(
    ("alias", "taken"),
    [
        ("other", r"\[models.one\]: aliases: 'other' is already the name of"),
        ("shared", "is already an alias of .*one"),
    ],
)
def test_an_alias_leads_to_one_model_only(tmp_path: Path, alias: str, taken: str) -> None:
    tables = f'[models.one]\n{TASK}\naliases = ["{alias}"]\n[models.other]\n{TASK}\naliases = ["shared"]\n'
    with pytest.raises(ConfigurationError, match=taken):
        catalog_of(tmp_path, tables)


@pytest.mark.parametrize(
    "name", ["a/b/c", "/a", "a/", "../a", "a/..", "a:b", "a*", "a b", "{a}", "a\\n", "é", "a" * 129]
)
def test_a_name_that_a_key_or_an_address_cannot_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="name: String should"):
        catalog_of(tmp_path, f'[models."{name}"]\n{TASK}\n')


@pytest.mark.parametrize(
    ("heading", "hint"),
    [
        ("[models.BAAI/bge-small-en]", 'a name with a slash needs quotes: [models."BAAI/bge-small-en"]'),
        ("[models.bge-small-en-v1.5]", 'a name with a dot needs quotes, as in [models."bge-small-en-v1.5"]'),
    ],
)
def test_a_name_without_its_quotes_is_explained(tmp_path: Path, heading: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(hint)):
        catalog_of(tmp_path, f"{heading}\n{TASK}\n")


@pytest.mark.parametrize(
    ("written", "task"), [("sentiment-analysis", "text-classification"), ("ner", "token-classification")]
)
def test_transformers_names_of_tasks_are_known(tmp_path: Path, written: str, task: str) -> None:
    assert spec_of(tmp_path, f'task = "{written}"\nsource = "here"').task == task


def test_a_translation_may_name_its_languages(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, 'task = "translation_en_to_fr"\nsource = "here"\ndefaults = { num_beams = 2 }')
    assert (spec.task, spec.defaults) == (
        "translation",
        {"src_lang": "en", "tgt_lang": "fr", "num_beams": 2},
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("text-clasification", "did you mean 'text-classification'"),
        ("text-embedding", "did you mean 'feature-extraction'"),
        ("music", r"unknown task 'music'; known: .*sentiment-analysis.*pipeline = \"module:Class\""),
    ],
)
def test_an_unknown_task_points_to_one_that_is_known(tmp_path: Path, written: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        spec_of(tmp_path, f'task = "{written}"\nsource = "here"')
