"""Writes a checkpoint with random weights for each of eleven tasks to `examples/tasks/files`.

    python -m examples.tasks.make_models

Needs no network and nothing but the packages for running. The texts are split by the tokenizer of the demo
model, `models/sentiment`; models of sounds read and write letters.
"""

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

tf: Any = transformers
"""Its annotations have neither all keywords of its configurations nor their types."""

FOLDER = Path(__file__).with_name("files")
SENTIMENT = Path(__file__).parents[2] / "models" / "sentiment"

SIZES: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.3,  # larger than usual, so that answers differ
}
PATCHES: Mapping[str, Any] = {**SIZES, "image_size": 32, "patch_size": 8}
SQUARE = {"height": 32, "width": 32}
POSITIONS = 128
LETTERS = "abcdefghijklmnopqrstuvwxyz"

THINGS = ["sky", "sun", "hill", "house", "tree"]
SOUNDS = ["speech", "music", "bell", "rain"]
MOVEMENTS = ["rolling", "falling", "flying", "resting"]
ANSWERS = ["yes", "no", "one", "two", "red", "green", "blue"]

Parts = tuple[Any, ...]
"""A model, and the processors that are saved with it."""


def labels(names: list[str]) -> dict[str, Any]:
    """The part of a configuration that names the classes."""
    return {"id2label": dict(enumerate(names)), "label2id": {name: at for at, name in enumerate(names)}}


def words() -> Any:
    return tf.AutoTokenizer.from_pretrained(SENTIMENT)


def reading(tokenizer: Any) -> dict[str, Any]:
    """Sizes of a model of texts, whose special tokens are those of BERT."""
    ends = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }
    return {**SIZES, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": POSITIONS}


def question_answering() -> Parts:
    tokenizer = words()
    return tf.BertForQuestionAnswering(tf.BertConfig(**reading(tokenizer))), tokenizer


def sentence_similarity() -> Parts:
    tokenizer = words()
    return tf.BertModel(tf.BertConfig(**reading(tokenizer))), tokenizer


def translation() -> Parts:
    tokenizer = words()
    config = tf.T5Config(
        vocab_size=len(tokenizer),
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        initializer_factor=3.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.sep_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    model = tf.T5ForConditionalGeneration(config)
    model.generation_config.update(max_new_tokens=12, num_beams=1, no_repeat_ngram_size=1)
    return model, tokenizer


def object_detection() -> Parts:
    config = tf.YolosConfig(**{**PATCHES, "image_size": [32, 48]}, num_detection_tokens=5, **labels(THINGS))
    model = tf.YolosForObjectDetection(config)
    tokens = model.vit.embeddings.detection_tokens  # zeros, with which all would find the same
    tokens.data = 2 * torch.randn_like(tokens)
    return model, tf.YolosImageProcessor(size={"shortest_edge": 32, "longest_edge": 48})


def image_segmentation() -> Parts:
    config = tf.SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
        initializer_range=0.5,
        **labels(THINGS),
    )
    return tf.SegformerForSemanticSegmentation(config), tf.SegformerImageProcessor(size=SQUARE)


def zero_shot_image_classification() -> Parts:
    tokenizer = words()
    config = tf.CLIPConfig(text_config=reading(tokenizer), vision_config=PATCHES, projection_dim=16)
    images = tf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE)
    return tf.CLIPModel(config), tokenizer, images


def visual_question_answering() -> Parts:
    tokenizer = words()
    config = tf.ViltConfig(
        **PATCHES, max_position_embeddings=POSITIONS, vocab_size=len(tokenizer), **labels(ANSWERS)
    )
    images = tf.ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=8)
    return tf.ViltForQuestionAnswering(config), tf.ViltProcessor(images, tokenizer)


def video_classification() -> Parts:
    config = tf.VideoMAEConfig(**PATCHES, num_frames=4, tubelet_size=2, **labels(MOVEMENTS))
    processor = tf.VideoMAEImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE)
    return tf.VideoMAEForVideoClassification(config), processor


def speech_recognition() -> Parts:
    letters = ["<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS, "'"]
    config = tf.Wav2Vec2Config(
        **SIZES,
        vocab_size=len(letters),
        conv_dim=(16, 16, 16),
        conv_kernel=(10, 8, 4),
        conv_stride=(5, 8, 8),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        pad_token_id=0,
    )
    tokenizer = spelling(tf.Wav2Vec2CTCTokenizer, letters)
    model = tf.Wav2Vec2ForCTC(config)
    model.lm_head.bias.data[1:4] = -100.0  # letters only
    return model, tokenizer, tf.Wav2Vec2FeatureExtractor(return_attention_mask=True)


def audio_classification() -> Parts:
    config = tf.ASTConfig(**SIZES, max_length=64, num_mel_bins=16, patch_size=8, **labels(SOUNDS))
    return tf.ASTForAudioClassification(config), tf.ASTFeatureExtractor(num_mel_bins=16, max_length=64)


def text_to_audio() -> Parts:
    letters = ["_", " ", *LETTERS, ",", ".", "<unk>"]
    config = tf.VitsConfig(
        vocab_size=len(letters),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=24,
        flow_size=8,
        spectrogram_bins=17,
        upsample_initial_channel=16,
        upsample_rates=[8, 4],
        upsample_kernel_sizes=[16, 8],
        resblock_kernel_sizes=[3],
        resblock_dilation_sizes=[[1, 3]],
        prior_encoder_num_flows=1,
        prior_encoder_num_wavenet_layers=1,
        posterior_encoder_num_wavenet_layers=1,
        duration_predictor_num_flows=1,
        duration_predictor_filter_channels=8,
        duration_predictor_kernel_size=3,
        depth_separable_num_layers=1,
        speaking_rate=0.1,  # about a second
    )
    tokenizer = spelling(tf.VitsTokenizer, letters, phonemize=False, is_uroman=False)
    return tf.VitsModel(config), tokenizer


def spelling(tokenizer: Any, letters: list[str], **options: Any) -> Any:
    """A tokenizer of letters, which reads its vocabulary from a file."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({letter: at for at, letter in enumerate(letters)}, file)
        file.flush()
        return tokenizer(file.name, **options)


BUILDERS: dict[str, Callable[[], Parts]] = {
    "question-answering": question_answering,
    "sentence-similarity": sentence_similarity,
    "translation": translation,
    "object-detection": object_detection,
    "image-segmentation": image_segmentation,
    "video-classification": video_classification,
    "zero-shot-image-classification": zero_shot_image_classification,
    "visual-question-answering": visual_question_answering,
    "automatic-speech-recognition": speech_recognition,
    "audio-classification": audio_classification,
    "text-to-audio": text_to_audio,
}
"""Task, which is the folder's name too -> what builds its model."""


def write(task: str, folder: Path) -> None:
    """Writes the checkpoint, the same at each call."""
    torch.manual_seed(0)
    model, *processors = BUILDERS[task]()
    for each in (model.eval(), *processors):
        each.save_pretrained(folder / task)


def main() -> None:
    began = time.monotonic()
    tf.logging.set_verbosity_error()
    tf.logging.disable_progress_bar()
    for task in BUILDERS:
        write(task, FOLDER)
    print(f"wrote {len(BUILDERS)} models to {FOLDER} in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
