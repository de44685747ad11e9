"""Ends of jobs with webhooks, and what arrived of them."""

from typing import Any

from standardwebhooks import Webhook as Verifier

from hooks.delivery import Delivery
from hooks.endpoints import Endpoint
from hooks.service import Hooks
from jobs.owners import Sender as Owner
from jobs.schema import NewJob
from jobs.webhook import Webhook
from tests.hooks.receiver import Received
from tests.ledger import MODEL, JobQueue, ending
from tests.waiting import until

GIVEN_UP = "the host did not answer for too long"


def job(webhook: Webhook | None = None, owner: str = "", **fields: Any) -> NewJob:
    return NewJob(
        model=MODEL,
        inputs=["x", "y"],
        count=2,
        parameters={},
        priority="normal",
        expires_in=None,
        webhook=webhook,
        sender=Owner(owner=owner),
        **fields,
    )


async def cancelled(queue: JobQueue, webhook: Webhook | None = None, owner: str = "", **fields: Any) -> str:
    """The id of a job that was cancelled."""
    submitted, _ = await queue.submit(job(webhook, owner, **fields))
    await queue.cancel(submitted.id)
    return submitted.id


async def finished(queue: JobQueue, webhook: Webhook) -> str:
    """The id of a job that succeeded."""
    submitted, _ = await queue.submit(job(webhook))
    [claimed], _ = await queue.claim(MODEL, 10)
    await queue.start([claimed])
    await queue.finish(MODEL, [ending(claimed)])
    return submitted.id


def verified(secret: str, received: Received) -> dict[str, Any]:
    """What Standard Webhooks' library makes of a request. Raises if it is not signed with the secret."""
    found: dict[str, Any] = Verifier(secret).verify(received.body, received.headers)
    return found


async def log_of(hooks: Hooks, owner: str = "") -> list[Delivery]:
    found, _ = await hooks.deliveries.page(owner, 100)
    return found


async def settled(hooks: Hooks, count: int, owner: str = "") -> list[Delivery]:
    """The owner's deliveries, the oldest first, once so many have ended."""
    found: list[Delivery] = []

    async def ended() -> bool:
        nonlocal found
        found = await log_of(hooks, owner)
        return sum(each.state != "pending" for each in found) >= count

    await until(ended)
    return found[::-1]


async def endpoint(hooks: Hooks, url: str, owner: str = "", **fields: Any) -> Endpoint:
    return await hooks.create(owner, url, fields.pop("chosen", ()), "")
