"""Tasks whose inputs or outputs are sounds."""

from jobs.tasks.audio.classification import AUDIO_CLASSIFICATION, ZERO_SHOT_AUDIO_CLASSIFICATION
from jobs.tasks.audio.speech_recognition import SPEECH_RECOGNITION
from jobs.tasks.audio.text_to_audio import TEXT_TO_AUDIO
from jobs.tasks.task import Task

TASKS: tuple[Task, ...] = (
    SPEECH_RECOGNITION,
    AUDIO_CLASSIFICATION,
    ZERO_SHOT_AUDIO_CLASSIFICATION,
    TEXT_TO_AUDIO,
)
