"""Mask generation: masks of everything in an image, found from a grid of points.

The steps are those of transformers' pipeline. The model reads the image once, and then decodes masks for 64
points at a time. Crops of the image, if a job asks for them, are rows of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import transformers

from jobs.errors import InvalidRequest
from worker.engine.pipelines.checkpoint import Architecture
from worker.engine.pipelines.staged import Row, Tensors
from worker.engine.pipelines.tensors import row_of
from worker.engine.pipelines.vision.base import UNPREPARED, VisionPipeline
from worker.engine.pipelines.vision.pictures import mask
from worker.engine.pipelines.vision.suppression import best_boxes

POINTS_PER_PASS = 64
"""Points whose masks are decoded together; transformers' default."""

MAX_MASK_PIXELS = 64_000_000
"""Most pixels of the masks that are enlarged to the image's size together: 256 MB of float32."""


MAX_WORK = 4_000_000_000
"""Most pixels of all masks of an image that are enlarged, filtered and encoded: two minutes of a core."""

LEAST_WORK = 100_000
"""Pixels that a mask of a small image counts at least, for the search for masks that overlap."""


@dataclass(frozen=True, slots=True)
class Options:
    """The parameters of a job, by the step that reads them."""

    grid: dict[str, Any]
    filters: dict[str, Any]
    lowest_score: float
    nms_threshold: float
    with_boxes: bool
    most_work: int
    """Of `MAX_WORK`, what each crop may have."""
    with_rle: bool


