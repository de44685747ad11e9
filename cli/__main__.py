"""`batchline COMMAND ...`: finds the command's program and passes the arguments to its `main`."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

OWN_PACKAGES = ("api", "bulk", "cli", "hooks", "jobs", "standalone", "top", "worker")
"""Batchline's own packages, which no extra installs; an image may have only some of them."""


class Command(NamedTuple):
    """One command: the module with its `main(argv)`, the extra that it needs, and its help text."""

    module: str
    extra: str
    help_text: str


COMMANDS = {
    "serve": Command(
        "standalone.__main__", "serve", "run Valkey, a worker, the API and a bulk process in this terminal"
    ),
    "worker": Command("worker.__main__", "worker", "serve models from their queues in Redis"),
    "api": Command("api.__main__", "api", "serve the HTTP interface and the pages"),
    "bulk": Command("bulk.__main__", "api", "run the batches of uploaded files"),
    "top": Command("top.__main__", "top", "show a live table of a running server"),
    "batch": Command("cli.batch.command", "batch", "run a file of inputs through a model, as a batch"),
    "keys": Command("cli.keys", "api", "create, list, revoke and rotate API keys"),
    "check-models": Command("cli.check_models", "serve", "check the models file and the files of its models"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status; exits with 2 for an unknown command or argument."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        from importlib.metadata import version

        print(f"batchline {version('batchline')}")  # noqa: T201
        return 0
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return 2
    command = COMMANDS[arguments.command]
    try:
        run = import_module(command.module).main
        status: int = run(arguments.rest)
    except ModuleNotFoundError as error:
        print(f"batchline {arguments.command}: {_how_to_install(command, error)}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:  # before the program handles it itself
        return 130
    return status


def _how_to_install(command: Command, error: ModuleNotFoundError) -> str:
    if str(error.name).partition(".")[0] in OWN_PACKAGES:
        return f"it is not part of this installation, which lacks {error.name}"
    install = f'{sys.executable} -m pip install "batchline[{command.extra}]"'
    return f"{error.name} is not installed; install what the command needs with: {install}"


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS)) + 2
    listed = "\n".join(f"  {name:{width}}{command.help_text}" for name, command in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="batchline",
        usage="batchline COMMAND [ARGUMENTS]",
        description="Serve trained models over HTTP through a durable queue.",
        epilog=f"commands:\n{listed}\n\n`batchline COMMAND --help` describes its arguments.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument("command", nargs="?", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
