"""Tasks whose inputs are images or videos."""

from jobs.tasks.vision.image_classification import IMAGE_CLASSIFICATION

TASKS = (IMAGE_CLASSIFICATION,)
