"""`python -m standalone`, the program of `make run` and `batchline serve`.

A configuration error is printed as one sentence on stderr, with exit status 1.
"""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence

EXAMPLES = """\
examples:
  batchline serve                           the models of models.toml
  batchline serve ./my-checkpoint           one model; its task is read from its config.json
  batchline serve org/name --port 8001      one model from the Hugging Face hub
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until stopped. Returns the exit status: 1 for a configuration error, 2 for bad arguments."""
    # until the supervisor handles signals there is nothing to stop, so Ctrl-C ends the process without a
    # traceback, also during the imports
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parser = _parser()
    arguments = parser.parse_args(argv)
    source_options = [f"--{name}" for name in ("task", "name", "revision") if getattr(arguments, name)]
    if source_options and not arguments.source:
        parser.error(f"{' and '.join(source_options)}: give a FOLDER_OR_HUB_ID too")
    for name, value in (("HOST", arguments.host), ("PORT", arguments.port)):
        if value is not None:
            os.environ[f"BATCHLINE_{name}"] = str(value)
    from jobs.errors import ConfigurationError
    from jobs.settings import load_settings
    from jobs.variables import warn_of_unknown
    from standalone import single_model
    from standalone.stack import serve
    from standalone.terminal import say

    try:
        settings = load_settings()
        warn_of_unknown(say)
        spec = None
        if arguments.source:
            spec = single_model.describe(
                arguments.source, task=arguments.task, name=arguments.name, revision=arguments.revision
            )
        asyncio.run(serve(settings, spec))
    except ConfigurationError as error:
        # the text is empty if a child has already printed it
        if text := str(error):
            print(f"batchline: {text}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchline serve",
        description="Run Valkey, a worker, the API and a bulk process in this terminal, until Ctrl-C.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source",
        nargs="?",
        metavar="FOLDER_OR_HUB_ID",
        help="a checkpoint to serve; without it, the models of models.toml (BATCHLINE_MODELS_FILE)",
    )
    parser.add_argument("--task", default="", help="its task, if its config.json does not name it")
    parser.add_argument(
        "--name", default="", help="its name in requests (default: from the folder or hub id)"
    )
    parser.add_argument(
        "--revision", default="", help="the commit, branch or tag of a hub id (default: main)"
    )
    parser.add_argument("--host", help="the address to listen on (default: BATCHLINE_HOST or 127.0.0.1)")
    parser.add_argument("--port", type=_port, help="the port to listen on (default: BATCHLINE_PORT or 8000)")
    return parser


def _port(given: str) -> int:
    if not given.isdecimal() or not 1 <= int(given) <= 65_535:
        raise argparse.ArgumentTypeError(f"{given!r} is not a port; give a number from 1 to 65535")
    return int(given)


if __name__ == "__main__":
    sys.exit(main())
