"""A user with the documented rights is enough; what a server does not let us read is said once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from structlog.testing import capture_logs

from jobs.errors import ConfigurationError
from jobs.settings import Settings
from jobs.store.check import check
from jobs.store.connection import connect
from tests import processes, valkey
from tests.api.api_process import mounted
from tests.ledger import JobQueue
from tests.rights import USER, rights
from tests.waiting import until
from tests.worker.conftest import MODEL
from tests.worker.test_batch_worker import new_job

on_disk = pytest.mark.skipif(not valkey.knows_waitaof(), reason="this server cannot tell what is on disk")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[valkey.Server]:
    """A server that the test may configure as it likes."""
    with valkey.running(tmp_path) as running:
        yield running


async def test_the_documented_rights_are_enough(tmp_path: Path) -> None:
    """Jobs are submitted, run, listed and cancelled without a refused command."""
    user = " ".join(rights(USER, "s/ecret"))
    with valkey.running(tmp_path, user=user) as server:
        url = f"redis://{USER}:s%2Fecret@127.0.0.1:{server.port}/0"
        models = processes.write_models(tmp_path)
        settings = Settings(redis_url=url, models_file=models, data_dir=tmp_path)
        await check(settings)
        async with mounted(settings) as (client, _):
            waits = await client.post("/v1/jobs", json={"inputs": "waits"})
            cancelled = await client.delete(f"/v1/jobs/{waits.json()['id']}")
            assert cancelled.json()["status"] == "cancelled"
            with processes.running("worker", redis_url=url, models_file=models, data_dir=tmp_path) as worker:

                async def ran() -> bool:
                    assert worker.poll() is None
                    answer = await client.post(
                        "/v1/jobs?wait=5", json={"inputs": ["one", "two"]}, headers={"Idempotency-Key": "one"}
                    )
                    return bool(answer.json().get("status") == "succeeded")

                await until(ran)
                assert (await client.get("/health/ready")).status_code == 200
            assert len((await client.get("/v1/jobs")).json()["jobs"]) == 2
            for page in ("/metrics", "/", "/v1/health"):
                assert (await client.get(page)).status_code in (200, 404)
        admin = redis.Redis(port=server.port)
        assert admin.acl_log() == [], "no command was refused"


async def test_what_may_not_be_read_is_said_once(own_server: valkey.Server) -> None:
    redis.Redis(port=own_server.port).acl_setuser("default", enabled=True, commands=["-config", "-info"])
    with capture_logs() as logs:
        await check(Settings(redis_url=own_server.url()))
    (entry,) = logs
    assert entry["event"].endswith("cannot be read by this user: set maxmemory-policy to noeviction")


async def test_the_policy_is_read_where_one_command_is_allowed(own_server: valkey.Server) -> None:
    admin = redis.Redis(port=own_server.port)
    admin.config_set("maxmemory-policy", "allkeys-lru")
    admin.acl_setuser("default", enabled=True, commands=["-info"])
    with pytest.raises(ConfigurationError, match="set maxmemory-policy to noeviction"):
        await check(Settings(redis_url=own_server.url()))


async def test_a_server_that_knows_no_config_is_accepted(tmp_path: Path) -> None:
    with (
        valkey.running(tmp_path, rename_command="CONFIG NEW") as managed,
        capture_logs() as logs,
    ):
        await check(Settings(redis_url=managed.url()))
    assert not logs, "INFO has the policy"


@on_disk
@pytest.mark.parametrize("how", ["acl", "unknown"])
async def test_disk_works_where_config_is_forbidden(tmp_path: Path, how: str) -> None:
    options = {"rename_command": "CONFIG NEW"} if how == "unknown" else {}
    with valkey.running(tmp_path, appendfsync="always", **options) as managed:
        if how == "acl":
            redis.Redis(port=managed.port).acl_setuser("default", enabled=True, commands=["-config"])
        settings = Settings(redis_url=managed.url(), durable_submit="disk")
        with capture_logs() as logs:
            await check(settings)
        assert "set appendonly to yes and appendfsync to always" in logs[0]["event"]
        assert len(logs) == 1
        client = connect(settings)
        job, _ = await JobQueue(client, settings, [MODEL]).submit(new_job("text"))
        assert job.status == "queued"
        await client.aclose(close_connection_pool=True)


@on_disk
async def test_disk_without_a_file_is_refused_even_where_config_is_forbidden(tmp_path: Path) -> None:
    with (
        valkey.running(tmp_path, appendonly="no", rename_command="CONFIG NEW") as managed,
        pytest.raises(ConfigurationError, match="set appendonly to yes"),
    ):
        await check(Settings(redis_url=managed.url(), durable_submit="disk"))
