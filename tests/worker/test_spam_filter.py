"""The example in `examples/` trains, loads and answers as documented."""

import importlib
from pathlib import Path

import pytest

from jobs import tasks
from jobs.catalog import load_catalog
from jobs.errors import InvalidRequest
from worker.engine import pipelines

CATALOG = load_catalog(Path(__file__).parents[2] / "examples" / "models.toml")
MESSAGES = ["Claim your free prize, click now", "Shall we meet for dinner after the meeting?"]


@pytest.fixture(scope="module")
def spam_filter(tmp_path_factory: pytest.TempPathFactory) -> pipelines.LoadedPipeline:
    path = tmp_path_factory.mktemp("spam") / "spam_filter.joblib"
    training = importlib.import_module("examples.train_spam_filter")  # which imports scikit-learn
    training.train(path)
    return pipelines.load(CATALOG["spam"], path)


def test_it_tells_spam_from_ham(spam_filter: pipelines.LoadedPipeline) -> None:
    spam, ham = spam_filter.run(MESSAGES, {})
    assert spam["spam"] is True
    assert ham["spam"] is False
    assert 0 < ham["probability"] < 0.5 < spam["probability"] < 1
    assert pipelines.encode_output(ham).startswith(b'{"spam":false,"probability":0.')


def test_a_batch_answers_as_one_by_one(spam_filter: pipelines.LoadedPipeline) -> None:
    alone = [spam_filter.run([message], {})[0]["probability"] for message in MESSAGES]
    assert [entry["probability"] for entry in spam_filter.run(MESSAGES, {})] == pytest.approx(alone)


def test_the_threshold_is_a_parameter(spam_filter: pipelines.LoadedPipeline) -> None:
    parameters = tasks.validate({"threshold": 0.999}, CATALOG["spam"].parameter_type)
    assert [entry["spam"] for entry in spam_filter.run(MESSAGES, parameters)] == [False, False]
    with pytest.raises(InvalidRequest):
        tasks.validate({"threshold": "high"}, CATALOG["spam"].parameter_type)


def test_it_warms_up(spam_filter: pipelines.LoadedPipeline) -> None:
    inputs, parameters = spam_filter.warm_up() or ([], {})
    assert len(spam_filter.run(inputs, parameters)) == len(inputs) == 2
