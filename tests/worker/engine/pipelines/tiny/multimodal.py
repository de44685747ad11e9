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


def _vilt() -> tuple[Any, ...]:
    words = word_pieces(model_max_length=40)
    config = _library.ViltConfig(**_SEES, max_position_embeddings=40, vocab_size=len(words), num_labels=7)
    images = _library.ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=8)
    return _library.ViltForQuestionAnswering(config), _library.ViltProcessor(images, words)


def _blip(model: Any, **config: Any) -> tuple[Any, ...]:
    words = word_pieces(model_max_length=40)
    reads = _reads(words, encoder_hidden_size=32, sep_token_id=3, **_ENDS, **config)
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
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": words.pad_token_id}
    return _library.LlamaConfig(**_reads(words, 256, **{**ends, **config}))


def _llava(template: str | None = _TEMPLATE, **config: Any) -> tuple[Any, ...]:
    words = words_only(model_max_length=256)
    words.add_special_tokens({"additional_special_tokens": ["<image>"], "pad_token": "<pad>"})
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


BUILDERS: dict[str, Callable[[Path], None]] = {
    "zero-shot-image-classification": _saved(_clip),
    "siglip": _saved(_siglip),
    "zero-shot-object-detection": _saved(_owlvit),
    "visual-question-answering": _saved(_vilt),
    "blip-answers": _saved(lambda: _blip(_library.BlipForQuestionAnswering)),
    "document-question-answering": _saved(_layoutlm),
    "donut": _saved(_donut),
    "image-text-to-text": _saved(_llava),
    "llava-that-ends": _saved(lambda: _llava(eos_token_id=list(range(2, 20)))),
    "llava-without-template": _saved(lambda: _llava(template=None)),
    "idefics3": _saved(_idefics3),
    "blip": _saved(lambda: _blip(_library.BlipForConditionalGeneration, is_decoder=True)),
    "git": _saved(_git),
}
