"""Measurements in child processes: JSON on stdin, JSON or a one-sentence error on stdout."""

import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

import msgspec

from bench.errors import BenchError
from tests.processes import ROOT

T = TypeVar("T")


def in_child(module: str, question: bytes, answer: type[T], seconds: float) -> T:
    """Runs `python -m module` and returns its answer. Kills it on a timeout or an interrupt."""
    command = [sys.executable, "-m", module]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        output, _ = child.communicate(question, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{module} did not end within {seconds:g} s") from None
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(10)
    if child.returncode:
        raise BenchError(f"{module} failed: {output.decode(errors='replace') or child.returncode}")
    try:
        return msgspec.json.decode(output, type=answer)
    except msgspec.MsgspecError as error:
        raise BenchError(f"{module} answered {len(output)} bytes that cannot be read: {error}") from None


def answer_parent(measure: Callable[[], object]) -> None:
    """Used in the child: writes the result of `measure` to stdout, or a BenchError's text, with status 1."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(measure()))
    except BenchError as error:
        print(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
