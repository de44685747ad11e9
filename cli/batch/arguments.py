"""The arguments of `batchline batch`."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from cli.batch import requests, tables

KEY_VARIABLE = "BATCHLINE_API_KEY"
"""The environment variable with the key for a server that requires keys."""

LINES = 50_000
BYTES = 200_000_000
"""Default limits of one batch: those of OpenAI, and of our servers unless they are set otherwise."""


MIN_LIFETIME, MAX_LIFETIME = 3_600, 2_592_000
"""Seconds that OpenAI, and our servers, take as the lifetime of a file."""


def read(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments. A wrong one ends the program with status 2."""
    top = parser()
    for each in argv:
        try:
            each.encode()
        except UnicodeEncodeError:
            top.error(f"the argument {each!r} is not UTF-8")
    return top.parse_args(argv)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = argparse.ArgumentParser(
        prog="batchline batch",
        description="Run a file of inputs through a model on a server.",
        epilog="`batchline batch COMMAND --help` describes a command.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a CSV, JSONL or Parquet file and write the outputs",
        description="Run each row of INPUT through a model and write OUT: the rows in the same order, with"
        " the model's outputs as further columns. Ctrl-C stops watching; the same command continues.",
        epilog="Exit status: 0 if every row has an output, 3 if some rows failed (OUT has their reasons), 1"
        " if there is no OUT, 130 after Ctrl-C.",
    )
    _add_run(run)
    status = commands.add_parser(
        "status", help="show one batch", description="Show one batch and its errors."
    )
    status.add_argument("id", metavar="ID")
    listing = commands.add_parser(
        "list", help="list batches, the newest first", description="List batches, the newest first."
    )
    listing.add_argument(
        "--limit", type=_whole, default=20, metavar="N", help="at most so many (default: %(default)s)"
    )
    cancel = commands.add_parser(
        "cancel", help="cancel a batch", description="Cancel a batch. Outputs that are known are kept."
    )
    cancel.add_argument("id", metavar="ID")
    for each in (status, listing, cancel):
        _add_server(each)
    return top


def _add_run(run: argparse.ArgumentParser) -> None:
    suffixes = ", ".join(tables.SUFFIXES)
    run.add_argument("input", metavar="INPUT", type=Path, help=f"a file that ends in one of {suffixes}")
    run.add_argument(
        "-o", "--out", metavar="OUT", type=Path, required=True, help=f"the file to write: {suffixes}"
    )
    run.add_argument("--model", metavar="M", help="the model; required unless INPUT has requests of a batch")
    run.add_argument(
        "--column",
        action="append",
        default=[],
        metavar="[NAME=]COLUMN",
        help="the column with the input; several, or one with a name, make an input of named parts"
        " (default: the only column, or `text`)",
    )
    run.add_argument(
        "--endpoint",
        choices=requests.ENDPOINTS,
        metavar="PATH",
        help=f"one of {', '.join(requests.ENDPOINTS)} (default: /v1/jobs, which serves every task)",
    )
    run.add_argument(
        "--body",
        metavar="JSON",
        default="{}",
        help="""further members of each request, such as '{"parameters": {"top_k": 1}}'""",
    )
    run.add_argument(
        "--media",
        type=Path,
        metavar="ZIP",
        help="an archive with media, which rows name as `archive:NAME`; it is uploaded once",
    )
    run.add_argument("--output-column", metavar="NAME", default="output", help="default: %(default)s")
    run.add_argument("--error-column", metavar="NAME", default="error", help="default: %(default)s")
    run.add_argument(
        "--expires-after",
        type=_lifetime,
        metavar="S",
        help="seconds after which the server deletes the uploaded files and those of the answers"
        " (default: as the server is set)",
    )
    run.add_argument("--overwrite", action="store_true", help="replace an OUT that exists")
    run.add_argument("--restart", action="store_true", help="forget an unfinished run with the same OUT")
    run.add_argument(
        "--cancel",
        action="store_true",
        help="cancel the unfinished run, and write the outputs that are known",
    )
    run.add_argument(
        "--batch-lines",
        type=_whole,
        default=LINES,
        metavar="N",
        help="rows of a batch (default: %(default)s)",
    )
    run.add_argument(
        "--batch-bytes", type=_whole, default=BYTES, metavar="N", help="its bytes (default: %(default)s)"
    )
    run.add_argument(
        "--patience",
        type=_seconds,
        default=600.0,
        metavar="S",
        help="seconds without an answer of the server after which to give up (default: 600)",
    )
    _add_server(run)


def _add_server(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--url",
        default=_default_url(),
        help="the server (default: %(default)s, from BATCHLINE_HOST and BATCHLINE_PORT)",
    )
    command.add_argument(
        "--api-key",
        metavar="KEY",
        default=os.environ.get(KEY_VARIABLE),
        help=f"the key for a server that requires keys (default: that of the variable {KEY_VARIABLE},"
        " which other users of this machine cannot see)",
    )


def _default_url() -> str:
    """The URL of an API with this environment's settings."""
    host, port = os.environ.get("BATCHLINE_HOST", ""), os.environ.get("BATCHLINE_PORT", "8000")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if os.environ.get("BATCHLINE_TLS_CERT") else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 10**12:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number above 0")
    return int(text)


def _lifetime(text: str) -> int:
    seconds = _whole(text)
    if not MIN_LIFETIME <= seconds <= MAX_LIFETIME:
        raise argparse.ArgumentTypeError(f"{text!r} must be from {MIN_LIFETIME:,} to {MAX_LIFETIME:,}")
    return seconds


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 10**7:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of seconds")
    return seconds
