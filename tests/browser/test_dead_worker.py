"""What the pages say of a worker that died, and of one that came back, in a real browser."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from arq.connections import ArqRedis
from playwright.async_api import expect

from jobs.monitoring import roster
from jobs.monitoring.roster import Heartbeat, Roster
from tests.browser.conftest import Site, Watched, submitted, unloaded
from tests.ledger import first_shard
from tests.waiting import until


@asynccontextmanager
async def dying(site: Site, redis: ArqRedis) -> AsyncIterator[None]:
    """A worker for as long as the block; then it is killed, and its last heartbeat grows old.

    It does not expire, where it would after five seconds: a slow machine might not look at a page in time.
    """
    beats: list[Heartbeat] = []

    async def alive() -> bool:
        beats[:] = await Roster(first_shard(redis)).read()
        return len(beats) == 1

    with site.worker():
        yield
        await until(alive)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(roster, "HEARTBEAT_TTL", 600.0)
        await Roster(first_shard(redis)).write(beats[0])


async def forget_workers(redis: ArqRedis) -> None:
    """Removes all heartbeats, as their expiry does."""
    members = Roster(first_shard(redis))
    for beat in await members.read():
        await members.remove(beat.id)


async def test_pages_of_a_model_tell_of_its_worker_and_take_it_back(
    site: Site, view: Watched, redis: ArqRedis
) -> None:
    page, other = view.page, await view.page.context.new_page()
    await page.goto("/try")
    await other.goto(f"/jobs/{await submitted(site, site.gated('go'))}")
    for each in (page, other):
        await each.evaluate("window.mark = 1")
        await expect(each.locator("p.health")).to_contain_text(
            "No live worker for sentiment. Jobs are accepted"
        )
    async with dying(site, redis):
        for each in (page, other):
            await expect(each.locator("p.health")).to_have_count(0)
    for each in (page, other):
        await expect(each.locator("p.health")).to_contain_text("of sentiment has sent no heartbeat for")
    await forget_workers(redis)
    for each in (page, other):
        await expect(each.locator("p.health")).to_contain_text("No live worker for sentiment.")
        assert not await unloaded(each)


async def test_the_health_line_tells_of_a_worker_that_died(
    site: Site, view: Watched, redis: ArqRedis
) -> None:
    page = view.page
    health = page.locator(".health")
    await page.goto("/")
    await page.evaluate("window.mark = 1")
    await expect(health).to_contain_text("No live worker for sentiment.")
    async with dying(site, redis):
        await expect(health).to_contain_text("All is well.")
    await expect(health).to_contain_text("of sentiment has sent no heartbeat for")
    await forget_workers(redis)
    await expect(health).to_contain_text("No live worker for sentiment.")
    with site.worker():
        await expect(health).to_contain_text("All is well.")
    assert not await unloaded(page)
