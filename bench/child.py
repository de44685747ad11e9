"""Measurements in processes of their own: JSON in on stdin, JSON out on stdout, an error in one sentence."""

import subprocess
import sys
from collections.abc import Callable
from typing import TypeVar

import msgspec

from bench.errors import BenchError
from tests.processes import ROOT

T = TypeVar("T")


def in_child(module: str, question: bytes, answer: type[T], seconds: float) -> T:
    """Asks `python -m module`. It is killed when the time is over, or when we are interrupted."""
    command = [sys.executable, "-m", module]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        told, _ = child.communicate(question, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{module} did not end within {seconds:g} s") from None
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(10)
    if child.returncode:
        raise BenchError(f"{module} failed: {told.decode(errors='replace') or child.returncode}")
    try:
        return msgspec.json.decode(told, type=answer)
    except msgspec.MsgspecError as error:
        raise BenchError(f"{module} answered {len(told)} bytes that cannot be read: {error}") from None


def answer_parent(measure: Callable[[], object]) -> None:
    """The child's side: what `measure` returns goes to stdout; a BenchError does too, with status 1."""
    try:
        sys.stdout.buffer.write(msgspec.json.encode(measure()))
    except BenchError as error:
        print(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
