"""Renders pages: the Jinja environment, and filters that format numbers and times.

The other modules of this package decide what a page shows, not the templates.
"""

import hashlib
import math
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.access.sessions import home, may, session_of
from api.pages.transcripts import clock
from api.wording import duration, time_of_day
from jobs.monitoring.histograms import LATENCIES
from jobs.process.redaction import redacted
from jobs.wording import bytes_in_words, counted, noun

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
STATIC = TEMPLATES / "static"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Allows no inline and no external scripts, so that the text of a job cannot run as a script.

`blob:` is for files that somebody has chosen and not sent yet, `data:` for the media of examples.
"""

LONGEST = 1_000.0 * LATENCIES[-1]
"""Milliseconds above which the bound of a percentile is infinity."""

HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
}


class Page(Response):
    """A page or a fragment, rendered when it is sent: every template may show who is signed in, and forms
    have the session's token. It has no secrets of keys that a request had in a wrong place."""

    media_type = "text/html"

    def __init__(self, name: str, status: int, context: dict[str, Any]) -> None:
        super().__init__(None, status, HEADERS)
        self._template, self._context = _environment.get_template(name), context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scopes = may(scope)
        text = self._template.render(self._context, session=session_of(scope), may=scopes, home=home(scopes))
        self.body = self.render(redacted(text))
        self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def page(name: str, status: int = 200, **context: Any) -> Page:
    """A page or a fragment of a page."""
    return Page(name, status, context)


def show_open(is_open: bool) -> None:
    """Whether every page of this process warns that nobody needs a key."""
    _environment.globals["is_open"] = is_open


def show_owners(has_owners: bool) -> None:
    """Whether every page of this process links to the figures of owners, because senders have names."""
    _environment.globals["has_owners"] = has_owners


def milliseconds(value: float | None) -> str:
    """`0.8 ms`, `12 ms`, `1.24 s`, `3.2 min`; a dash for None."""
    if value is None:
        return "–"  # noqa: RUF001 - the dash is intended
    if value < 10:
        return f"{value:.1f} ms"
    if value < 1_000:
        return f"{value:.0f} ms"
    return f"{value / 1_000:.2f} s" if value < 60_000 else f"{value / 60_000:.1f} min"


def at_most(bound: float | None) -> str:
    """The bound of a percentile, in milliseconds: `≤ 35 ms`, `≤ 1.5 s`, `> 30 min` for infinity."""
    if bound is None:
        return milliseconds(None)
    if math.isinf(bound):
        return f"> {_with_unit(LONGEST)}"
    return f"≤ {_with_unit(bound)}"


def _with_unit(value: float) -> str:
    unit, size = next(
        (unit, size) for unit, size in (("min", 60_000), ("s", 1_000), ("ms", 0)) if value >= size
    )
    return f"{value / (size or 1):g} {unit}"


def age(since: datetime) -> str:
    """`now`, `12 s`, `3 min`, `2 h`, `4 d`."""
    seconds = int((datetime.now(UTC) - since).total_seconds())
    if seconds < 1:
        return "now"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def grouped(value: float) -> str:
    """`1,234`. A float below a hundred has one decimal."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def compact(value: int) -> str:
    """`999`, `1.2 k`, `35 k`, `1.8 M`: for tables with many large numbers."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.1f} {unit}" if value < 10 * size else f"{value / size:,.0f} {unit}"
    return str(value)


def rate(value: float) -> str:
    """As `grouped`, but with two significant digits below one: one job in a minute is not `0.0`."""
    return f"{value:.2g}" if value < 1 else grouped(value)


def percent(share: float | None) -> str:
    """A share between 0 and 1 as `12 %`; a dash for None."""
    return "–" if share is None else f"{100 * share:.0f} %"  # noqa: RUF001 - the dash is intended


def since(unix: float) -> str:
    """The time since `unix` seconds, as `age`."""
    return age(datetime.fromtimestamp(unix, UTC))


def moment(when: datetime) -> str:
    """The date and time in UTC, to the millisecond: `2026-11-29 09:05:01.250 UTC`."""
    return f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1_000:03d} UTC"


def code(text: str) -> Markup:
    """HTML with the text between backticks as code. All text is escaped."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def _fingerprint() -> str:
    """A hash of all static files, so that a browser never mixes two versions."""
    digest = hashlib.sha256()
    for path in sorted(path for path in STATIC.rglob("*") if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_environment.filters.update(
    milliseconds=milliseconds,
    at_most=at_most,
    age=age,
    since=since,
    moment=moment,
    code=code,
    time_of_day=time_of_day,
    grouped=grouped,
    rate=rate,
    percent=percent,
    noun=noun,
    compact=compact,
    counted=counted,
    bytes_in_words=bytes_in_words,
    duration=duration,
    clock=clock,
)
_environment.globals.update(assets=_fingerprint(), is_open=False, has_owners=False)
