"""Image segmentation: labels and masks of the parts of images; semantic, instance and panoptic."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import transformers

from jobs.errors import InvalidRequest
from worker.engine.pipelines.checkpoint import Architecture
from worker.engine.pipelines.encoding import plain
from worker.engine.pipelines.staged import Row
from worker.engine.pipelines.vision.base import VisionPipeline
from worker.engine.pipelines.vision.pictures import mask

MAX_NUMBERS = 2_000_000_000
"""Most numbers of the maps that transformers enlarges to the image's size together: 8 GB of float32."""

KINDS = (
    transformers.AutoModelForUniversalSegmentation,
    transformers.AutoModelForInstanceSegmentation,
    transformers.AutoModelForSemanticSegmentation,
    transformers.AutoModelForImageSegmentation,
)


class AutoModelForSegmentation:
    """Loads a model for any kind of segmentation; transformers has a class for each."""

    @staticmethod
    def from_pretrained(where: str, **options: Any) -> Any:
        """See transformers.AutoModel."""
        names = ("revision", "trust_remote_code", "local_files_only")
        config = transformers.AutoConfig.from_pretrained(where, **{name: options[name] for name in names})
        remote = getattr(config, "auto_map", None) or {}
        fitting = (kind for kind in KINDS if type(config) in kind._model_mapping or kind.__name__ in remote)
        kind = next(fitting, transformers.AutoModelForImageSegmentation)  # which says what is wrong
        return kind.from_pretrained(where, **options)


class ImageSegmentation(VisionPipeline):
    """Returns the segments of each image, with their masks."""

    task = "image-segmentation"
    architecture: ClassVar[Architecture] = Architecture(
        AutoModelForSegmentation,
        head=(
            "ForSemanticSegmentation",
            "ForInstanceSegmentation",
            "ForUniversalSegmentation",
            "ForSegmentation",
        ),
        processor=transformers.AutoImageProcessor,
    )

    def _options(self, parameters: dict[str, Any]) -> Any:
        wanted = parameters.get("subtask")
        kinds = ("panoptic", "instance", "semantic")
        offered = [kind for kind in kinds if hasattr(self.processor, f"post_process_{kind}_segmentation")]
        if wanted is not None and wanted not in offered:
            raise InvalidRequest(
                f"subtask: this model offers {' and '.join(offered) or 'none'}, not {wanted}",
                pointer="/parameters/subtask",
            )
        return super()._options(parameters)

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        answer = answers[0]
        height, width = rows[0].about
        maps = _maps(answer)
        if maps * height * width > MAX_NUMBERS:
            raise InvalidRequest(
                f"the image has {width} x {height} pixels, and the model finds {maps} maps of it; together"
                f" they may have {MAX_NUMBERS:,} pixels; send one of up to {MAX_NUMBERS // maps:,} pixels"
            )
        answer["target_size"] = [rows[0].about]
        return [
            {**segment, "score": plain(segment["score"]), "mask": mask(np.asarray(segment["mask"]))}
            for segment in self.pipeline.postprocess(answer, **options)
        ]


def _maps(answer: Any) -> int:
    """Returns how many maps of the image a model's answer has: one for each label, or for each query."""
    known = (answer.get(name) for name in ("logits", "masks_queries_logits", "pred_masks"))
    return max((tensor.shape[1] for tensor in known if tensor is not None and tensor.ndim == 4), default=1)
