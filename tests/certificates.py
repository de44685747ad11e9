"""TLS for the tests: certificates made by openssl, and a server that was built with TLS.

The embedded Valkey is built without TLS. A `redis-server` of the machine usually has it.
"""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import valkey


def tls_server() -> str | None:
    """The path of a server that speaks TLS, or None."""
    candidates = [valkey.BINARY, shutil.which("valkey-server"), shutil.which("redis-server")]
    # the name of a function of OpenSSL, which only a server built with it contains
    return next((path for path in candidates if path and b"SSL_CTX_new" in Path(path).read_bytes()), None)


needs_tls = pytest.mark.skipif(
    tls_server() is None or shutil.which("openssl") is None,
    reason="needs openssl and a server that was built with TLS",
)


needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@dataclass(frozen=True)
class Certificates:
    """A certificate for 127.0.0.1 and pictures.example, signed by an authority that nobody else trusts."""

    authority: Path
    certificate: Path
    key: Path

    def trusted(self) -> ssl.SSLContext:
        """A client's context that trusts only this authority."""
        return ssl.create_default_context(cafile=str(self.authority))

    def install(self, files: tuple[Path, Path]) -> None:
        """Copies the certificate and its key over these files."""
        shutil.copy(self.certificate, files[0])
        shutil.copy(self.key, files[1])

    def options(self, port: int) -> dict[str, str]:
        """A server's configuration; it also serves its plain port, for the tests themselves."""
        return {
            "tls_port": str(port),
            "tls_cert_file": str(self.certificate),
            "tls_key_file": str(self.key),
            "tls_ca_cert_file": str(self.authority),
            "tls_auth_clients": "no",
        }


def make(folder: Path) -> Certificates:
    """Makes them in a folder."""
    made = Certificates(folder / "ca.crt", folder / "server.crt", folder / "server.key")
    authority_key = folder / "ca.key"
    _openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority", made.authority, authority_key)
    signed_by = f"-CA {made.authority} -CAkey {authority_key}"
    names = "-addext subjectAltName=IP:127.0.0.1,DNS:pictures.example"
    _openssl(
        f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=server {names} {signed_by}",
        made.certificate,
        made.key,
    )
    return made


def encrypt(key: Path, encrypted: Path) -> None:
    """Writes the key with a password."""
    command = ["openssl", "pkey", "-in", str(key), "-out", str(encrypted), "-aes256", "-passout", "pass:word"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)


def _openssl(arguments: str, certificate: Path, key: Path) -> None:
    subprocess.run(
        ["openssl", *arguments.split(), "-out", str(certificate), "-keyout", str(key)],  # noqa: S607
        check=True,
        capture_output=True,
        timeout=60,
    )
