"""Documents get the same scores as in plain transformers for each pair alone, in any batch."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, load
from tests.worker.engine.pipelines.tiny.text import POSITIONS

LONG = "we waited in the town and the engine was late, the bridge closed; " * 12
QUERIES: list[dict[str, Any]] = [
    {"query": "the late engine", "documents": ["good!", LONG, "Anna wrote a letter", "", "the late engine"]},
    {"query": "who met in Paris?", "document": "Anna and London met in Paris in the winter."},
    {"query": LONG, "documents": ["one", LONG]},
    {"query": "a", "documents": ["two of the"]},
]


def plain_scores(folder: Path, queries: list[dict[str, Any]]) -> list[list[float]]:
    """The model's number for each pair, called with one pair at a time."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    load_model = transformers.AutoModelForSequenceClassification.from_pretrained
    model = load_model(folder, dtype=torch.float32).eval()
    positions = tokenizer.model_max_length if tokenizer.model_max_length < 1_000 else POSITIONS - 1
    scores = []
    for one in queries:
        documents = one.get("documents") or [one["document"]]
        rows = [
            tokenizer([one["query"]], [text], truncation=True, max_length=positions, return_tensors="pt")
            for text in documents
        ]
        with torch.inference_mode():
            scores.append([float(model(**row).logits[0, 0]) for row in rows])
    return scores


@pytest.mark.parametrize("model", ["text-ranking", "text-ranking-raw", "roberta-ranking"])
@pytest.mark.parametrize("function", [None, "sigmoid", "none"])
def test_scores_are_those_of_each_pair_alone(
    model_folder: ModelFolder, model: str, function: str | None
) -> None:
    folder = model_folder(model)
    pipeline: Any = load(folder, "text-ranking", max_batch_items=5)
    assert pipeline.layout == "packed"
    outputs = pipeline.run(QUERIES, {} if function is None else {"function_to_apply": function})
    raw = function == "none" or (function is None and model == "text-ranking-raw")
    for one, output, numbers in zip(QUERIES, outputs, plain_scores(folder, QUERIES), strict=True):
        expected = numbers if raw else torch.tensor(numbers).sigmoid().tolist()
        entries = output if "documents" in one else [output]
        assert [entry["score"] for entry in entries] == pytest.approx(expected, abs=1e-5)
        if "documents" in one:
            assert [entry["index"] for entry in output] == list(range(len(expected)))


def test_as_sentence_transformers_ranks(model_folder: ModelFolder) -> None:
    """Where it is installed, as with what `make bench` needs."""
    library = pytest.importorskip("sentence_transformers")
    folder = model_folder("text-ranking")
    query, documents = QUERIES[0]["query"], QUERIES[0]["documents"]
    theirs = library.CrossEncoder(str(folder), device="cpu").rank(query, documents, top_k=3)
    [ours] = load(folder, "text-ranking").run([QUERIES[0]], {"top_k": 3})
    assert [entry["index"] for entry in ours] == [entry["corpus_id"] for entry in theirs]
    assert [entry["score"] for entry in ours] == pytest.approx(
        [float(entry["score"]) for entry in theirs], abs=1e-5
    )


def test_the_best_come_first_when_so_many_are_asked_for(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("text-ranking"), "text-ranking")
    [everything] = pipeline.run(QUERIES[:1], {})
    [best] = pipeline.run(QUERIES[:1], {"top_k": 2, "return_documents": True})
    assert best == [
        {**entry, "document": QUERIES[0]["documents"][entry["index"]]}
        for entry in sorted(everything, key=lambda entry: entry["score"], reverse=True)[:2]
    ]
    [pair] = pipeline.run(QUERIES[1:2], {"return_documents": True})
    assert pair.keys() == {"score", "document"}
    assert pair["document"] == QUERIES[1]["document"]


def test_a_pair_is_a_row_and_costs_its_tokens(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("text-ranking"), "text-ranking")
    # [CLS] the bridge [SEP] good [SEP], and the same query with three words more
    prepared = pipeline.prepare([{"query": "the bridge", "documents": ["good", "in the spring was"]}], {})
    assert (prepared.tokens, prepared.padded) == (6 + 9, 6 + 9)
    assert sum(len(one.rows) for one in prepared.work.passes) == 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("a text", "inputs: give an object, not a text"),
        ({"query": "", "document": "good"}, "the query is empty"),
        ({"query": "good"}, "documents is missing"),
    ],
)
def test_what_is_no_query_with_documents_is_refused(
    model_folder: ModelFolder, given: Any, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        load(model_folder("text-ranking"), "text-ranking").run([QUERIES[1], given], {})


def test_a_classifier_is_no_cross_encoder(model_folder: ModelFolder) -> None:
    with pytest.raises(ConfigurationError, match="not trained for text-ranking: it has 3 labels"):
        load(model_folder("text-classification"), "text-ranking")


def test_an_unknown_activation_is_refused_and_never_imported(
    model_folder: ModelFolder, tmp_path: Path
) -> None:
    folder = shutil.copytree(model_folder("text-ranking-raw"), tmp_path / "copy")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace("torch.nn.modules.linear.Identity", "os.Evil"))
    with pytest.raises(ConfigurationError, match="scores with Evil; known: Sigmoid, Identity"):
        load(folder, "text-ranking")
