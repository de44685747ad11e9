"""ONNX Runtime gives torch's answers, alone and in any batch, or the model is refused."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import ConfigurationError
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load
from tests.worker.engine.pipelines.text.test_equality import LONG, MASKED, TEXTS
from tests.worker.engine.pipelines.text.test_packing import lengths, texts_of
from worker.engine.pipelines.parallel import Lanes
from worker.engine.pipelines.text import encoder
from worker.engine.pipelines.text.onnx import extra
from worker.engine.pipelines.text.onnx.graph import Graph

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

PAIRS = [{"query": "the bridge", "document": text} for text in TEXTS]
QUESTIONS = [{"question": "where is the town", "context": text} for text in (LONG, *TEXTS[2:5])]
SENTENCES = [
    {"source_sentence": TEXTS[0], "sentences": [LONG, *TEXTS[2:]]},
    {"source_sentence": LONG, "sentences": [TEXTS[3]]},
]

CASES: list[tuple[str, str, list[Any], dict[str, Any]]] = [
    ("text-classification", "text-classification", TEXTS, {"top_k": None}),
    ("distilbert", "text-classification", TEXTS, {"top_k": None}),
    ("roberta", "text-classification", TEXTS, {"top_k": None}),
    ("token-classification", "token-classification", TEXTS, {"ignore_labels": []}),
    (
        "zero-shot-classification",
        "zero-shot-classification",
        TEXTS,
        {"candidate_labels": ["town", "river road"], "multi_label": True},
    ),
    ("feature-extraction", "feature-extraction", TEXTS, {}),
    ("albert-features", "feature-extraction", TEXTS, {"pooling": "mean"}),
    ("albert-features", "sentence-similarity", SENTENCES, {}),
    ("text-ranking", "text-ranking", PAIRS, {}),
    ("question-answering", "question-answering", QUESTIONS, {"max_seq_len": 24, "doc_stride": 4}),
    ("fill-mask", "fill-mask", MASKED, {}),
]


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize(("model", "task", "inputs", "parameters"), CASES, ids=lambda value: str(value)[:24])
def test_answers_are_those_of_torch_one_by_one(
    model_folder: ModelFolder, model: str, task: str, inputs: list[Any], parameters: dict[str, Any]
) -> None:
    folder = model_folder(model)
    torch_one = load(folder, task)
    assert torch_one.info.backend == "torch"
    expected = [torch_one.run([each], parameters)[0] for each in inputs]
    onnx = load(folder, task, backend="onnxruntime")
    assert (onnx.info.backend, onnx.info.packs) == ("onnxruntime", True)
    assert_same(onnx.run(inputs, parameters), expected)
    assert_same([onnx.run([each], parameters)[0] for each in inputs], expected)


@pytest.fixture(scope="module")
def embed(model_folder: ModelFolder) -> Any:
    return load(model_folder("feature-extraction"), "feature-extraction", backend="onnxruntime")


@given(words=lengths, lanes=st.sampled_from([Lanes(1), Lanes(3)]), most=st.sampled_from([1, 30, 256]))
def test_any_rows(embed: Any, words: list[int], lanes: Lanes, most: int) -> None:
    """In one pass of at most so many tokens after the other, and in several at once."""
    embed._lanes = lanes
    texts = texts_of(words)
    alone = [embed.run([text], {})[0] for text in texts]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(encoder, "MAX_PACKED_TOKENS", most)
        together = embed.run(texts, {})
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(torch.tensor(one), torch.tensor(other), atol=1e-5)


def test_torchs_weights_are_freed(embed: Any) -> None:
    assert not hasattr(embed.model, "parameters")
    assert embed.pipeline.model is embed.model


@pytest.mark.parametrize(
    ("model", "task"),
    [
        ("gpt2-features", "feature-extraction"),  # causal
        ("modernbert-features", "feature-extraction"),  # windows
        ("fnet", "text-classification"),  # no attention at all
    ],
)
def test_models_that_a_mask_does_not_describe_are_refused(
    model_folder: ModelFolder, model: str, task: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"^model 'tiny' cannot be run by onnxruntime: its [^\n]+$"):
        load(model_folder(model), task, backend="onnxruntime")


def test_a_graph_with_other_answers_is_refused(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Graph.run
    monkeypatch.setattr(Graph, "run", lambda *given, **named: right(*given, **named) * 1.001)
    with pytest.raises(ConfigurationError, match="its answers are not those of torch"):
        load(model_folder("feature-extraction"), "feature-extraction", backend="onnxruntime")


def test_without_the_extra_its_name_is_given(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extra, "PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(ConfigurationError, match=r"needs the extra onnx: pip install 'batchline\[onnx\]'$"):
        load(model_folder("feature-extraction"), "feature-extraction", backend="onnxruntime")


@pytest.mark.parametrize("text", ["Failed to allocate memory for requested buffer", "std::bad_alloc"])
def test_a_shortage_of_memory_is_one(embed: Any, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    class Short:
        def run(self, *_: Any) -> None:
            raise RuntimeError(text)

    monkeypatch.setattr(embed._graph, "_session", Short())
    with pytest.raises(MemoryError):
        embed.run(["the bridge"], {})
