"""Event: what a receiver gets, in the form of OpenAI's events, which Standard Webhooks' libraries verify."""

import hashlib
import secrets
from typing import Any, NamedTuple

import msgspec

from hooks.outbox import Ended

TEST = "webhook.test"
"""The event of a test delivery, which an endpoint gets whatever it is registered for."""


class Event(NamedTuple):
    """An event with its body."""

    id: str
    """`evt_` and 32 hex digits; the same for each try and each receiver."""
    type: str
    subject: str
    """The id of the job, batch or endpoint that it is about."""
    body: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the body, hex digits."""
        return hashlib.sha256(self.body).hexdigest()


def of_end(shard: int, entry_id: bytes, ended: Ended) -> Event:
    """Returns the event of an entry of the outbox. The same entry always makes the same event."""
    place = f"{shard} {entry_id.decode()} {ended.subject}".encode()
    return _event(hashlib.sha256(place).hexdigest()[:32], ended.event, ended.subject, ended.at, ended.data)


def of_test(endpoint_id: str, now: int) -> Event:
    """Returns a new event for an endpoint. `now` is in Unix ms."""
    data = {"id": endpoint_id, "object": "webhook"}
    return _event(secrets.token_hex(16), TEST, endpoint_id, now, data)


def _event(digits: str, event: str, subject: str, at: int, data: dict[str, Any]) -> Event:
    event_id = f"evt_{digits}"
    body = {"id": event_id, "object": "event", "created_at": at // 1000, "type": event, "data": data}
    return Event(event_id, event, subject, msgspec.json.encode(body))
