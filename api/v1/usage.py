"""/v1/usage: what the jobs of named owners used, from counters of each hour (`jobs/monitoring/usage.py`)."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from api.access.caller import Caller
from api.problems.problem import Refusal
from api.services import Asking, Shared
from api.v1 import query
from api.v1.openapi import USAGE
from api.v1.replies import reply
from api.v1.schemas import UsageJobs, UsageReport, UsageRow
from jobs.monitoring.usage import HOUR, KEPT_HOURS, NOTHING, Place, Used
from jobs.owners import NAME

router = APIRouter(tags=["usage"], dependencies=[Depends(query.check_declared)])

Period = Literal["hour", "day", "total"]

DEFAULT_HOURS = 24

MOST_ROWS = 10_000
"""Most rows of one answer."""

EPOCH, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
ONE_HOUR = timedelta(hours=1)

RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")

HOURS: dict[Period, int] = {"hour": 1, "day": 24}
"""Hours of a period; days begin at midnight in UTC."""


@router.get("/v1/usage", **USAGE)
async def read_usage(
    shared: Shared,
    caller: Asking,
    begin: Annotated[
        str | None,
        Query(
            alias="from",
            description="An RFC 3339 time, rounded down to a full hour; by default 24 hours before `to`.",
            json_schema_extra={"format": "date-time"},
        ),
    ] = None,
    end: Annotated[
        str | None,
        Query(
            alias="to",
            description="An RFC 3339 time, rounded up to a full hour; by default the end of this hour.",
            json_schema_extra={"format": "date-time"},
        ),
    ] = None,
    by: Annotated[
        Period, Query(description="The time that one row covers: an hour, a day of UTC, or the whole time.")
    ] = "total",
    owner: Annotated[
        str | None,
        Query(
            description="Only this owner. Other owners than the caller: for admins only.",
            json_schema_extra={"pattern": f"^{NAME.pattern}$"},
        ),
    ] = None,
) -> Response:
    """Returns what ended jobs used, for each owner and model: of the caller, or of all owners for an admin.

    A job counts in the hour in which it ended. Usage is kept for 90 days, and only for named owners: on a
    server without keys there are no rows, and `/metrics` has the work of all jobs together.
    """
    usage = shared.usage
    now = await usage.hour()
    last = now + 1 if end is None else -(-_since_epoch("to", end) // ONE_HOUR)
    first = last - DEFAULT_HOURS if begin is None else _since_epoch("from", begin) // ONE_HOUR
    if first >= last:
        raise _invalid("from", "'from' must be before 'to'")
    if last - first > KEPT_HOURS:
        raise _invalid("from", f"at most 90 days can be read at once, not {(last - first) // 24:,}")
    wanted = _owner(caller, owner)
    # nothing was counted before the 90 days, or after this hour
    counted = range(max(first, now - KEPT_HOURS), min(last, now + 1))
    owners = await usage.owners(counted.start) if wanted is None else [wanted] if wanted else []
    found = await usage.read(owners, counted.start, counted.stop) if counted else {}
    rows = list(_rows(found, range(first, last), by))
    if len(rows) > MOST_ROWS:
        raise _invalid(
            "by",
            f"the answer would have {len(rows)} rows, more than {MOST_ROWS}; ask for less time, for one"
            " owner, or for longer periods (by=day, by=total)",
        )
    return reply(UsageReport(_moment(first), _moment(last), by, rows))


def _rows(found: Mapping[Place, Used], wanted: range, by: Period) -> Iterator[UsageRow]:
    """The sums of each owner, model and period, in this order."""
    size = HOURS.get(by, len(wanted))
    offset = 0 if by in HOURS else wanted.start  # the whole time is one period
    sums: dict[Place, Used] = {}
    for place, used in found.items():
        period = place._replace(hour=(place.hour - offset) // size * size + offset)
        sums[period] = sums.get(period, NOTHING) + used
    for (owner, model, hour), used in sorted(sums.items()):
        yield UsageRow(
            owner,
            model,
            _moment(max(hour, wanted.start)),
            _moment(min(hour + size, wanted.stop)),
            UsageJobs(used.succeeded, used.failed, used.cancelled, used.expired),
            used.inputs,
            used.failed_inputs,
            used.tokens,
            used.compute_seconds,
        )


def _owner(caller: Caller, asked: str | None) -> str | None:
    """The owner whose usage is read: None for all, "" for nobody.

    Raises Refusal if the caller may not ask for this owner.
    """
    if asked is not None and not NAME.fullmatch(asked):
        raise _invalid("owner", f"{asked[:60]!r} is not the name of an owner")
    if caller.sees is None or asked in (None, caller.sees):
        return caller.sees if asked is None else asked
    raise Refusal("forbidden", "only an admin can read the usage of other owners", parameter="owner")


def _since_epoch(name: str, text: str) -> timedelta:
    """A time of the query, from 1970. Raises Refusal."""
    if not RFC_3339.fullmatch(text):
        hint = "; in a URL write + as %2B" if re.search(r"\d \d\d:\d\d$", text) else ""
        zone = re.fullmatch(r"\d{4}-\d\d-\d\d([Tt ][\d:.]+)?", text)
        what = "has no time or no zone" if zone else "is not a time"
        raise _invalid(
            name, f"{text[:60]!r} {what}; give an RFC 3339 time such as 2026-11-29T09:00:00Z{hint}"
        )
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _invalid(name, f"{text[:60]!r} is not a time: there is no such date, time or zone") from None
    if not EPOCH + DEFAULT_HOURS * ONE_HOUR <= moment < LATEST:
        raise _invalid(name, f"{text[:60]!r} is not between {EPOCH.year} and {LATEST.year}")
    return moment - EPOCH


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR, UTC)


def _invalid(name: str, detail: str) -> Refusal:
    return Refusal("invalid-request", f"query parameter {name!r}: {detail}", parameter=name)
