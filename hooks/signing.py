"""Signs events as Standard Webhooks says: HMAC-SHA256 of `id.timestamp.body`, one for each secret."""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def headers(event_id: str, timestamp: int, body: bytes, keys: Iterable[bytes]) -> dict[str, str]:
    """Returns the headers of one try. `timestamp` is in Unix seconds; receivers refuse old ones."""
    signed = f"{event_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{_signature(key, signed)}" for key in keys),
    }


def _signature(key: bytes, signed: bytes) -> str:
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
