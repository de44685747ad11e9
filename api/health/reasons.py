"""Levels of health, the reasons for them, and the condition, which is all of these; see `condition.py`."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

Level = Literal["good", "warn", "bad"]


class Reason(NamedTuple):
    """A reason for a level below good. `text` is a sentence without its full stop."""

    level: Level
    text: str
    todo: str = ""
    """What to do about it, unless that is obvious. Code is between backticks."""
    isolated: bool = False
    """Whether only one model is affected and its worker retries by itself."""
    public: str = ""
    """The text without errors, which may contain parts of a job, without figures of all owners' jobs, and
    without names of workers and servers; empty if `text` has none of these."""

    def for_caller(self, sees: str | None) -> "Reason":
        """The reason as a caller may see it: whole only if the jobs of all owners are seen (None)."""
        return self if sees is None or not self.public else self._replace(text=self.public, public="")


class Condition(NamedTuple):
    """The reasons for `redis` and for each `model NAME`, the worst first."""

    checks: dict[str, list[Reason]]

    @property
    def reasons(self) -> list[Reason]:
        """The reasons of all checks, the worst first."""
        return worst_first([reason for reasons in self.checks.values() for reason in reasons])

    def for_caller(self, sees: str | None) -> "Condition":
        """The condition as a caller may see it."""
        return Condition(
            {name: [each.for_caller(sees) for each in reasons] for name, reasons in self.checks.items()}
        )

    @property
    def level(self) -> Level:
        """Bad if any check is, except retired or restarting models while another model's jobs can be run."""
        bad = [reasons[0] for reasons in self.checks.values() if reasons and reasons[0].level == "bad"]
        if any(not reason.isolated for reason in bad) or len(bad) == len(self.checks) - 1 > 0:
            return "bad"
        return "warn" if self.reasons else "good"


def level_of(reasons: Sequence[Reason]) -> Level:
    """The level of one check; `reasons` has the worst first."""
    return reasons[0].level if reasons else "good"


def worst_first(reasons: list[Reason]) -> list[Reason]:
    """The reasons for the level bad before the others."""
    return sorted(reasons, key=lambda reason: reason.level != "bad")
