"""Delivery: an event for one receiver, with its tries, as it is in Redis."""

from collections.abc import Mapping
from typing import Literal

import msgspec

State = Literal["pending", "delivered", "undeliverable"]
"""`pending`: it is tried, or tried again. The others are final, unless it is sent again."""

FIELDS = (
    *("owner", "event", "type", "subject", "endpoint", "url", "host", "sha256", "body"),
    *("state", "created", "since", "next", "round", "tried"),
)


class Try(msgspec.Struct, frozen=True, omit_defaults=True):
    """One try."""

    at: int
    """Unix ms by the sender's clock."""
    ms: int
    """How long it took."""
    status: int | None = None
    """HTTP status of the answer, if there was one."""
    error: str | None = None
    """Why it failed, in words."""


_tries_decoder = msgspec.json.Decoder(Try)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery. Times are Unix ms by the server's clock."""

    id: str
    owner: str
    event: str
    """Id of the event."""
    type: str
    subject: str
    """The id of the job, batch or endpoint that the event is about."""
    endpoint: str
    """Id of the endpoint; empty for the webhook of a single job or batch."""
    url: str
    host: str
    sha256: str
    """Of the body, hex digits."""
    body: bytes
    state: State
    created: int
    since: int
    """When it was written, or sent again."""
    next: int | None
    """When it is tried next, if it is pending."""
    round: int
    """Tries since then."""
    tries: tuple[Try, ...]
    """The newest ones."""


def decoded(delivery_id: bytes | str, fields: Mapping[str, bytes | None]) -> Delivery:
    """Returns a delivery. Fields that another program has changed are empty or 0."""

    def text(name: str) -> str:
        return (fields.get(name) or b"").decode(errors="replace")

    def number(name: str) -> int:
        value = text(name)
        return int(value) if value.isascii() and value.isdigit() and len(value) < 16 else 0

    state = text("state")
    return Delivery(
        id=delivery_id if isinstance(delivery_id, str) else delivery_id.decode(errors="replace"),
        owner=text("owner"),
        event=text("event"),
        type=text("type"),
        subject=text("subject"),
        endpoint=text("endpoint"),
        url=text("url"),
        host=text("host"),
        sha256=text("sha256"),
        body=fields.get("body") or b"",
        state=state if state in ("delivered", "undeliverable") else "pending",  # type: ignore[arg-type]
        created=number("created"),
        since=number("since"),
        next=number("next") or None,
        round=number("round"),
        tries=_tries(fields.get("tried") or b""),
    )


def _tries(lines: bytes) -> tuple[Try, ...]:
    try:
        return tuple(_tries_decoder.decode_lines(lines))
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ()
