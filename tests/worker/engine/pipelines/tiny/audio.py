"""Models of sounds, and the sounds themselves."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers as _transformers
from tokenizers import pre_tokenizers

from tests.worker.engine.pipelines.tiny.text import SIZES, WORDS, words_only

transformers: Any = _transformers  # its annotations do not fit its own defaults

RATE = 16_000
WINDOW = 2
"""Seconds that the Whisper here reads at once; the real one reads 30."""
_LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]
_WAV2VEC2 = {
    **SIZES,
    "conv_dim": (16, 16, 16),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (5, 8, 8),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "initializer_range": 0.3,
    "pad_token_id": 0,
}
_PADDED: Any = {"pad_token": "<unk>"}
_LANGUAGES = ("en", "de", "fr")
_ROLES = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")


def sound(seconds: float, pitch: float = 300.0, rate: int = RATE, channels: int = 1) -> Any:
    """A tone that rises, with some noise: samples, or [samples, channels]."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(round(pitch)).standard_normal(len(time))
    tone = 0.4 * np.sin(2 * np.pi * pitch * time * (1 + time / 4)) + 0.05 * noise
    if channels == 1:
        return tone.astype(np.float32)
    return np.stack([tone * (each + 1) / channels for each in range(channels)], axis=1).astype(np.float32)


