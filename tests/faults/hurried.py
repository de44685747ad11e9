"""The API with shorter deadlines: constants of its modules, changed before it starts."""

import sys
from collections.abc import Mapping
from importlib import import_module

from api.__main__ import main


def command(deadlines: Mapping[str, float]) -> list[str]:
    """The arguments of `python -m` that run it; the constants by their full names, in seconds."""
    return ["tests.faults.hurried", *(f"{name}={seconds}" for name, seconds in deadlines.items())]


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        path, _, seconds = argument.partition("=")
        module, _, name = path.rpartition(".")
        assert hasattr(import_module(module), name), f"there is no {path}"
        setattr(import_module(module), name, float(seconds))
    sys.exit(main([]))
