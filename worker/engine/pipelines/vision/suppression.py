"""Non-maximum suppression: of boxes that overlap, only the best is kept. torchvision has it as `nms`."""

import torch


def best_boxes(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> torch.Tensor:
    """Returns the indices of the boxes [n, 4] (left, top, right, bottom) to keep, the best first.

    A box is dropped if its intersection over union with a better one that is kept is above the threshold.
    """
    order = scores.argsort(stable=True, descending=True)
    boxes = boxes[order]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    dropped = torch.zeros(len(boxes), dtype=torch.bool)
    kept = []
    for at in range(len(boxes)):
        if dropped[at]:
            continue
        kept.append(at)
        corner = torch.maximum(boxes[at, :2], boxes[at + 1 :, :2])
        opposite = torch.minimum(boxes[at, 2:], boxes[at + 1 :, 2:])
        shared = (opposite - corner).clamp(min=0).prod(dim=1)
        # of two boxes without an area the ratio is NaN, which is above no threshold
        dropped[at + 1 :] |= shared / (areas[at] + areas[at + 1 :] - shared) > threshold
    return order[torch.tensor(kept, dtype=torch.long)]