class MaskGeneration(VisionPipeline):
    """Returns the masks that remain after non-maximum suppression, the best first."""

    task = "mask-generation"
    trial_parameters: ClassVar[dict[str, Any]] = {"points_per_crop": 2}
    has_lanes = False
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForMaskGeneration,
        head=("SamModel", "SamHQModel", "Sam2Model", "Sam3TrackerModel", "EdgeTamModel"),
        processor=transformers.AutoImageProcessor,
    )

    def _options(self, parameters: dict[str, Any]) -> Options:
        grid, filters, last = self.pipeline._sanitize_parameters(**parameters)
        names = {"crops_n_layers": "crop_n_layers", "crop_overlap_ratio": "overlap_ratio"}
        crops = sum(4**layer for layer in range(grid.get("crops_n_layers", 0) + 1))
        return Options(
            {names.get(name, name): value for name, value in grid.items()},
            filters,
            filters.get("pred_iou_thresh", 0.88),
            last.get("crops_nms_thresh", 0.7),
            last.get("output_bboxes_mask", False),
            MAX_WORK // crops,
            last.get("output_rle_mask", False),
        )

    def _rows(self, one: Any, options: Options) -> list[Row]:
        image = self._image(one)
        size = self.processor.size
        longest = size.get("longest_edge", size.get("height"))
        try:
            boxes, points, crops, labels = self.processor.generate_crop_boxes(image, longest, **options.grid)
        except UNPREPARED as error:
            raise InvalidRequest(f"the image cannot be divided into crops: {error}") from None
        tensors = self._tensors(crops)
        tensors["full_image_size"] = tensors["original_sizes"][:1].expand(len(crops), 2)
        rows = [{name: tensor[at : at + 1] for name, tensor in tensors.items()} for at in range(len(crops))]
        return [
            self._row(
                {
                    **row,
                    "input_points": points[:, :, at : at + 1],
                    "input_labels": labels[:, :, at : at + 1],
                    "input_boxes": boxes[at : at + 1],
                },
                None,
            )
            for at, row in enumerate(rows)
        ]

    def _on_device(self, tensors: Tensors) -> Tensors:
        """Points stay in their own dtype: bfloat16 has no numbers for all pixels."""
        pixels = super()._on_device({"pixel_values": tensors["pixel_values"]})
        return {name: tensor.to(self.device) for name, tensor in tensors.items()} | pixels

    def _forward(self, tensors: Tensors, options: Options) -> Any:
        embeddings = self.model.get_image_embeddings(tensors["pixel_values"])
        count = len(tensors["pixel_values"])
        return [
            self._masks(
                {name: row_of(tensor, at, count) for name, tensor in tensors.items()},
                row_of(embeddings, at, count),
                options,
            )
            for at in range(count)
        ]

    def _divided(self, output: Any, count: int) -> list[Any]:
        return list(output)

    def _masks(self, row: Tensors, embeddings: Any, options: Options) -> dict[str, Any] | InvalidRequest:
        """Returns the masks of one row, run-length encoded, with their scores and boxes; or a refusal."""
        names = ("image_embeddings", "intermediate_embeddings")  # a SAM-HQ has both
        given = dict(zip(names, embeddings if isinstance(embeddings, tuple) else (embeddings,), strict=False))
        found: dict[str, list[Any]] = {
            "masks": [],
            "scores": [torch.zeros(0)],
            "boxes": [torch.zeros(0, 4, dtype=torch.int64)],
        }
        height, width = row["original_sizes"][0].tolist()
        full_height, full_width = row["full_image_size"][0].tolist()
        each, work = max(LEAST_WORK, full_height * full_width), 0
        step = max(1, MAX_MASK_PIXELS // (height * width))
        for at in range(0, row["input_points"].shape[1], POINTS_PER_PASS):
            part = slice(at, at + POINTS_PER_PASS)
            points, labels = row["input_points"][:, part], row["input_labels"][:, part]
            answer = self.model(input_points=points, input_labels=labels, **given)
            scores, small = answer["iou_scores"].flatten(), answer["pred_masks"][0].flatten(0, 1)
            # transformers enlarges all masks first, and then drops those with a low score
            if options.lowest_score > 0:
                kept = scores > options.lowest_score
                scores, small = scores[kept], small[kept]
            work += len(scores) * each
            if work > options.most_work:
                return InvalidRequest(
                    f"the image of {full_width} x {full_height} pixels has too many masks: together they may"
                    f" have {MAX_WORK:,} pixels; send a smaller image, or give a higher pred_iou_thresh or"
                    " fewer points_per_crop"
                )
            for start in range(0, len(scores), step):
                some = slice(start, start + step)
                masks, best, boxes = self._filtered(small[some], scores[some], row, options)
                found["masks"] += masks
                found["scores"].append(best.float().cpu())
                found["boxes"].append(boxes.long().cpu())
        return found | {name: torch.cat(found[name]) for name in ("scores", "boxes")}

    def _filtered(self, masks: torch.Tensor, scores: torch.Tensor, row: Tensors, options: Options) -> Any:
        """Enlarges masks [n, height, width] to the image's size, and keeps those that are good enough."""
        reshaped = row.get("reshaped_input_sizes")
        enlarged = self.processor.post_process_masks(
            masks[None, :, None],
            row["original_sizes"].tolist(),
            mask_threshold=options.filters.get("mask_threshold", 0),
            reshaped_input_sizes=None if reshaped is None else reshaped.tolist(),
            binarize=False,
        )
        full_size = row["full_image_size"][0].tolist()
        return self.processor.filter_masks(
            enlarged[0], scores[:, None], full_size, row["input_boxes"][0], **options.filters
        )

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Options) -> Any:
        for answer in answers:
            if isinstance(answer, InvalidRequest):
                raise answer
        masks = [encoded for answer in answers for encoded in answer["masks"]]
        scores = torch.cat([answer["scores"] for answer in answers])
        boxes = torch.cat([answer["boxes"] for answer in answers])
        kept = best_boxes(boxes.float(), scores, options.nms_threshold).tolist()
        output: dict[str, Any] = {
            "masks": [mask(unpacked(masks[index])) for index in kept],
            "scores": scores[kept].tolist(),
        }
        if options.with_rle:
            output["rle_mask"] = [masks[index] for index in kept]
        if options.with_boxes:
            output["bounding_boxes"] = boxes[kept].tolist()
        return output


def unpacked(encoded: dict[str, Any]) -> np.ndarray:
    """Returns the mask [height, width] of run lengths that go down each column, beginning with zeros."""
    height, width = encoded["size"]
    counts = encoded["counts"]
    values = np.arange(len(counts)) % 2 == 1
    return np.repeat(values, counts).reshape(width, height).T
