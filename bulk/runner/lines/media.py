"""Media of lines that are not in their bodies: links, which are fetched if the operator allows it."""

from api.links import Links
from jobs.schema import NewJob


class LineMedia:
    """Replaces links by media."""

    def __init__(self, links: Links) -> None:
        self._links = links

    async def included(self, job: NewJob, owner: str) -> NewJob:
        """The job with its media. Raises InvalidRequest with the pointer of a link."""
        return await self._links.fetched_for(job, owner)
