"""What a model reads of a long text, and whether texts may be padded to run together."""

from typing import Any

import pytest

from tests.worker.pipelines.conftest import ModelFolder, assert_same, load, plain_pipeline
from tests.worker.pipelines.tiny import POSITIONS

LONG = "the engine of the town was late and " * 30


@pytest.mark.parametrize(
    ("model", "task", "max_length"),
    [
        ("text-classification", "text-classification", POSITIONS),
        ("gpt2-features", "feature-extraction", POSITIONS),
        ("roberta", "text-classification", POSITIONS - 1),
    ],
)
def test_longer_texts_are_cut(model_folder: ModelFolder, model: str, task: str, max_length: int) -> None:
    folder = model_folder(model)
    pipeline = load(folder, task)
    assert pipeline.info.max_length == max_length
    assert pipeline.info.tokenizer_file == str(folder / "tokenizer.json")
    limit = {"truncation": True, "max_length": max_length}
    options = {"tokenize_kwargs": limit} if task == "feature-extraction" else limit
    plain = plain_pipeline(folder, task)
    texts = [LONG, "good"]
    assert_same(pipeline.run(texts, {}), [plain([text], **options)[0] for text in texts])


@pytest.mark.parametrize(
    ("model", "task", "harmless"),
    [
        ("text-classification", "text-classification", True),
        ("roberta", "text-classification", True),
        ("gpt2-features", "feature-extraction", True),
        ("gpt2-classifier", "text-classification", True),
        ("gpt2-classifier-without-pad", "text-classification", False),
        ("fnet", "text-classification", False),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_texts_that_do_not_disturb_each_other_are_padded(
    model_folder: ModelFolder, model: str, task: str, harmless: bool, dtype: str
) -> None:
    pipeline: Any = load(model_folder(model), task, dtype=dtype)
    assert pipeline.padding_is_harmless is harmless
    assert pipeline.info.dtype == dtype
    assert str(pipeline.model.dtype) == f"torch.{dtype}"
