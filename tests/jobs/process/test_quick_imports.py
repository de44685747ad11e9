"""Processes start without libraries that they never use."""

import subprocess
import sys

import pytest

from tests.processes import ROOT


@pytest.mark.parametrize("program", ["api", "worker", "worker.engine"])
def test_a_program_starts_without_rich(program: str) -> None:
    """And what is imported later, such as a model's class, may import it."""
    code = f"import {program}.__main__, sys; assert 'rich' not in sys.modules; import rich.console"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
