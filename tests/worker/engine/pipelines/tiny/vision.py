"""Models of images and videos."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.worker.engine.pipelines.tiny.text import SIZES

tf: Any = transformers
"""Its configurations take keywords that their annotations do not have."""

Build = Callable[[], tuple[Any, Any]]
"""Returns a model and its image processor."""

RESNET: Mapping[str, Any] = {
    "embedding_size": 8,
    "hidden_sizes": [8, 16],
    "depths": [1, 1],
    "layer_type": "basic",
}
PYRAMID: Mapping[str, Any] = {
    "depths": [1, 1, 1, 1],
    "hidden_sizes": [8, 8, 16, 16],
    "num_attention_heads": [1, 1, 2, 2],
    "decoder_hidden_size": 16,
}
PATCHES: Mapping[str, Any] = {**SIZES, "image_size": 32, "patch_size": 8, "initializer_range": 0.3}
SQUARE = {"height": 32, "width": 32}


def _saved(build: Build) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        torch.manual_seed(11)
        model, processor = build()
        model.eval()
        for name, parameter in model.named_parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
            if name.startswith("class_predictor"):  # so that not every query finds the same
                parameter.data *= 30
            if name.endswith("iou_prediction_head.proj_out.bias"):  # so that scores are probabilities
                parameter.data += 0.6
        model.save_pretrained(folder)
        processor.save_pretrained(folder)

    return save


def _vit(model: Any, configuration: Any, **config: Any) -> Build:
    return lambda: (
        model(configuration(**config)),
        tf.ViTImageProcessor(size=SQUARE, image_mean=[0.5, 0.4, 0.3]),
    )


def _detr_config() -> Any:
    return tf.DetrConfig(
        use_timm_backbone=False,
        backbone=None,
        use_pretrained_backbone=False,
        backbone_config=tf.ResNetConfig(**RESNET, out_features=["stage2"]),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=6,
        num_labels=3,
        init_std=0.3,
    )


def _detr() -> tuple[Any, Any]:
    """Keeps the aspect ratio, and pads the images of a batch."""
    return tf.DetrForObjectDetection(_detr_config()), tf.DetrImageProcessor(
        size={"shortest_edge": 32, "longest_edge": 64}
    )


def _yolos() -> tuple[Any, Any]:
    config = tf.YolosConfig(**{**PATCHES, "image_size": [32, 48]}, num_detection_tokens=5, num_labels=3)
    return tf.YolosForObjectDetection(config), tf.YolosImageProcessor(
        size={"shortest_edge": 32, "longest_edge": 48}
    )


def _segformer() -> tuple[Any, Any]:
    config = tf.SegformerConfig(**PYRAMID, num_labels=5, initializer_range=0.5)
    return tf.SegformerForSemanticSegmentation(config), tf.SegformerImageProcessor(size=SQUARE)


def _swin() -> Any:
    return tf.SwinConfig(
        image_size=32,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def _maskformer() -> tuple[Any, Any]:
    config = tf.MaskFormerConfig(
        fpn_feature_size=32,
        mask_feature_size=32,
        backbone_config=_swin(),
        decoder_config=_detr_config(),
        num_labels=4,
    )
    return tf.MaskFormerForInstanceSegmentation(config), tf.MaskFormerImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 96}, size_divisor=32
    )


def _mask2former() -> tuple[Any, Any]:
    config = tf.Mask2FormerConfig(
        backbone_config=_swin(),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        dim_feedforward=32,
        num_queries=6,
        num_labels=4,
    )
    return tf.Mask2FormerForUniversalSegmentation(config), tf.Mask2FormerImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 96}, size_divisor=32
    )


def _sam() -> tuple[Any, Any]:
    side = {"height": 64, "width": 64}
    vision = tf.SamVisionConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        output_channels=16,
        mlp_dim=32,
        window_size=4,
        global_attn_indexes=[0],
        num_pos_feats=8,
    )
    prompts = tf.SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=8, mask_input_channels=4)
    masks = tf.SamMaskDecoderConfig(
        hidden_size=16, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16, num_hidden_layers=1
    )
    config = tf.SamConfig(
        vision_config=vision.to_dict(),
        prompt_encoder_config=prompts.to_dict(),
        mask_decoder_config=masks.to_dict(),
    )
    return tf.SamModel(config), tf.SamImageProcessor(
        size={"longest_edge": 64},
        pad_size=side,
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )


def _dpt() -> tuple[Any, Any]:
    config = tf.DPTConfig(
        **{**PATCHES, "num_hidden_layers": 4},
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
    )
    return tf.DPTForDepthEstimation(config), tf.DPTImageProcessor(size=SQUARE)


def _glpn() -> tuple[Any, Any]:
    """Reads images of any size."""
    return tf.GLPNForDepthEstimation(tf.GLPNConfig(**PYRAMID, initializer_range=0.1)), tf.GLPNImageProcessor()


def _superpoint() -> Any:
    return tf.SuperPointConfig(
        encoder_hidden_sizes=[8, 8, 8, 8],
        decoder_hidden_size=8,
        keypoint_decoder_dim=65,
        descriptor_decoder_dim=16,
        max_keypoints=20,
        keypoint_threshold=0.0001,
    )


def _superglue() -> tuple[Any, Any]:
    config = tf.SuperGlueConfig(
        keypoint_detector_config=_superpoint(),
        hidden_size=16,
        keypoint_encoder_sizes=[8, 16],
        gnn_layers_types=["self", "cross"],
        num_attention_heads=2,
        sinkhorn_iterations=5,
        matching_threshold=0.0,
    )
    return tf.SuperGlueForKeypointMatching(config), tf.SuperGlueImageProcessor(
        size={"height": 48, "width": 64}
    )


def _lightglue() -> tuple[Any, Any]:
    config = tf.LightGlueConfig(
        keypoint_detector_config=_superpoint(),
        descriptor_dim=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        filter_threshold=0.0,
    )
    return tf.LightGlueForKeypointMatching(config), tf.LightGlueImageProcessor(
        size={"height": 48, "width": 64}
    )


def _video(model: Any, configuration: Any, **config: Any) -> Build:
    """A model of four frames."""
    processor: Any = tf.VideoMAEImageProcessor
    return lambda: (
        model(configuration(**PATCHES, num_frames=4, num_labels=6, **config)),
        processor(size={"shortest_edge": 32}, crop_size=SQUARE),
    )


BUILDERS: dict[str, Callable[[Path], None]] = {
    "image-classification": _saved(_vit(tf.ViTForImageClassification, tf.ViTConfig, **PATCHES, num_labels=7)),
    "resnet": _saved(_vit(tf.ResNetForImageClassification, tf.ResNetConfig, **RESNET, num_labels=7)),
    "detr": _saved(_detr),
    "yolos": _saved(_yolos),
    "segformer": _saved(_segformer),
    "maskformer": _saved(_maskformer),
    "mask2former": _saved(_mask2former),
    "sam": _saved(_sam),
    "dpt": _saved(_dpt),
    "glpn": _saved(_glpn),
    "vit": _saved(_vit(tf.ViTModel, tf.ViTConfig, **PATCHES)),
    "dinov2": _saved(_vit(tf.Dinov2Model, tf.Dinov2Config, **PATCHES)),
    "superglue": _saved(_superglue),
    "lightglue": _saved(_lightglue),
    "videomae": _saved(_video(tf.VideoMAEForVideoClassification, tf.VideoMAEConfig, tubelet_size=2)),
    "timesformer": _saved(_video(tf.TimesformerForVideoClassification, tf.TimesformerConfig)),
}
