"""AdminKeys: the keys of BATCHLINE_ADMIN_KEY and BATCHLINE_ADMIN_KEY_FILE, which exist without Redis."""

import os
from pathlib import Path

import structlog

from jobs.access.api_key import ApiKey, digest
from jobs.errors import ConfigurationError
from jobs.process.redaction import SECRET
from jobs.settings import MALFORMED_KEY, Settings

log = structlog.get_logger(__name__)

OWNER = "admin"
"""The owner of jobs that are submitted with these keys."""


class AdminKeys:
    """Returns the keys when called. The file is read again when it has changed."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError if the file cannot be read or is malformed."""
        given = settings.admin_key
        self._given = () if given is None else (_key(given.get_secret_value()),)
        self._file = settings.admin_key_file
        self._read: tuple[ApiKey, ...] = ()
        self._state: tuple[int, ...] | None = None
        if self._file is not None:
            self._state = _state(self._file)
            self._read = (_read(self._file),)

    def __call__(self) -> tuple[ApiKey, ...]:
        """Returns the keys that are valid now. An unreadable file has none: a removed key must not stay."""
        if self._file is not None and (state := _state(self._file)) != self._state:
            self._state = state
            try:
                self._read = (_read(self._file),)
                log.info("admin key read again", key=self._read[0].id)
            except ConfigurationError as error:
                self._read = ()
                log.error("admin key removed", error=str(error))
        return (*self._given, *self._read)


def _state(file: Path) -> tuple[int, ...] | None:
    """Returns what differs when the file has changed; None if it is gone."""
    try:
        found = os.stat(file)  # noqa: PTH116 - a stat in memory, each 0.4 s
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size  # ctime: also permissions


def _read(file: Path) -> ApiKey:
    try:
        secret = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigurationError(f"BATCHLINE_ADMIN_KEY_FILE: cannot read {file}: {reason}") from None
    if not SECRET.fullmatch(secret):
        raise ConfigurationError(f"BATCHLINE_ADMIN_KEY_FILE: {file}: {MALFORMED_KEY}")
    return _key(secret)


def _key(secret: str) -> ApiKey:
    """The id differs for another secret, so that a session of the former key ends."""
    hashed = digest(secret)
    return ApiKey(id=f"admin_{hashed[:8]}", owner=OWNER, digest=hashed, scopes=frozenset({"admin"}))
