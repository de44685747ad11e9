"""`batchline batch COMMAND ...`: runs files of inputs through a model on a server.

What went wrong is one sentence on stderr.
"""

import argparse
import os
import sys
import zipfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from cli.batch import arguments, lock, output, parquet, requests, state, tables
from cli.batch.errors import CannotContinue, Refused, Unavailable
from cli.batch.parts import Limits
from cli.batch.requests import Source
from cli.batch.run import Options, Run, reasons
from cli.batch.server import Batch, Server
from cli.batch.state import State

SOME_FAILED = 3
"""Exit status if some rows have no output."""
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status, as `batchline batch run --help` lists them. Wrong arguments: 2."""
    given = arguments.read(sys.argv[1:] if argv is None else argv)
    try:
        with Server(given.url, given.api_key) as server:
            return COMMANDS[given.command](server, given)
    except CannotContinue as error:
        _tell(plain(str(error)))
        return 1
    except OSError as error:  # of a temporary file, for example: the disk is full
        _tell(plain(f"cannot continue: {error}; the same command tries again"))
        return 1
    except KeyboardInterrupt:
        _tell("stopped")
        return INTERRUPTED


def run(server: Server, given: argparse.Namespace) -> int:
    """Runs INPUT and writes OUT, or continues an unfinished run."""
    names = output.Names(given.output_column, given.error_column)
    source = _source(given, names)
    with lock.held(given.out):
        return _run_locked(server, given, source, names)


def _run_locked(server: Server, given: argparse.Namespace, source: Source, names: output.Names) -> int:
    path = state.path_of(given.out)
    key = _key(given, server, source)
    saved = _saved(given, path, key)
    options = Options(
        Limits(given.batch_lines, given.batch_bytes), given.patience, given.media, given.expires_after
    )
    try:
        _check_model(server, given.model)
        state.save(path, saved)  # before anything is sent, whether it can be written
        with ExitStack() as exits:
            running = Run(server, source, saved, path, options, exits)
            if given.cancel:
                running.cancel()
            ended = running.finish(given.input.stem + ".jsonl")
            _refuse_changed(
                given, key, _key(given, server, source)
            )  # its rows would get the outputs of others
            written = output.write(given.out, source, ended, names)
        running.forget()
    except KeyboardInterrupt:
        if not saved.begun:
            raise
        _tell("stopped; the server goes on. The same command continues, with --cancel it cancels the rest")
        return INTERRUPTED
    except Unavailable as error:
        raise CannotContinue(
            f"{error}; the same command {'continues' if saved.begun else 'tries again'}"
        ) from None
    except Refused as error:
        if not (saved.begun and error.may_be_lost):
            raise
        raise CannotContinue(
            f"{error}; if the server has lost what the run had sent, --restart begins anew"
        ) from None
    finally:
        if not saved.begun:
            path.unlink(missing_ok=True)
    failed = f", {written.failed:,} of them failed (see column {names.error})" if written.failed else ""
    _tell(f"wrote {written.rows:,} rows to {given.out}{failed}")
    return SOME_FAILED if written.failed else 0


def _key(given: argparse.Namespace, server: Server, source: Source) -> str:
    """Changes with all that decides what is sent."""
    media = [] if given.media is None else [state.identity(given.media)]
    asked = (source.endpoint, given.model, given.column, given.body)
    return state.key_of(given.input, server.url, *asked, *media)


def _source(given: argparse.Namespace, names: output.Names) -> Source:
    """The requests of INPUT. Raises CannotContinue for what can be known to fail."""
    if given.out.suffix not in tables.SUFFIXES:
        raise CannotContinue(f"{given.out} must end in one of {', '.join(tables.SUFFIXES)}")
    if given.out.is_dir():
        raise CannotContinue(f"{given.out} is a folder: give the name of a file")
    if given.out.suffix == ".parquet":
        parquet.pyarrow()  # before an hour of work
    if given.media is not None:
        _check_archive(given.media)
    table = tables.opened(given.input)
    try:
        more = msgspec.json.decode(given.body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise CannotContinue(f"--body must be a JSON object: {error}") from None
    source: Source
    if isinstance(table, tables.JsonlTable) and requests.are_ready(table):
        if given.model or given.column or given.endpoint or more:
            raise CannotContinue(
                f"{given.input} has requests of a batch, which are sent as they are: leave out --model,"
                " --column, --endpoint and --body"
            )
        source = requests.ReadyRequests(table)
    else:
        if given.model is None:
            raise CannotContinue("name the model with --model")
        source = requests.RowRequests(table, given.endpoint or "/v1/jobs", given.model, given.column, more)
    names.refuse(source.columns)
    if given.out.suffix == ".parquet" and isinstance(table, tables.JsonlTable):
        parquet.schema_of(source.records())  # other files have types that Parquet has
    return source


def _check_archive(path: Path) -> None:
    try:
        with path.open("rb") as file:
            is_archive = zipfile.is_zipfile(file)
    except OSError as error:
        raise CannotContinue(f"{path} cannot be read: {error.strerror}") from None
    if not is_archive:
        raise CannotContinue(f"{path} is no zip archive")


def _saved(given: argparse.Namespace, path: Path, key: str) -> State:
    """The state to continue from, or a new one. Raises CannotContinue."""
    if given.restart:
        path.unlink(missing_ok=True)
    saved = state.load(path)
    if saved is not None and saved.key != key:
        raise CannotContinue(
            f"{path} is of an unfinished run with another INPUT or other arguments: repeat that command,"
            " or forget it with --restart"
        )
    if saved is None:
        if given.cancel:
            raise CannotContinue(f"there is no unfinished run that writes {given.out}")
        if given.out.exists() and not given.overwrite:
            raise CannotContinue(f"{given.out} exists: give another name, or --overwrite")
    return saved or State(key)


def _refuse_changed(given: argparse.Namespace, key: str, now: str) -> None:
    if now != key:
        raise CannotContinue(
            f"{given.input} has changed since the run began: restore it and repeat the command, or begin anew"
            " with --restart"
        )


def _check_model(server: Server, model: str | None) -> None:
    """Asks the server for its models: whether it answers, accepts the key and has the model."""
    served = server.models()
    if model is not None and served and model not in served:
        raise CannotContinue(f"no model named {model!r} is served; there are {', '.join(served)}")


def status(server: Server, given: argparse.Namespace) -> int:
    """Prints a batch."""
    batch = server.batch(given.id)
    _print(row(batch))
    if batch.errors and batch.errors.data:
        _print(plain(reasons(batch, most=20)))
    for name, file in (("output", batch.output_file_id), ("errors", batch.error_file_id)):
        if file:
            _print(f"{name}: {server.url}/v1/files/{file}/content")
    return 0


def listing(server: Server, given: argparse.Namespace) -> int:
    """Prints the newest batches."""
    for batch in islice(server.batches(), given.limit):
        _print(row(batch))
    return 0


def cancel(server: Server, given: argparse.Namespace) -> int:
    """Cancels a batch and prints it."""
    _print(row(server.cancel(given.id)))
    return 0


COMMANDS: dict[str, Callable[[Server, argparse.Namespace], int]] = {
    "run": run,
    "status": status,
    "list": listing,
    "cancel": cancel,
}


def row(batch: Batch) -> str:
    """A batch in one line."""
    counts, created = batch.counts, datetime.fromtimestamp(batch.created_at, UTC)
    done = f"{counts.done:,} of {counts.total:,} done, {counts.failed:,} failed"
    return plain(f"{batch.id}  {created:%Y-%m-%d %H:%M:%S} UTC  {batch.endpoint}  {batch.status}  {done}")


def plain(text: str) -> str:
    """The text without control characters: a server's texts may contain terminal commands."""
    return "".join(char if char.isprintable() else " " for char in text)


def _print(text: str) -> None:
    try:
        print(text, flush=True)  # noqa: T201
    except (
        BrokenPipeError
    ):  # the reader has what it wanted, as `head` does; Python writes again when it exits
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(text: str) -> None:
    print(f"batchline batch: {text}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
