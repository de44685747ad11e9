"""Decodes a sound's bytes into mono samples at the model's rate, within limits.

The limits are checked on the header before anything is decoded, and again while decoding, because a header
may claim anything. The channels are averaged, and the mean is resampled, block by block, so memory depends on
the seconds alone.
"""

import io
import struct
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from jobs.errors import InvalidRequest
from jobs.media.formats import of_kind, recognise
from jobs.tasks.inputs import InputLimits

FORMATS = [each.name for each in of_kind("audio")]

MAX_CHANNELS = 16
BLOCK = 65_536
"""Samples of all channels that are decoded at once."""

STREAMED = 0x7FFF_0000
"""A chunk of at least so many bytes was written by a program that did not know its size, as to a pipe."""

Samples = npt.NDArray[np.float32]


def decode(data: bytes, rate: int, limits: InputLimits) -> Samples:
    """Returns the mean of the channels, [samples], resampled to `rate`.

    Raises InvalidRequest for a sound that is damaged, empty, too long, or in another format; MemoryError.
    """
    if not isinstance(data, bytes):
        raise InvalidRequest(f"an input must be the bytes of a sound, not {type(data).__name__}")
    found = recognise(data)
    if found is None or found.kind != "audio":
        raise InvalidRequest(f"the sound is damaged, or none of {', '.join(FORMATS)}")
    _check_complete(data)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            given = file.samplerate
            _check(file.frames / given, given, file.channels, limits)
            blocks = _Counted(_blocks(file, limits))
            parts = blocks if given == rate else _resampled(blocks, given, rate)
            samples = np.concatenate([np.empty(0, np.float32), *parts])
        if not blocks.samples:
            raise InvalidRequest("the sound has no samples that can be decoded")
        if not samples.size:
            raise InvalidRequest(
                f"the sound has {blocks.samples} samples at {given:,} Hz, which is too short"
            )
        return samples
    except (InvalidRequest, MemoryError):
        raise
    except Exception as error:  # libsndfile and its codecs may find any fault in damaged data
        raise InvalidRequest(f"the sound is damaged: {_reason(error)}") from None


def decode_sound(data: bytes, rate: int, *, max_seconds: float = 3_600.0) -> Samples:
    """`decode` for a class of your own (docs/custom-pipelines.md): mono samples from -1 to 1 at `rate` Hz."""
    return decode(data, rate, InputLimits(max_input_chars=0, max_seconds=max_seconds))


def _check(seconds: float, rate: int, channels: int, limits: InputLimits) -> None:
    if rate > limits.max_sample_rate:
        raise InvalidRequest(
            f"the sound has {rate:,} samples a second, more than this model's limit of"
            f" {limits.max_sample_rate:,} (max_sample_rate in models.toml)"
        )
    if channels > MAX_CHANNELS:
        raise InvalidRequest(f"the sound has {channels} channels, more than {MAX_CHANNELS}")
    if seconds > limits.max_seconds:
        _refuse_seconds(f"{seconds:,.1f}", limits)


def _check_complete(data: bytes) -> None:
    """Raises InvalidRequest if the samples of a WAV or AIFF end earlier than announced.

    libsndfile decodes what there is. The other formats do not announce a size; FLAC notices the end itself.
    """
    if data[:4] not in (b"RIFF", b"FORM"):
        return
    header, samples = ("<4sI", b"data") if data[:4] == b"RIFF" else (">4sI", b"SSND")
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from(header, data, at)
        at += 8
        if name == samples:
            has = len(data) - at
            if has < size < STREAMED:
                raise InvalidRequest(
                    f"the sound is incomplete: it announces {size:,} bytes of samples and has {has:,}"
                )
            return
        at += size + size % 2


def _blocks(file: soundfile.SoundFile, limits: InputLimits) -> Iterator[Samples]:
    """Decodes the file to its end, whatever its header says."""
    most = limits.max_seconds * file.samplerate
    count = 0
    while True:
        block = file.read(max(1, BLOCK // file.channels), dtype="float32", always_2d=True)
        if not len(block):
            return
        count += len(block)
        if count > most:
            _refuse_seconds("more", limits)
        yield block.mean(axis=1, dtype=np.float32) if file.channels > 1 else block[:, 0]


class _Counted:
    """Passes the blocks on, counts their samples, and refuses those that are not numbers."""

    def __init__(self, blocks: Iterator[Samples]) -> None:
        self._blocks = blocks
        self.samples = 0

    def __iter__(self) -> Iterator[Samples]:
        for block in self._blocks:
            if not np.isfinite(block).all():
                raise InvalidRequest("the sound has samples that are not numbers (NaN or infinity)")
            self.samples += block.size
            yield block


def _resampled(blocks: Iterable[Samples], given: int, rate: int) -> Iterator[Samples]:
    """Resamples block by block, with the numbers of `soxr.resample`.

    The whole sound at the rate of its file may take gigabytes: an hour at 384 kHz is 5 MB of FLAC.
    """
    stream = soxr.ResampleStream(given, rate, 1, dtype="float32")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def _refuse_seconds(seconds: str, limits: InputLimits) -> None:
    longer = "has more" if seconds == "more" else f"has {seconds} seconds, more"
    raise InvalidRequest(
        f"the sound {longer} than this model's limit of {limits.max_seconds:,g} seconds"
        " (max_seconds in models.toml)"
    )


def _reason(error: Exception) -> str:
    """Returns the error without the address of the file in memory, which libsndfile puts in front."""
    text = str(getattr(error, "error_string", "")) or str(error)
    return text.strip().partition("\n")[0].rstrip(".") or type(error).__name__
