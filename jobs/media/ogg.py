"""Seconds and sample rate of the sound in an OGG file: Vorbis, Opus or FLAC.

tinytag reads each page of an OGG file in Python. This reads the first one and the last one.
Format: RFC 3533 (pages), RFC 7845 (Opus), https://xiph.org/vorbis/doc/Vorbis_I_spec.html.
"""

import struct

PAGE = b"OggS"
HEADER = 27
"""Bytes of a page's header, without its table of segments."""
MAX_PAGE = 65_307


def sound_of(data: bytes) -> tuple[float | None, int | None]:
    """Returns the seconds and the sample rate; None for what is not found."""
    try:
        rate, skipped = _stream(data[HEADER + data[26] :][:64])
        if not rate:
            return None, None
        last = _last_position(data)
        return None if last is None else max(0, last - skipped) / rate or None, rate
    except (IndexError, struct.error):  # truncated
        return None, None


def _stream(packet: bytes) -> tuple[int, int]:
    """Returns the sample rate in the first packet, and how many samples a decoder skips; 0 if none."""
    if packet.startswith(b"\x01vorbis"):
        return struct.unpack_from("<I", packet, 12)[0], 0
    if packet.startswith(b"OpusHead"):
        return 48_000, struct.unpack_from("<H", packet, 10)[0]
    if packet.startswith(b"\x7fFLAC"):
        return int.from_bytes(packet[27:30], "big") >> 4, 0
    return 0, 0


def _last_position(data: bytes) -> int | None:
    """Returns the samples up to the last page of the first stream. A page in which none end has -1."""
    end, first = len(data), max(0, len(data) - 2 * MAX_PAGE)
    for _ in range(10):
        end = data.rfind(PAGE, first, end)
        if end < 0:
            return None
        if end + HEADER <= len(data):
            position, stream = struct.unpack_from("<qI", data, end + 6)
            if position >= 0 and stream == struct.unpack_from("<I", data, 14)[0]:
                return int(position)
    return None
