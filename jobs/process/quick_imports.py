"""Imports libraries without rich, which they import only for displays that these processes never show.

structlog draws tracebacks with it, httpx its command line. API, worker and engines start faster without it.
"""

import sys
from importlib import import_module


def import_without_rich(*libraries: str) -> None:
    """Imports them as if rich was not installed. Code that imports rich later, such as a class, gets it."""
    if "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]
    try:
        for library in libraries:
            import_module(library)
    finally:
        del sys.modules["rich"]
