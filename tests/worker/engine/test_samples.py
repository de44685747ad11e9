"""A model is tried and measured with the parameters that its jobs have when they set none."""

from typing import Any

from jobs.models import ModelSpec
from tests.worker.engine.test_calibration import Timed, small_model
from worker.engine.calibration import calibrate
from worker.engine.findings import measurement_key
from worker.engine.pipelines import Prepared
from worker.engine.samples import samples

SPEECH = ModelSpec(
    name="speech",
    task="automatic-speech-recognition",
    source="models/speech",
    defaults={"num_beams": 1, "max_new_tokens": 400},
)


class Searching(Timed):
    """A model that searches with five beams unless told otherwise, and takes as long for each beam."""

    def __init__(self) -> None:
        super().__init__(small_model)
        self.defaults = {"num_beams": 5, "language": "en"}

    def warm_up(self) -> tuple[list[Any], dict[str, Any]]:
        return self.sample, {"max_new_tokens": 24}

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        self.parameters = parameters
        return super().prepare(inputs, parameters)


def test_the_models_defaults_are_measured_with_few_tokens() -> None:
    pipeline = Searching()
    sample = samples(SPEECH, pipeline)
    assert sample == (pipeline.sample, {"num_beams": 1, "language": "en", "max_new_tokens": 24})
    calibrate(pipeline, 256, 60, pipeline.clock, sample=sample)
    assert pipeline.parameters == sample[1]


def test_other_defaults_are_measured_anew() -> None:
    other = SPEECH.model_copy(update={"defaults": {}})
    assert measurement_key(SPEECH, None, 2) != measurement_key(other, None, 2)
