"""The task of a model that is no longer served, as the pages of its jobs need it: made from what is stored.

What kind of input its model read is not known any more. Media are recognised by being bytes.
"""

from dataclasses import replace
from typing import Any

from jobs import tasks
from jobs.media.formats import summary
from jobs.media.values import Link, Medium, Stored, changed
from jobs.tasks.inputs import Json
from jobs.tasks.inputs.showing import shown


class Unknown(Json):
    """An input of an unknown kind: any value, which may contain media."""

    def show(self, item: Any) -> str:
        """See Input."""
        readable = changed(item, _in_words)
        if not isinstance(readable, dict):
            return shown(readable)
        return "\n".join(f"{name}: {shown(value)}" for name, value in readable.items())


def _in_words(medium: Medium) -> str:
    match medium:
        case Link(url=url):
            return url
        case Stored(start=start, size=size):
            return summary(start, size)
    return summary(medium, len(medium))


TASK = replace(tasks.custom_task("json", {}), input=Unknown())
