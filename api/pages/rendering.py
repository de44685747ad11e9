"""How pages are made: the Jinja environment, words for numbers and times.

What a page shows is decided in the modules beside this one, not in a template.
"""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from api.wording import bytes_in_words, counted, noun, time_of_day

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
STATIC = TEMPLATES / "static"

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""Nothing inline and nothing from elsewhere runs, whatever a job's text says."""

HEADERS = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
}


def page(name: str, status: int = 200, **context: Any) -> HTMLResponse:
    """A page or a fragment of one."""
    return HTMLResponse(_environment.get_template(name).render(context), status, headers=HEADERS)


def milliseconds(value: float | None) -> str:
    """`0.8 ms`, `12 ms`, `1.24 s`, `3.2 min`; a dash for what is not known."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash is what is meant
    if value < 10:
        return f"{value:.1f} ms"
    if value < 1_000:
        return f"{value:.0f} ms"
    return f"{value / 1_000:.2f} s" if value < 60_000 else f"{value / 60_000:.1f} min"


def roughly(value: float | None) -> str:
    """As `milliseconds`, with the two digits that a histogram is good for: `0.25 ms`, `28 s`."""
    if value is None:
        return milliseconds(None)
    for unit, size in (("min", 60_000), ("s", 1_000), ("ms", 1)):
        if value >= size or size == 1:
            return f"{float(f'{value / size:.2g}'):g} {unit}"
    raise AssertionError(value)


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
    """`1,234`; what is no count keeps one decimal below a hundred."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


def rate(value: float) -> str:
    """As `grouped`, but below one with two digits that say something: one job in a minute is no `0.0`."""
    return f"{value:.2g}" if value < 1 else grouped(value)


def percent(share: float | None) -> str:
    """A share of one; a dash for what is not known."""
    return "–" if share is None else f"{100 * share:.0f} %"  # noqa: RUF001 - a dash is what is meant


def since(unix: float) -> str:
    """How long ago, as `age`."""
    return age(datetime.fromtimestamp(unix, UTC))


def clock(moment: datetime) -> str:
    """The time of day in UTC, to the millisecond."""
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1_000:03d} UTC"


def code(text: str) -> Markup:
    """Words between backticks as code; everything else escaped."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def _fingerprint() -> str:
    """Changes with any static file, so that a browser never mixes two versions."""
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
    roughly=roughly,
    age=age,
    since=since,
    clock=clock,
    code=code,
    time_of_day=time_of_day,
    grouped=grouped,
    rate=rate,
    percent=percent,
    noun=noun,
    counted=counted,
    bytes_in_words=bytes_in_words,
)
_environment.globals["assets"] = _fingerprint()
