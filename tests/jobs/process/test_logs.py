"""What a log line must not have, whatever a program logs: the secret of a key."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from jobs.access.api_key import new_secret
from jobs.process import logs
from jobs.process.redaction import REPLACEMENT, redacted


@pytest.fixture
def configured() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("layout", ["json", "console"])
@pytest.mark.usefixtures("configured")
def test_no_line_has_a_secret(layout: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Not in the event, a field, a traceback or a library's line."""
    secret = new_secret()
    logs.configure("debug", layout)
    log = structlog.get_logger("test")
    log.info(f"event {secret}", field=secret, nested={"x": [secret]})
    try:
        raise ValueError(f"the header Bearer {secret} is odd")
    except ValueError:
        log.exception("failed", path=f"/x?key={secret}")
    logging.getLogger("library").warning("request %s", secret)
    written = capsys.readouterr().err
    assert secret not in written
    assert secret[3:] not in written
    assert written.count(REPLACEMENT) == 6
    if layout == "json":
        assert [json.loads(line)["level"] for line in written.splitlines()] == ["info", "error", "warning"]


def test_other_text_stays_as_it_is() -> None:
    for text in ("", "bl_short", "able_to_x", "bl_" + "x" * 42):
        assert redacted(text) == text
