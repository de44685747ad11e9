"""What is checked before anything is started."""

import re
import tomllib

from standalone import preflight
from tests.processes import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


IMPORTED_AS = {"pillow": "PIL", "python-multipart": "python_multipart"}
"""Packages whose module has another name."""


def named(extra: str) -> set[str]:
    """The modules of an extra's packages, without versions and extras of their own."""
    packages = [re.split(r"[\[<>=]", requirement)[0] for requirement in EXTRAS[extra]]
    return {IMPORTED_AS.get(package, package) for package in packages}


def test_every_package_that_is_asked_for_is_in_the_extra_that_is_recommended() -> None:
    assert set(preflight.API) == named("api")
    assert {*preflight.WORKER, *preflight.CHECKPOINTS} == named("worker")
    assert set(preflight.EMBEDDED) == named("standalone")
    assert EXTRAS["serve"] == ["batchline[api,batch,standalone,top,worker]"]
