"""OpenAI's client verifies and reads the events of webhooks."""

import time

import pytest

from hooks import events, signing
from hooks.endpoints import Secret, new_secret
from hooks.outbox import Ended, Wanted
from jobs.webhook import EVENTS
from tests.clients.process import ClientProcess, ClientRaised

OLD, NEW = new_secret(), new_secret()


@pytest.mark.parametrize("event", EVENTS)
async def test_it_unwraps_every_event_also_with_the_secret_before_a_rotation(
    clients: ClientProcess, event: str
) -> None:
    now = int(time.time())
    data = {"id": "batch_1", "object": "batch", "status": event.partition(".")[2]}
    made = events.of_end(0, b"1-0", Ended("batch_1", event, "", now * 1000, Wanted(), data))
    secret = Secret(owner="", secret=NEW, previous=OLD, previous_until=2**43)
    headers = signing.headers(made.id, now, made.body, secret.keys(now * 1000))
    for known in (OLD, NEW):
        call = clients.call("openai_sdk:unwrap", secret=known, body=made.body.decode(), headers=headers)
        found = await call
        assert (found["id"], found["type"], found["object"]) == (made.id, event, "event")
        assert found["data"]["id"] == "batch_1"
    with pytest.raises(ClientRaised):
        await clients.call("openai_sdk:unwrap", secret=new_secret(), body=made.body.decode(), headers=headers)
