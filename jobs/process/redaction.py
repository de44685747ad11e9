"""Removes secrets of API keys from texts for logs and errors, in case a client sent one in a wrong place."""

import re

SECRET = re.compile(r"bl_[A-Za-z0-9_-]{43}")
"""The secret of a key: `bl_` and 256 bits as base64url."""

REPLACEMENT = "bl_[redacted]"


def redacted(text: str) -> str:
    """Returns the text without secrets."""
    return SECRET.sub(REPLACEMENT, text) if "bl_" in text else text
