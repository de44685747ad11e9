"""Tasks whose inputs combine a medium and a text."""

from jobs.tasks.multimodal.image_text_to_text import IMAGE_TEXT_TO_TEXT
from jobs.tasks.multimodal.question_answering import DOCUMENT_QUESTION_ANSWERING, VISUAL_QUESTION_ANSWERING
from jobs.tasks.multimodal.zero_shot_images import ZERO_SHOT_IMAGE_CLASSIFICATION, ZERO_SHOT_OBJECT_DETECTION

TASKS = (
    ZERO_SHOT_IMAGE_CLASSIFICATION,
    ZERO_SHOT_OBJECT_DETECTION,
    VISUAL_QUESTION_ANSWERING,
    DOCUMENT_QUESTION_ANSWERING,
    IMAGE_TEXT_TO_TEXT,
)
