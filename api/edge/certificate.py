"""Certificate: the API's TLS certificate and key, loaded again when their files change."""

import asyncio
import ssl
from pathlib import Path

import structlog

from jobs.errors import ConfigurationError
from jobs.settings import Settings

log = structlog.get_logger(__name__)

CHECK_SECONDS = 1.0
"""Seconds between two looks at the files."""

Stamp = tuple[tuple[int, int, int] | None, ...]
"""Modification time, size and inode of each file; None for a file that cannot be read."""


class Certificate:
    """The context of new connections. Connections that are open keep the certificate they began with."""

    context: ssl.SSLContext

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raises ConfigurationError with one sentence if the files cannot be used."""
        self._files = (certificate, key)
        self._loaded = self._stamp()
        self.context = self._load()

    async def watch(self) -> None:
        """Loads the files after a change, for ever. Files that cannot be used are logged once."""
        seen = self._loaded
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            stamp = await asyncio.to_thread(self._stamp)
            # a program may write one file after the other: wait until nothing changed between two looks
            if stamp == seen and stamp != self._loaded:
                self._loaded = stamp
                await self._reload()
            seen = stamp

    async def _reload(self) -> None:
        try:
            self.context = await asyncio.to_thread(self._load)
        except ConfigurationError as error:
            log.error("TLS certificate not reloaded", error=str(error))
        else:
            log.info("TLS certificate reloaded", certificate=str(self._files[0]))

    def _stamp(self) -> Stamp:
        return tuple(_stamp(path) for path in self._files)

    def _load(self) -> ssl.SSLContext:
        """A new context: in a used one, a failed load could leave the new certificate with the old key."""
        certificate, key = self._files
        for name, path in (("CERT", certificate), ("KEY", key)):
            try:
                path.read_bytes()
            except OSError as error:
                raise ConfigurationError(
                    f"BATCHLINE_TLS_{name}: cannot read {path}: {error.strerror}"
                ) from None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(certificate, key, password=_refuse_password)
        except (OSError, ValueError) as error:
            reason = "" if isinstance(error, ValueError) else str(getattr(error, "reason", None) or "")
            raise ConfigurationError(_sentence(certificate, key, reason)) from None
        return context


def certificate_of(settings: Settings) -> Certificate | None:
    """The certificate of the settings, or None if the API serves plain HTTP. Raises ConfigurationError."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Certificate(settings.tls_cert, settings.tls_key)


def _refuse_password() -> str:
    """Called for an encrypted key. Without it, OpenSSL would ask on the terminal."""
    raise ValueError


def _sentence(certificate: Path, key: Path, reason: str) -> str:
    if "MISMATCH" in reason:
        return f"BATCHLINE_TLS_KEY: the key in {key} does not belong to the certificate in {certificate}"
    detail = f" ({reason.lower().replace('_', ' ')})" if reason else ""
    return (
        f"BATCHLINE_TLS_CERT, BATCHLINE_TLS_KEY: cannot use {certificate} with {key}{detail};"
        " both must be PEM files, and the key must not be encrypted"
    )


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
