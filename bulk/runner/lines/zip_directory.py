"""The directory of a zip archive: which entries it has and where they are. Nothing is written to a disk.

It is at the end of the file (APPNOTE 6.3.10, section 4.3): the end record, which in large archives a zip64
locator names, says where the directory is; the directory has a header for each entry.
"""

import struct
import unicodedata
from typing import NamedTuple

MAX_ENTRIES = 100_000
"""Most entries of an archive: a batch has at most 50,000 lines by default."""
MAX_DIRECTORY = 32 * 1024 * 1024
"""Most bytes of its directory."""
TAIL = 65_535 + 22 + 20
"""Bytes at the end of a file in which the end record is, whose comment has at most 65,535 bytes."""

END, LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_BYTES = _LOCAL.size

_LARGE, _MANY = 0xFFFFFFFF, 0xFFFF
_ZIP64 = 1
"""Number of the extra field with sizes above 4 GB."""
_ENCRYPTED, _UTF_8 = 0x1, 0x800
"""Flags of an entry."""


class BadArchive(Exception):
    """The archive or an entry cannot be used; the text is a sentence for the client."""


class Entry(NamedTuple):
    """An entry of an archive, as its directory describes it."""

    start: int
    """Of its local header."""
    compressed: int
    size: int
    """Bytes, compressed and not, as declared."""
    method: int
    checksum: int
    """CRC-32 of its content."""
    encrypted: bool


class Place(NamedTuple):
    """Where the directory is in the file."""

    start: int
    size: int


def place_of_end(tail: bytes, size: int) -> Place | int:
    """Where the directory is, from the last bytes of a file of that size; or where its zip64 end record is.

    Raises BadArchive.
    """
    at = tail.rfind(END)
    if at < 0 or len(tail) - at < _END.size:
        raise BadArchive("the file is no zip archive, or it is not complete")
    _, _, _, _, entries, length, start, _ = _END.unpack_from(tail, at)
    if entries == _MANY or _LARGE in (length, start):
        locator = at - _LOCATOR.size
        if locator >= 0 and tail[locator : locator + 4] == LOCATOR:
            return int(_LOCATOR.unpack_from(tail, locator)[2])
    return _checked(Place(start, length), size)


def place_of_end_64(record: bytes, size: int) -> Place:
    """Where the directory is, from its zip64 end record. Raises BadArchive."""
    if len(record) < _END_64.size or record[:4] != b"PK\x06\x06":
        raise BadArchive("the end of the zip archive is damaged")
    *_, length, start = _END_64.unpack_from(record)
    return _checked(Place(start, length), size)


END_64_BYTES = _END_64.size


def _checked(place: Place, size: int) -> Place:
    if place.start + place.size > size:
        raise BadArchive("the directory of the zip archive is not complete")
    if place.size > MAX_DIRECTORY:
        raise BadArchive(f"the directory of the zip archive has more than {MAX_DIRECTORY:,} bytes")
    return place


def entries(directory: bytes) -> dict[str, Entry | None]:
    """The entries by their normalised names; None for a name that several have. Raises BadArchive.

    Folders, and names that lead out of the archive, are left out.
    """
    found: dict[str, Entry | None] = {}
    at = number = 0
    while at + _ENTRY.size <= len(directory) and directory[at : at + 4] == b"PK\x01\x02":
        number += 1
        if number > MAX_ENTRIES:
            raise BadArchive(f"the zip archive has more than {MAX_ENTRIES:,} entries")
        fields = _ENTRY.unpack_from(directory, at)
        _, _, _, flags, method, _, _, checksum, compressed, size, named, extra, comment = fields[:13]
        start = fields[16]
        at += _ENTRY.size
        raw, more = directory[at : at + named], directory[at + named : at + named + extra]
        at += named + extra + comment
        size, compressed, start = _large(more, size, compressed, start)
        name = normalised(raw.decode("utf-8" if flags & _UTF_8 else "cp437", "replace"))
        if name is not None and not raw.endswith(b"/"):
            entry = Entry(start, compressed, size, method, checksum, bool(flags & _ENCRYPTED))
            found[name] = None if name in found else entry
    return found


def _large(extra: bytes, size: int, compressed: int, start: int) -> tuple[int, int, int]:
    """The values of an entry that the extra field of zip64 has, if they are too large for the header."""
    if _LARGE not in (size, compressed, start):
        return size, compressed, start
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        if kind == _ZIP64:
            count = min(length, len(extra) - at - 4) // 8
            values = iter(struct.unpack_from(f"<{count}Q", extra, at + 4))
            size, compressed, start = (
                next(values, value) if value == _LARGE else value for value in (size, compressed, start)
            )
            break
        at += 4 + length
    return size, compressed, start


def data_start(local: bytes, entry: Entry) -> int:
    """Where the data of an entry begin, from its local header. Raises BadArchive."""
    if len(local) < _LOCAL.size or local[:4] != b"PK\x03\x04":
        raise BadArchive("the header of the entry is damaged")
    *_, named, extra = _LOCAL.unpack_from(local)
    return int(entry.start + _LOCAL.size + named + extra)


def normalised(name: str) -> str | None:
    """The name as it is compared: with slashes, without `./`, in Unicode's form C; None if it leads out."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts or name.startswith(("/", "\\")) or ":" in parts[0]:
        return None
    return unicodedata.normalize("NFC", "/".join(parts))