def encoded(samples: Any, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    """The bytes of a file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def _spread(model: Any) -> Any:
    """Biases start as zeros and norms as ones, which would hide a mistake with them."""
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return model.eval()


def _wav2vec2(kind: Any, norm: str, **config: Any) -> Callable[[Path], None]:
    """`norm`: with `group` the first layer normalizes over the whole length of a sound, with `layer` not."""

    def save(folder: Path) -> None:
        torch.manual_seed(11)
        settings: Any = {**_WAV2VEC2, "feat_extract_norm": norm, **config}
        settings["do_stable_layer_norm"] = norm == "layer"
        built = kind(transformers.Wav2Vec2Config(vocab_size=len(_LETTERS), **settings))
        _spread(built).save_pretrained(folder)
        vocabulary = folder / "vocab.json"
        vocabulary.write_text(json.dumps({letter: i for i, letter in enumerate(_LETTERS)}))
        transformers.Wav2Vec2CTCTokenizer(str(vocabulary)).save_pretrained(folder)
        masked = norm == "layer"
        transformers.Wav2Vec2FeatureExtractor(return_attention_mask=masked).save_pretrained(folder)

    return save


def _whisper(*, languages: tuple[str, ...]) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        torch.manual_seed(3)
        words = [
            *sorted(pre_tokenizers.ByteLevel.alphabet()),
            *(f"Ġ{word}" for word in WORDS if word != "in"),
        ]
        tokenizer = transformers.WhisperTokenizer(
            vocab={word: i for i, word in enumerate(dict.fromkeys(words))}, merges=[]
        )
        names = ("startoftranscript", *languages, *_ROLES)
        tokenizer.add_special_tokens({"additional_special_tokens": [f"<|{name}|>" for name in names]})
        ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("endoftext", *names)}
        end, start = ids["endoftext"], ids["startoftranscript"]
        ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), end)
        config = transformers.WhisperConfig(
            vocab_size=len(tokenizer) + 1501,
            num_mel_bins=20,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=48,
            decoder_ffn_dim=48,
            max_source_positions=50 * WINDOW,
            max_target_positions=40,
            decoder_start_token_id=start,
            init_std=0.4,
            **ends,
        )
        model = _spread(transformers.WhisperForConditionalGeneration(config))
        settings = {
            "no_timestamps_token_id": ids["notimestamps"],
            "prev_sot_token_id": ids["startofprev"],
            "alignment_heads": [[0, 0], [1, 1]],
            "is_multilingual": len(languages) > 1,
            "return_timestamps": False,
            "max_initial_timestamp_index": 10,
            "begin_suppress_tokens": [end],
            "suppress_tokens": [],
            "max_length": 24,
            "num_beams": 2,
        }
        if len(languages) > 1:
            settings["lang_to_id"] = {f"<|{code}|>": ids[code] for code in languages}
            settings["task_to_id"] = {name: ids[name] for name in ("transcribe", "translate")}
        model.generation_config = transformers.GenerationConfig(
            **settings, **ends, decoder_start_token_id=start
        )
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        transformers.WhisperFeatureExtractor(feature_size=20, chunk_length=WINDOW).save_pretrained(folder)

    return save


def _ast(folder: Path) -> None:
    torch.manual_seed(11)
    config = transformers.ASTConfig(
        **SIZES, num_labels=5, max_length=64, num_mel_bins=16, patch_size=8, initializer_range=0.3
    )
    _spread(transformers.ASTForAudioClassification(config)).save_pretrained(folder)
    transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=64).save_pretrained(folder)


def _clap(folder: Path) -> None:
    torch.manual_seed(11)
    words = words_only(**_PADDED, model_max_length=40)
    config = transformers.ClapConfig(
        text_config={
            **SIZES,
            "vocab_size": len(words),
            "max_position_embeddings": 48,
            "pad_token_id": 1,
            "projection_dim": 16,
            "initializer_range": 0.3,
        },
        audio_config={
            "spec_size": 32,
            "num_mel_bins": 16,
            "patch_size": 4,
            "patch_stride": [4, 4],
            "window_size": 2,
            "patch_embeds_hidden_size": 8,
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "num_hidden_layers": 2,
            "hidden_size": 16,
            "projection_dim": 16,
            "num_classes": 4,
            "enable_fusion": False,
        },
        projection_dim=16,
    )
    _spread(transformers.ClapModel(config)).save_pretrained(folder)
    words.save_pretrained(folder)
    transformers.ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=RATE,
        hop_length=320,
        max_length_s=1,
        frequency_max=7_000,
        truncation="rand_trunc",
    ).save_pretrained(folder)


def _vits(folder: Path) -> None:
    torch.manual_seed(11)
    letters = ["_", " ", *"abcdefghijklmnopqrstuvwxyz,.", "<unk>"]
    config = transformers.VitsConfig(
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
    )
    transformers.VitsModel(config).eval().save_pretrained(folder)
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    transformers.VitsTokenizer(str(vocabulary), phonemize=False, is_uroman=False).save_pretrained(folder)


def _musicgen(folder: Path) -> None:
    torch.manual_seed(11)
    words = words_only(**_PADDED)
    config = transformers.MusicgenConfig(
        text_encoder={
            "model_type": "t5",
            "vocab_size": len(words),
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 24,
            "num_layers": 1,
            "num_heads": 2,
        },
        audio_encoder={
            "model_type": "encodec",
            "num_filters": 4,
            "hidden_size": 8,
            "codebook_dim": 8,
            "codebook_size": 32,
            "num_residual_layers": 1,
            "num_lstm_layers": 1,
            "upsampling_ratios": [4, 4],
            "target_bandwidths": [20.0],
            "sampling_rate": RATE,
        },
        decoder={
            "model_type": "musicgen_decoder",
            "vocab_size": 32,
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "ffn_dim": 24,
            "num_codebooks": 4,
            "pad_token_id": 32,
            "bos_token_id": 32,
        },
    )
    model = transformers.MusicgenForConditionalGeneration(config).eval()
    model.generation_config.do_sample = True
    model.generation_config.max_length = 24
    model.generation_config.decoder_start_token_id = model.generation_config.pad_token_id = 32
    model.generation_config.guidance_scale = 3.0
    model.save_pretrained(folder)
    words.save_pretrained(folder)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "ctc-group-norm": _wav2vec2(transformers.Wav2Vec2ForCTC, "group"),
    "ctc-layer-norm": _wav2vec2(transformers.Wav2Vec2ForCTC, "layer"),
    "whisper": _whisper(languages=_LANGUAGES),
    "whisper-english": _whisper(languages=("en",)),
    "audio-classification": _ast,
    "wav2vec2-classifier": _wav2vec2(transformers.Wav2Vec2ForSequenceClassification, "layer", num_labels=4),
    "clap": _clap,
    "vits": _vits,
    "musicgen": _musicgen,
}
