"""Groups: lines with the same model and parameters share a job of many inputs. No I/O.

Each line has a part of the job's inputs, in their order. Jobs are bounded in inputs and in bytes.
"""

import hashlib
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from bulk.runner.lines.interface import Line
from jobs.inputs import Limits
from jobs.ledger.wire import members
from jobs.schema import NewJob


class Part(NamedTuple):
    """A line as a part of a job."""

    line: Line
    context: Any
    """What the answer needs of the line's request, besides its outputs."""
    inputs: int
    """Number of its inputs."""


class Parsed(NamedTuple):
    """A line that was read."""

    part: Part
    job: NewJob
    """The job that it would be by itself."""
    size: int
    """Bytes of its inputs, about."""


@dataclass
class Group:
    """Lines that share a job."""

    parts: Sequence[Part]
    job: NewJob | None = None
    """Their job; None once it was submitted, because its inputs must not stay in memory. None for lines with
    media: these are read when the job is submitted."""
    count: int = field(init=False)
    """Number of its inputs."""

    def __post_init__(self) -> None:
        self.count = sum(part.inputs for part in self.parts)

    @property
    def name(self) -> str:
        """The same for the same lines, also in another process."""
        numbers = ",".join(str(part.line.number) for part in self.parts)
        return hashlib.sha256(numbers.encode()).hexdigest()[:24]

    def halves(self, parts: Sequence[Part]) -> list["Group"]:
        """Two groups of some of its lines, or one if there is one line."""
        middle = (len(parts) + 1) // 2
        return [Group(half) for half in (parts[:middle], parts[middle:]) if half]


@dataclass
class _Open:
    """A group that more lines may join."""

    lines: list[Parsed] = field(default_factory=list)
    count: int = 0
    size: int = 0

    @property
    def jobs(self) -> list[NewJob]:
        return [one.job for one in self.lines]

    @property
    def has_media(self) -> bool:
        return self.lines[0].job.has_media


def groups(parsed: Iterable[Parsed], most_inputs: int, most_bytes: int) -> list[Group]:
    """Divides lines into groups. One with more inputs or bytes by itself has a group of its own."""
    open_groups: dict[Hashable, _Open] = {}
    found: list[_Open] = []
    for one in parsed:
        key = _key(one.job)
        group = open_groups.get(key)
        if group is None or group.count + one.part.inputs > most_inputs or group.size + one.size > most_bytes:
            group = open_groups[key] = _Open()
            found.append(group)
        group.lines.append(one)
        group.count += one.part.inputs
        group.size += one.size
    return [
        Group([one.part for one in group.lines], None if group.has_media else merged(group.jobs))
        for group in found
    ]


def merged(jobs: Sequence[NewJob]) -> NewJob:
    """One job with the inputs of all, which differ in nothing else."""
    if len(jobs) == 1:
        return jobs[0]
    inputs = [one for job in jobs for one in members(job.inputs)]
    return replace(jobs[0], inputs=inputs, count=len(inputs))


def size_of(line: Line, job: NewJob, spec: Limits) -> int:
    """Bytes of a job's inputs, about. A part of the body, such as a query, may be in several of them."""
    if job.count == 1 or isinstance(job.inputs, msgspec.Raw) or job.has_media:
        return len(line.body)
    return max(len(line.body), sum(map(spec.definition.input.measure, job.inputs)))


def _key(job: NewJob) -> Hashable:
    return job.model, msgspec.msgpack.encode((job.parameters, job.given))
