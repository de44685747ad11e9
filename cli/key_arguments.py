"""The arguments of `batchline keys`, with their checks."""

import argparse
import math
import re
from collections.abc import Callable
from typing import NamedTuple

from jobs.access.api_key import DEFAULT_SCOPES, SCOPES, KeyScope
from jobs.owners import NAME, RULE, Limits

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

LONGEST = 36_500 * 86_400
"""Seconds; a hundred years."""

RESERVED = {"anonymous"}
"""Pages and documents call the owner of jobs without a key so."""


class _Limit(NamedTuple):
    option: str
    field: str
    meaning: str


LIMITS = (
    _Limit("--inputs-per-minute", "inputs_per_minute", "inputs in a minute"),
    _Limit("--tokens-per-minute", "tokens_per_minute", "estimated tokens in a minute"),
    _Limit("--queued-jobs", "queued_jobs", "unfinished jobs"),
    _Limit("--queued-inputs", "queued_inputs", "inputs of unfinished jobs"),
    _Limit("--queued-bytes", "queued_bytes", "bytes of unfinished jobs"),
    _Limit("--waits", "waits", "requests that wait or follow events at a time"),
)


def parser() -> argparse.ArgumentParser:
    """The parser. A wrong argument ends the program with status 2."""
    top = argparse.ArgumentParser(
        prog="batchline keys",
        description="Create, list, revoke and rotate API keys. They are in Redis (BATCHLINE_REDIS_URL).",
        epilog="`batchline keys COMMAND --help` describes a command. Servers require keys with"
        " BATCHLINE_AUTH=keys.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    create = commands.add_parser(
        "create",
        help="create a key and print its secret",
        description="Create a key for an owner. The secret is printed once.",
    )
    create.add_argument("name", metavar="NAME", type=_owner, help="the owner; may have several keys")
    create.add_argument(
        "--scopes",
        type=_scopes,
        default=DEFAULT_SCOPES,
        help=f"some of {','.join(SCOPES)} (default: submit,read); admin includes the others",
    )
    create.add_argument(
        "--models", type=_names, default=frozenset(), help="models that the key may use (default: all)"
    )
    create.add_argument(
        "--share",
        type=_number(float, 0.01, 1000),
        default=1.0,
        metavar="W",
        help="the owner's share of the workers, relative to other owners with waiting jobs (default: 1)",
    )
    create.add_argument(
        "--rate", type=_number(float, 0.001, 1e6), metavar="R", help="submits in a second (default: no limit)"
    )
    for limit in LIMITS:
        create.add_argument(
            limit.option,
            type=_number(int, 1, 10**12),
            metavar="N",
            help=f"{limit.meaning} (default: no limit)",
        )
    create.add_argument(
        "--expires", type=_lifetime, metavar="TIME", help="lifetime such as 90d, 12h, 30m (default: no end)"
    )
    listing = commands.add_parser("list", help="list all keys", description="List all keys, without secrets.")
    listing.add_argument("--json", action="store_true", help="as JSON")
    revoke = commands.add_parser(
        "revoke",
        help="revoke a key for ever",
        description="Revoke a key. Every server refuses it within a second, and its waits end.",
    )
    revoke.add_argument("id", metavar="ID")
    revoke.add_argument(
        "--cancel-jobs",
        action="store_true",
        help="cancel the owner's unfinished jobs, also those of its other keys (default: they go on)",
    )
    rotate = commands.add_parser(
        "rotate",
        help="give a key a new secret and print it",
        description="Give a key a new secret. It keeps its id, limits and jobs.",
    )
    rotate.add_argument("id", metavar="ID")
    rotate.add_argument(
        "--grace",
        type=_duration,
        default=3_600_000,
        metavar="TIME",
        help="how long the present secret is accepted too, such as 10m, or 0 (default: 1h)",
    )
    commands.add_parser(
        "secret",
        help="print a secret for BATCHLINE_ADMIN_KEY",
        description="Print a new secret for BATCHLINE_ADMIN_KEY or BATCHLINE_ADMIN_KEY_FILE.",
    )
    return top


def limits(arguments: argparse.Namespace) -> Limits:
    """The limits that were given."""
    given = {limit.field: getattr(arguments, limit.field) for limit in LIMITS}
    return Limits(requests_per_second=arguments.rate, **given)


def _owner(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of an owner: {RULE}")
    if text in RESERVED:
        raise argparse.ArgumentTypeError(f"{text!r} is the owner of jobs that were submitted without a key")
    return text


def _scopes(text: str) -> frozenset[KeyScope]:
    given = _names(text)
    if unknown := given.difference(SCOPES):
        raise argparse.ArgumentTypeError(f"{min(unknown)!r} is no scope; give some of {','.join(SCOPES)}")
    return frozenset(scope for scope in SCOPES if scope in given)


def _names(text: str) -> frozenset[str]:
    given = frozenset(part.strip() for part in text.split(","))
    if "" in given:
        raise argparse.ArgumentTypeError("give names, separated by commas")
    return given


def _number(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            found = kind(text)
        except ValueError:
            found = math.nan
        if not least <= found <= most:
            whole = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} must be a {whole} from {least:,.15g} to {most:,.15g}")
        return found

    return number


def _duration(text: str) -> int:
    """Milliseconds."""
    found = re.fullmatch(r"(\d{1,20})([smhd])|0", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; give one such as 45s, 30m, 12h or 90d")
    seconds = 0 if found[1] is None else int(found[1]) * UNITS[found[2]]
    if seconds > LONGEST:
        raise argparse.ArgumentTypeError(f"{text!r} is too long; give at most {LONGEST // UNITS['d']}d")
    return seconds * 1000


def _lifetime(text: str) -> int:
    """Milliseconds, at least a second."""
    if not (found := _duration(text)):
        raise argparse.ArgumentTypeError("a key that has ended is of no use; give a time such as 90d")
    return found
