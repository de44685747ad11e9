"""The text of a row comes in whole characters, and never with a part of a stop string."""

from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from tests.worker.engine.pipelines.tiny.text import word_pieces, words_only
from worker.engine.pipelines.text.continuous.text_stream import TextStream

TEXT = "naïve 你好 😀 e\u0301 fin"


def bytes_only() -> Any:
    """A tokenizer like that of GPT-2, without merges: each byte is a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: at for at, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def byte_fallback() -> Any:
    """A tokenizer like that of Llama 2: letters, and single bytes for all others."""
    pieces = [unknown := "<unk>", *(f"<0x{at:02X}>" for at in range(256)), "▁", *"naivefn"]
    vocabulary = {piece: at for at, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token=unknown, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def parts(stream: TextStream, tokens: list[int]) -> list[str]:
    found = []
    for token in tokens:
        found.append(stream.append(token))
        if stream.stopped:
            break
    return [*found, stream.finish()]


@pytest.mark.parametrize("build", [bytes_only, byte_fallback])
def test_no_part_has_half_a_character(build: Any) -> None:
    """Wherever the text is cut off."""
    tokenizer = build()
    held = {at for piece, at in tokenizer.get_vocab().items() if piece.startswith("<0x")}
    tokens = tokenizer.encode(TEXT, add_special_tokens=False).ids
    for count in range(len(tokens) + 1):
        *certain, rest = parts(TextStream(tokenizer.decode, held=held), tokens[:count])
        assert "\ufffd" not in "".join(certain)
        assert "".join(certain) + rest == tokenizer.decode(tokens[:count])
    assert len([part for part in certain if part]) > 8


@pytest.mark.parametrize("build", [word_pieces, words_only])
def test_the_parts_of_words_are_the_text(build: Any) -> None:
    tokenizer = build()
    tokens = tokenizer("the xyz bridge , anna wrote .", add_special_tokens=False)["input_ids"]
    stream = TextStream(lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    assert "".join(parts(stream, tokens)) == tokenizer.decode(tokens, skip_special_tokens=True)


def test_bytes_that_are_no_characters_are_decoded_now_and_then() -> None:
    tokenizer = bytes_only()
    decoded = 0

    def decode(tokens: list[int]) -> str:
        nonlocal decoded
        decoded += len(tokens)
        return str(tokenizer.decode(tokens))

    invalid = [tokenizer.encode("你", add_special_tokens=False).ids[1]] * 400
    assert "".join(parts(TextStream(decode), invalid)) == tokenizer.decode(invalid)
    assert decoded < 400 * 16


@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        (["fin"], "naïve 你好 😀 e\u0301 "),
        (["ve 你", "ïve "], "na"),
        (["你好!", "好"], "naïve 你"),
        (["\U0001f600"], "naïve 你好 "),
        (["finish"], TEXT),
        (["aaa", "nai"], TEXT),
    ],
)
def test_a_stop_string_is_never_shown(stops: list[str], expected: str) -> None:
    tokenizer = bytes_only()
    stream = TextStream(tokenizer.decode, stops)
    found = parts(stream, tokenizer.encode(TEXT, add_special_tokens=False).ids)
    assert "".join(found) == expected
    assert stream.stopped == (expected != TEXT)
    shown = ""
    for part in found[: -2 if stream.stopped else -1]:
        shown += part
        assert not any(shown.endswith(stop[:size]) for stop in stops for size in range(1, len(stop) + 1))


def test_a_text_that_cannot_be_had_in_parts_comes_at_the_end() -> None:
    tokenizer = words_only()
    tokens = tokenizer("the bridge was late")["input_ids"]
    stream = TextStream(tokenizer.decode, ["ge w"], whole=True)
    assert parts(stream, tokens) == ["", "", "", "the brid"]
