"""Answers are those of transformers 4, which had a pipeline for them: here it is written out plainly."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load
from tests.worker.engine.pipelines.tiny.text import POSITIONS

LONG = "we waited in the town and the engine was late, the bridge closed; Anna met one in London. " * 6
INPUTS = [
    {"question": "who met in Paris?", "context": "Anna and London met in Paris in the winter."},
    {"question": "when?", "context": LONG},
    {"question": "the late engine was in the town?", "context": "One."},
    {
        "question": "was it good or bad?",
        "context": "It was good, and it was not bad.  We wrote a letter — early.",
    },
]


def reference(folder: Path, one: dict[str, str], **options: Any) -> Any:
    """One question, its windows one by one, and all pairs of tokens."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder)
    loaded = transformers.AutoModelForQuestionAnswering.from_pretrained(folder, dtype=torch.float32)
    model = loaded.eval()
    longest = options.get("max_seq_len", POSITIONS)
    encoded = tokenizer(
        one["question"],
        one["context"],
        truncation="only_second",
        max_length=longest,
        stride=options.get("doc_stride", longest // 2),
        return_overflowing_tokens=True,
    )
    top_k, impossible = options.get("top_k", 1), 1e6
    found: dict[str, dict[str, Any]] = {}
    for encoding in encoded.encodings:
        row = {"input_ids": encoding.ids, "token_type_ids": encoding.type_ids}
        with torch.inference_mode():
            output = model(**{name: torch.tensor([values]) for name, values in row.items()})
        context = [which == 1 for which in encoding.sequence_ids]
        shares = []
        for logits in (output.start_logits[0], output.end_logits[0]):
            kept = torch.tensor([*[True], *context[1:]])  # the [CLS] counts
            shares.append(torch.where(kept, logits, -1e4).softmax(-1).numpy())
        impossible = min(impossible, float(shares[0][0] * shares[1][0]))
        spans = [
            (float(shares[0][first] * shares[1][last]), first, last)
            for first in np.flatnonzero(context).tolist()
            for last in range(first, min(first + options.get("max_answer_len", 15), len(context)))
            if context[last]
        ]
        for score, first, last in sorted(spans, reverse=True)[: 2 * top_k + 10]:
            begin = encoding.word_to_chars(encoding.token_to_word(first), 1)[0]
            end = encoding.word_to_chars(encoding.token_to_word(last), 1)[1]
            words = one["context"][begin:end]
            answer = {"score": 0.0, "start": begin, "end": end, "answer": words}
            found.setdefault(words.lower(), answer)["score"] += score
    if options.get("handle_impossible_answer"):
        found[""] = {"score": impossible, "start": 0, "end": 0, "answer": ""}
    best = sorted(found.values(), key=lambda answer: -answer["score"])[:top_k]
    return best[0] if len(best) == 1 else best


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"top_k": 4},
        {"top_k": 1_000, "handle_impossible_answer": True},
        {"max_answer_len": 1, "top_k": 3},
        {"doc_stride": 0, "top_k": 5},
        {"max_seq_len": 30, "doc_stride": 4, "max_answer_len": 40, "top_k": 2},
    ],
)
def test_a_batch_is_answered_as_each_alone(model_folder: ModelFolder, parameters: dict[str, Any]) -> None:
    folder = model_folder("question-answering")
    pipeline: Any = load(folder, "question-answering", max_batch_items=4)
    assert pipeline.layout == "packed"
    outputs = pipeline.run(INPUTS, parameters)
    assert_same(outputs, [reference(folder, one, **parameters) for one in INPUTS])
    for one, output in zip(INPUTS, outputs, strict=True):
        for answer in output if isinstance(output, list) else [output]:
            assert one["context"][answer["start"] : answer["end"]] == answer["answer"]


def test_windows_are_rows_that_share_their_ends(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("question-answering"), "question-answering")
    # [CLS] when ? [SEP] is letters: w ##h ##e ##n; so 41 tokens of the context in each row
    rows = pipeline.prepare([INPUTS[1]], {"doc_stride": 10}).work
    lengths = [len(ids) for ids in rows.encoding["input_ids"]]
    assert set(lengths[:-1]) == {POSITIONS}
    assert len(lengths) > 2
    overlap = [ids[-11:-1] for ids in rows.encoding["input_ids"][:-1]]
    assert [ids[7:17] for ids in rows.encoding["input_ids"][1:]] == overlap


@pytest.mark.parametrize(
    ("given", "parameters", "reason"),
    [
        ("who?", {}, "give an object, not a text"),
        ({"question": "who?"}, {}, "context is missing"),
        ({"question": " ", "context": "Anna"}, {}, "the question is empty"),
        ({"question": "who?", "context": "\n"}, {}, "the context is empty"),
        ({"question": "who?", "context": "Anna"}, {"max_seq_len": 49}, "the model reads 48 tokens"),
        (INPUTS[0], {"max_seq_len": 10, "doc_stride": 11}, "doc_stride .11. is larger than max_seq_len"),
        ({"question": LONG, "context": "Anna"}, {}, "the question leaves room for 0 tokens of the context"),
        ({"question": "a " * 30, "context": LONG}, {}, "room for 15 tokens .*share 24 .doc_stride"),
        (
            {"question": "who?", "context": LONG * 15},
            {"doc_stride": 40, "max_seq_len": 48},
            "needs more than 1,000 windows, because they share 40 of their 41 tokens",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused(
    model_folder: ModelFolder, given: Any, parameters: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        load(model_folder("question-answering"), "question-answering").run([given], parameters)


def test_a_short_context_fits_beside_a_long_question(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("question-answering"), "question-answering")
    [output] = pipeline.run([{"question": "a " * 40, "context": "Anna met"}], {})
    assert output["answer"] in ("Anna", "met", "Anna met")
