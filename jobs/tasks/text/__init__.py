"""Tasks whose inputs are texts."""

from jobs.tasks.text.classification import TEXT_CLASSIFICATION, TOKEN_CLASSIFICATION, ZERO_SHOT_CLASSIFICATION
from jobs.tasks.text.feature_extraction import FEATURE_EXTRACTION
from jobs.tasks.text.fill_mask import FILL_MASK
from jobs.tasks.text.generation import TEXT_GENERATION
from jobs.tasks.text.question_answering import QUESTION_ANSWERING
from jobs.tasks.text.ranking import TEXT_RANKING
from jobs.tasks.text.sentence_similarity import SENTENCE_SIMILARITY
from jobs.tasks.text.table_question_answering import TABLE_QUESTION_ANSWERING

TASKS = (
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    FEATURE_EXTRACTION,
    SENTENCE_SIMILARITY,
    ZERO_SHOT_CLASSIFICATION,
    QUESTION_ANSWERING,
    TABLE_QUESTION_ANSWERING,
    FILL_MASK,
    TEXT_GENERATION,
    TEXT_RANKING,
)
