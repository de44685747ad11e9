"""Models of images with texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.worker.engine.pipelines.tiny.text import SIZES, word_pieces, words_only

_library: Any = transformers  # its configurations have no useful types

_SIDE = {"height": 32, "width": 32}
_CROPPED = {"size": {"shortest_edge": 32}, "crop_size": _SIDE}
_SEES = {**SIZES, "image_size": 32, "patch_size": 8, "initializer_range": 0.3}
_ENDS = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }} :"
    "{% if message['role'] == 'system' and not loop.first %}"
    "{{ raise_exception('system comes first') }}{% endif %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %} <image>{% else %} {{ part['text'] }}{% endif %}"
    "{% endfor %}{% if not (loop.last and continue_final_message) %} . {% endif %}{% endfor %}"
    "{% if add_generation_prompt %}assistant :{% endif %}"
)


def _reads(words: Any, positions: int = 48, **config: Any) -> dict[str, Any]:
    """Sizes of a model of texts."""
    sizes = {**SIZES, "initializer_range": 0.3, "max_position_embeddings": positions}
    return {**sizes, "vocab_size": len(words), **config}


def _saved(build: Callable[[], tuple[Any, ...]]) -> Callable[[Path], None]:
    """`build` returns a model, and what else is saved with it."""

    def save(folder: Path) -> None:
        torch.manual_seed(11)
        model, *processors = build()
        for parameter in model.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        model.eval().save_pretrained(folder)
        for each in processors:
            each.save_pretrained(folder)

    return save


def _clip() -> tuple[Any, ...]:
    words = word_pieces(model_max_length=48)
    config = _library.CLIPConfig(text_config=_reads(words, **_ENDS), vision_config=_SEES, projection_dim=16)
    return _library.CLIPModel(config), words, _library.CLIPImageProcessor(**_CROPPED)


def _siglip() -> tuple[Any, ...]:
    words = word_pieces(model_max_length=64)
    config = _library.SiglipConfig(text_config=_reads(words, 64, **_ENDS), vision_config=_SEES)
    return _library.SiglipModel(config), words, _library.SiglipImageProcessor(size=_SIDE)


def _owlvit() -> tuple[Any, ...]:
    words = word_pieces(model_max_length=16)
    config = _library.OwlViTConfig(
        text_config=_reads(words, 16, **_ENDS), vision_config=_SEES, projection_dim=32
    )
    processor = _library.OwlViTImageProcessor(size=_SIDE, do_center_crop=False)
    return _library.OwlViTForObjectDetection(config), words, processor


def _grounding_dino() -> tuple[Any, ...]:
    words = word_pieces(model_max_length=48)
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    sizes = {"encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
    sees = _library.SwinConfig(
        image_size=32,
        patch_size=4,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[2, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3"],
    )
    config = _library.GroundingDinoConfig(
        backbone_config=sees,
        text_config=_library.BertConfig(**_reads(words)),
        d_model=32,
        num_queries=8,
        num_feature_levels=3,
        max_text_len=16,
        init_std=0.3,
        **heads,
        **sizes,
    )
    images = _library.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    return _library.GroundingDinoForObjectDetection(config), words, images


def _vilt() -> tuple[Any, ...]:
    words = word_pieces(model_max_length=40)
    config = _library.ViltConfig(**_SEES, max_position_embeddings=40, vocab_size=len(words), num_labels=7)
    images = _library.ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=8)
    return _library.ViltForQuestionAnswering(config), _library.ViltProcessor(images, words)


def _blip(model: Any, **config: Any) -> tuple[Any, ...]:
    words = word_pieces(model_max_length=24)
    reads = _reads(words, 24, encoder_hidden_size=32, sep_token_id=3, **_ENDS, **config)
    built = model(_library.BlipConfig(text_config=reads, vision_config=_SEES, projection_dim=16))
    return built, _library.BlipProcessor(_library.BlipImageProcessor(size=_SIDE), words)


def _git() -> tuple[Any, ...]:
    words = word_pieces(model_max_length=40)
    words.model_input_names = ["input_ids", "attention_mask"]
    config = _library.GitConfig(vision_config=_SEES, **_reads(words, **_ENDS))
    images = _library.CLIPImageProcessor(**_CROPPED)
    return _library.GitForCausalLM(config), _library.GitProcessor(images, words)


def _layoutlm() -> tuple[Any, ...]:
    words = word_pieces(model_max_length=48)
    config = _library.LayoutLMConfig(**_reads(words))
    return _library.LayoutLMForQuestionAnswering(config), words


def _layoutlmv3() -> tuple[Any, ...]:
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *map(chr, range(33, 127)), "Ġ"]
    words = _library.LayoutLMv3Tokenizer(
        vocab={piece: i for i, piece in enumerate(pieces)}, merges=[], model_max_length=126
    )
    reads = {**_reads(words, 128), "hidden_size": 24, "coordinate_size": 4, "shape_size": 4}
    ends = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
    config = _library.LayoutLMv3Config(**reads, **ends, input_size=32, patch_size=8)
    images = _library.LayoutLMv3ImageProcessor(size=_SIDE)  # recognises characters, unless told not to
    return _library.LayoutLMv3ForQuestionAnswering(config), words, images


def _donut() -> tuple[Any, ...]:
    words = word_pieces(model_max_length=64)
    tags = ["<s_docvqa>", "<s_question>", "</s_question>", "<s_answer>", "</s_answer>"]
    words.add_special_tokens({"additional_special_tokens": tags, "bos_token": "[CLS]", "eos_token": "[SEP]"})
    sees = _library.DonutSwinConfig(
        image_size=32,
        patch_size=4,
        embed_dim=16,
        depths=[1, 1],
        num_heads=[2, 2],
        window_size=4,
        initializer_range=0.3,
    )
    writes = _library.MBartConfig(
        vocab_size=len(words),
        d_model=32,
        decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=48,
        max_position_embeddings=64,
        is_decoder=True,
        add_cross_attention=True,
        init_std=0.3,
        **_ENDS,
    )
    both = _library.VisionEncoderDecoderConfig.from_encoder_decoder_configs(sees, writes)
    model = _library.VisionEncoderDecoderModel(both)
    for config in (model.config, model.generation_config):
        config.pad_token_id, config.decoder_start_token_id, config.eos_token_id = 0, 2, 3
    model.generation_config.max_length = 40
    return model, _library.DonutProcessor(_library.DonutImageProcessor(size=_SIDE), words)


def _llama(words: Any, **config: Any) -> Any:
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": words.pad_token_id or 0}
    return _library.LlamaConfig(**_reads(words, 256, **{**ends, **config}))


def _llava(template: str | None = _TEMPLATE, **config: Any) -> tuple[Any, ...]:
    words = words_only(model_max_length=256)
    words.add_special_tokens({"additional_special_tokens": ["<image>"]})
    model = _library.LlavaForConditionalGeneration(
        _library.LlavaConfig(
            vision_config=_library.CLIPVisionConfig(**_SEES),
            text_config=_llama(words, **config),
            image_token_index=words.convert_tokens_to_ids("<image>"),
            vision_feature_layer=-1,
        )
    )
    model.generation_config.eos_token_id = config.get("eos_token_id", 0)
    processor = _library.LlavaProcessor(
        _library.CLIPImageProcessor(**_CROPPED),
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=template,
    )
    return model, processor


def _idefics3() -> tuple[Any, ...]:
    words = words_only(model_max_length=256)
    marks = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
    words.add_special_tokens({"additional_special_tokens": marks, "pad_token": "<pad>", "bos_token": "<end>"})
    model = _library.Idefics3ForConditionalGeneration(
        _library.Idefics3Config(
            vision_config=_SEES,
            text_config=_llama(words),
            image_token_id=words.convert_tokens_to_ids("<image>"),
            scale_factor=2,
            pad_token_id=words.pad_token_id,
        )
    )
    images = _library.Idefics3ImageProcessor(
        size={"longest_edge": 32}, max_image_size={"longest_edge": 32}, do_image_splitting=False
    )
    processor = _library.Idefics3Processor(images, words, image_seq_len=4, chat_template=_TEMPLATE)
    return model, processor


def _qwen2_vl() -> tuple[Any, ...]:
    words = words_only(model_max_length=256)
    marks = ["<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>"]
    words.add_special_tokens({"additional_special_tokens": marks, "pad_token": "<pad>"})
    image, video, start, stop = words.convert_tokens_to_ids(marks)
    model = _library.Qwen2VLForConditionalGeneration(
        _library.Qwen2VLConfig(
            vision_config={"depth": 1, "embed_dim": 32, "num_heads": 2, "hidden_size": 32, "patch_size": 8},
            text_config=_reads(
                words,
                256,
                bos_token_id=0,
                eos_token_id=0,
                num_key_value_heads=2,
                rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
            ),
            image_token_id=image,
            video_token_id=video,
            vision_start_token_id=start,
            vision_end_token_id=stop,
        )
    )
    images = _library.Qwen2VLImageProcessor(patch_size=8, min_pixels=256, max_pixels=2048)
    words.chat_template = _TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>")
    return model, images, words


BUILDERS: dict[str, Callable[[Path], None]] = {
    "zero-shot-image-classification": _saved(_clip),
    "siglip": _saved(_siglip),
    "zero-shot-object-detection": _saved(_owlvit),
    "grounding-dino": _saved(_grounding_dino),
    "visual-question-answering": _saved(_vilt),
    "blip-answers": _saved(lambda: _blip(_library.BlipForQuestionAnswering)),
    "document-question-answering": _saved(_layoutlm),
    "layoutlmv3": _saved(_layoutlmv3),
    "donut": _saved(_donut),
    "image-text-to-text": _saved(_llava),
    "llava-that-ends": _saved(lambda: _llava(eos_token_id=list(range(2, 20)), pad_token_id=2)),
    "llava-without-template": _saved(lambda: _llava(template=None)),
    "idefics3": _saved(_idefics3),
    "qwen2-vl": _saved(_qwen2_vl),
    "blip": _saved(lambda: _blip(_library.BlipForConditionalGeneration, is_decoder=True)),
    "git": _saved(_git),
}
