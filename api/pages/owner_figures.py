"""An owner's figures: its waiting jobs, its share, its part of the engines, its usage, and its keys."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from api.pages.charts import Trend, paths, rounded_up
from api.pages.rendering import age
from jobs.access.api_key import ApiKey
from jobs.monitoring.usage import HOUR, NOTHING, Place, Used
from jobs.owners import Limits
from jobs.schema import from_ms
from jobs.wording import bytes_in_words, counted

DAYS = 7
"""Days of usage that are shown, today included."""
RECENT = 2
"""Hours, this one included, over which the owners' parts of the engines are measured."""
CHARTED = 24
"""Hours of the chart, this one included."""


class Figures(NamedTuple):
    """The figures of one owner."""

    owner: str
    waiting: int
    weights: list[float]
    """The smallest and the largest share of its keys; one if they are equal, none without a key."""
    part: float | None
    """Its part of the engines' time for named owners in the RECENT hours; None if there was none."""
    today: Used
    week: Used
    models: list[tuple[str, Used, Used]]
    """For each model what was used today, and in the last DAYS days."""
    trend: Trend
    last: str
    """How long ago its newest job ended, to an hour; a dash if that was before the last DAYS days."""


class KeyRow(NamedTuple):
    """A key without its secret, which nobody knows."""

    id: str
    owner: str
    state: str
    """As `ApiKey.state`."""
    scopes: list[str]
    models: list[str]
    """Empty for all."""
    limits: list[str]
    weight: float
    created: datetime
    expires: datetime | None
    used: datetime | None


def first_hour(now: int) -> int:
    """The first of the hours that are shown: that at which the first of the DAYS days began, in UTC."""
    return now // 24 * 24 - (DAYS - 1) * 24


def figures(
    owners: Iterable[str],
    found: Mapping[Place, Used],
    waiting: Mapping[str, int],
    keys: Sequence[ApiKey],
    now: int,
    everything: Used,
) -> list[Figures]:
    """The figures of these owners. `now` is the current hour.

    `found` is what they used since `first_hour`; `everything` what all owners used in the RECENT hours.
    """
    of_owner: dict[str, dict[Place, Used]] = {}
    for place, used in found.items():
        of_owner.setdefault(place.owner, {})[place] = used
    return [
        _of(owner, of_owner.get(owner, {}), waiting.get(owner, 0), keys, now, everything) for owner in owners
    ]


def recent(found: Mapping[Place, Used], now: int) -> Used:
    """The sum of the RECENT hours."""
    return sum((used for place, used in found.items() if place.hour > now - RECENT), NOTHING)


def _of(
    owner: str, found: Mapping[Place, Used], waiting: int, keys: Sequence[ApiKey], now: int, everything: Used
) -> Figures:
    midnight = now // 24 * 24
    models = []
    for model in sorted({place.model for place in found}):
        its = {place.hour: used for place, used in found.items() if place.model == model}
        today = sum((used for hour, used in its.items() if hour >= midnight), NOTHING)
        models.append((model, today, sum(its.values(), NOTHING)))
    weights = {key.weight for key in keys if key.owner == owner and key.revoked is None}
    newest = max((place.hour for place in found), default=None)
    return Figures(
        owner,
        waiting,
        sorted({min(weights), max(weights)}) if weights else [],
        recent(found, now).compute_us / everything.compute_us if everything.compute_us else None,
        sum((today for _, today, _ in models), NOTHING),
        sum((week for _, _, week in models), NOTHING),
        models,
        _trend(found, now),
        _ago(newest, now),
    )


def _ago(hour: int | None, now: int) -> str:
    if hour is None:
        return "–"  # noqa: RUF001 - the dash is intended
    return "this hour" if hour >= now else age(from_ms((hour + 1) * HOUR * 1000))


def _trend(found: Mapping[Place, Used], now: int) -> Trend:
    """The inputs of each of the CHARTED hours."""
    hours = dict.fromkeys(range(now - CHARTED + 1, now + 1), 0)
    for place, used in found.items():
        if place.hour in hours:
            hours[place.hour] += used.inputs
    peak = max(hours.values())
    line = paths(((hour, float(n)) for hour, n in hours.items()), now, rounded_up(peak), CHARTED - 1, 2)
    return Trend(*line, peak, f"Inputs per hour, last {CHARTED} hours: at most {counted(peak, 'input')}")


def key_row(key: ApiKey, used: int | None, now: int) -> KeyRow:
    """The row of a key, which was last used at `used`; times in Unix ms by the server's clock."""
    return KeyRow(
        key.id,
        key.owner,
        key.state(now),
        sorted(key.scopes),
        sorted(key.models),
        limits_in_words(key.limits),
        key.weight,
        from_ms(key.created),
        None if key.expires is None else from_ms(key.expires),
        None if used is None else from_ms(used),
    )


def limits_in_words(limits: Limits) -> list[str]:
    """A few words for each limit that is set."""
    words = {
        "requests_per_second": lambda n: f"{n:g} requests/s",
        "inputs_per_minute": lambda n: f"{n:,} inputs/min",
        "tokens_per_minute": lambda n: f"{n:,} tokens/min",
        "queued_jobs": lambda n: f"{counted(n, 'job')} queued",
        "queued_inputs": lambda n: f"{counted(n, 'input')} queued",
        "queued_bytes": lambda n: f"{bytes_in_words(n)} queued",
        "waits": lambda n: counted(n, "wait"),
    }
    return [words[name](n) for name in words if (n := getattr(limits, name)) is not None]
