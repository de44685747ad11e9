"""Fresh virtual environments with the wheel installed, and without this checkout. Nothing is downloaded."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from tests.processes import ROOT

PACKAGED = ("api", "bulk", "cli", "hooks", "jobs", "standalone", "templates", "top", "worker")
"""The folders that the wheel takes its files from."""


def build_wheel(folder: Path) -> Path:
    """The wheel, built from a copy: setuptools leaves files beside the sources and packs older ones again."""
    copy = folder / "source"
    for name in PACKAGED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(copy)],
        check=True,
        timeout=120,
    )
    [wheel] = folder.glob("*.whl")
    return wheel


def create(folder: Path, wheel: Path, *, without: Sequence[str] = ()) -> Path:
    """The `bin` of an environment with the wheel and links to the packages of this one.

    `without`: the beginnings of the names that are left out, as if they were not installed.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    python = folder / "bin" / "python"
    theirs = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    hidden = ("__editable__", "batchline", "__pycache__", *without)
    for site in {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}:
        for each in site.iterdir():
            if not each.name.startswith(hidden):
                (theirs / each.name).symlink_to(each)
    install = ["--no-deps", "--no-index", "--no-compile", "--quiet", str(wheel)]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", *install], check=True, timeout=120
    )
    return folder / "bin"


def clean_environment() -> dict[str, str]:
    """This process's variables without what could lead to the checkout or change a setting."""
    hidden = ("BATCHLINE_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
