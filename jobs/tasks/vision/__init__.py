"""Tasks whose inputs are images or videos."""

from jobs.tasks.vision.depth_estimation import DEPTH_ESTIMATION
from jobs.tasks.vision.image_classification import IMAGE_CLASSIFICATION
from jobs.tasks.vision.image_features import IMAGE_FEATURE_EXTRACTION
from jobs.tasks.vision.image_segmentation import IMAGE_SEGMENTATION
from jobs.tasks.vision.keypoint_matching import KEYPOINT_MATCHING
from jobs.tasks.vision.mask_generation import MASK_GENERATION
from jobs.tasks.vision.object_detection import OBJECT_DETECTION
from jobs.tasks.vision.video_classification import VIDEO_CLASSIFICATION

TASKS = (
    IMAGE_CLASSIFICATION,
    OBJECT_DETECTION,
    IMAGE_SEGMENTATION,
    MASK_GENERATION,
    DEPTH_ESTIMATION,
    IMAGE_FEATURE_EXTRACTION,
    KEYPOINT_MATCHING,
    VIDEO_CLASSIFICATION,
)
