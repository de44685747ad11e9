"""Runs the code that the page /try shows."""

import contextlib
import io

from huggingface_hub import constants

constants.HF_HUB_OFFLINE = False


def run(code: str) -> str:
    """What the program prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, {})  # noqa: S102
    return printed.getvalue()
