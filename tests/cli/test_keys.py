"""`batchline keys` as people type it, on a real server."""

import json
from pathlib import Path

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.access.api_key import digest
from jobs.access.key_store import KeyStore
from jobs.ledger.shards import Shards
from jobs.owners import Limits, Sender
from jobs.process.redaction import SECRET
from jobs.schema import JobState
from jobs.settings import Settings
from jobs.store.store import Server
from tests.cli.conftest import Called
from tests.cli.test_command import batchline
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import MODEL, JobQueue, run_one

MODELS = f"""
[models.{MODEL}]
task = "text-classification"
source = "no/such/folder"
aliases = ["mood"]

[models.other]
pipeline = "somewhere:Other"
"""


class Keys:
    """The command on the test's server."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        (folder / "models.toml").write_text(MODELS)

    def __call__(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        given = {
            "BATCHLINE_REDIS_URL": self._settings.redis_url,
            "BATCHLINE_MODELS_FILE": str(self._folder / "models.toml"),
            "BATCHLINE_LOG_FORMAT": "json",
            **variables,
        }
        return batchline("keys", *arguments, variables=given)

    def create(self, *arguments: str) -> tuple[str, str]:
        """The id and the secret of a new key."""
        status, out, err = self("create", *arguments)
        assert status == 0, err
        return json.loads(err)["key"], out.strip()


@pytest.fixture
def run(settings: Settings, tmp_path: Path) -> Keys:
    return Keys(settings, tmp_path)


@pytest.fixture
def store(redis: ArqRedis, settings: Settings) -> KeyStore:
    return KeyStore(Shards(Server(redis), settings).first)


async def test_create_prints_only_the_secret(run: Keys, store: KeyStore) -> None:
    status, out, err = run("create", "alice")
    assert status == 0
    assert out.endswith("\n")
    assert SECRET.fullmatch(out.strip())
    [key] = await store.list()
    assert key.digest == digest(out.strip())
    assert (key.owner, key.scopes, key.weight) == ("alice", frozenset({"submit", "read"}), 1.0)
    assert (key.limits, key.models, key.expires) == (Limits(), frozenset(), None)
    line = json.loads(err)
    assert line["event"] == "key created"
    assert (line["owner"], line["key"], line["scopes"]) == ("alice", key.id, ["submit", "read"])
    assert out.strip() not in err


async def test_create_takes_all_limits(run: Keys, store: KeyStore) -> None:
    run.create(
        *("bob", "--scopes", "read,admin", "--models", "mood,other", "--share", "2.5", "--rate", "0.5"),
        *(
            "--inputs-per-minute",
            "1",
            "--tokens-per-minute",
            "2",
            "--queued-jobs",
            "3",
            "--queued-inputs",
            "4",
        ),
        *("--queued-bytes", "5", "--waits", "6", "--expires", "90d"),
    )
    [key] = await store.list()
    assert key.limits == Limits(
        requests_per_second=0.5,
        inputs_per_minute=1,
        tokens_per_minute=2,
        queued_jobs=3,
        queued_inputs=4,
        queued_bytes=5,
        waits=6,
    )
    assert key.models == frozenset({MODEL, "other"}), "the model's own name, not its alias"
    assert (key.scopes, key.weight) == (frozenset({"read", "admin"}), 2.5)
    assert key.expires == key.created + 90 * 86_400_000


async def test_rotate_prints_only_the_new_secret(run: Keys, store: KeyStore) -> None:
    key_id, first = run.create("alice")
    status, out, err = run("rotate", key_id, "--grace", "10m")
    [key] = await store.list()
    assert (status, key.digest, key.previous) == (0, digest(out.strip()), digest(first))
    assert json.loads(err)["event"] == "key rotated"


def test_list_shows_every_key_without_secrets(run: Keys) -> None:
    key_id, secret = run.create("alice", "--rate", "3", "--models", "other", "--expires", "1d")
    revoked, _ = run.create("bob")
    run("revoke", revoked)
    status, out, err = run("list")
    assert (status, err) == (0, "")
    heading, *rows = out.splitlines()
    assert heading.split() == [
        *("id", "owner", "scopes", "models", "share", "limits", "created", "expires", "used", "state")
    ]
    assert rows[0].split()[:6] == [key_id, "alice", "submit,read", "other", "1", "requests_per_second=3"]
    assert [row.split()[-1] for row in rows] == ["active", "revoked"]
    _, text, _ = run("list", "--json")
    listed = json.loads(text)
    assert [(each["id"], each["state"]) for each in listed] == [(key_id, "active"), (revoked, "revoked")]
    assert listed[0]["limits"] == {"requests_per_second": 3.0}
    for hidden in (secret, secret[3:], digest(secret)):
        assert hidden not in out + text


async def test_revoke_leaves_jobs_alone_unless_they_are_to_be_cancelled(
    run: Keys, store: KeyStore, queue: JobQueue
) -> None:
    alice: list[str] = []
    bob: list[str] = []
    for owner, ids in (("alice", alice), ("bob", bob)):
        for i in range(3):
            job = replace(new_job(f"{i}"), sender=Sender(owner))
            ids.append((await queue.submit(job))[0].id)
    first, _ = run.create("alice")
    second, _ = run.create("alice")
    assert run("revoke", first)[0] == 0

    async def states(ids: list[str]) -> list[JobState]:
        return [(await queue.read(job_id, sees=None)).status for job_id in ids]

    assert await states(alice) == [JobState.QUEUED] * 3
    await run_one(queue)
    status, out, err = run("revoke", second, "--cancel-jobs")
    assert (status, out) == (0, "")
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["key revoked", "jobs cancelled"]
    assert json.loads(err.splitlines()[1])["jobs"] == 2
    assert await states(alice) == [JobState.SUCCEEDED, *[JobState.CANCELLED] * 2]
    assert await states(bob) == [JobState.QUEUED] * 3
    assert [key.fault(0) for key in await store.list()] == ["revoked"] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create"], "the following arguments are required: NAME"),
        (["create", "a b"], "'a b' is no name of an owner: 1 to 64 letters"),
        (["create", "a", "--scopes", "write"], "'write' is no scope; give some of submit,read,admin"),
        (["create", "a", "--scopes", ""], "give names, separated by commas"),
        (["create", "a", "--models", "x,,y"], "give names, separated by commas"),
        (["create", "a", "--share", "0"], "'0' must be a number from 0.01 to 1,000"),
        (["create", "a", "--share", "nan"], "'nan' must be a number"),
        (["create", "a", "--rate", "-1"], "'-1' must be a number"),
        (["create", "a", "--waits", "1.5"], "'1.5' must be a whole number from 1 to"),
        (["create", "a", "--expires", "soon"], "'soon' is no time; give one such as 45s"),
        (["rotate", "k_x", "--grace", "1"], "'1' is no time"),
        (["revoke"], "the following arguments are required: ID"),
        (["drop"], "invalid choice: 'drop'"),
    ],
)
def test_wrong_arguments_are_explained(called: Called, arguments: list[str], message: str) -> None:
    status, out, err = called("keys", *arguments)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["revoke", "k_x"], "no key has the id k_x"),
        (["rotate", "k_x"], "no key has the id k_x"),
        (["create", "a", "--models", "nope"], "no model named 'nope' is served"),
    ],
)
def test_what_does_not_exist_is_reported(run: Keys, arguments: list[str], message: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (1, "")
    assert err.startswith(f"batchline: {message}")
    assert err.count("\n") == 1


def test_a_server_that_is_away_is_reported(run: Keys) -> None:
    status, out, err = run("create", "alice", BATCHLINE_REDIS_URL="redis://127.0.0.1:1/0")
    assert (status, out) == (1, "")
    assert err.startswith("batchline: Redis cannot be reached")
    assert err.count("\n") == 1


def test_a_missing_models_file_stops_no_revocation(run: Keys) -> None:
    key_id, _ = run.create("alice")
    status, _, err = run("revoke", key_id, "--cancel-jobs", BATCHLINE_MODELS_FILE="/no/models.toml")
    done, error = err.splitlines()
    assert (status, json.loads(done)["event"]) == (1, "key revoked")
    assert error.startswith(
        "batchline: no job was cancelled: that needs the models file, and /no/models.toml"
    )
    assert json.loads(run("list", "--json")[1])[0]["state"] == "revoked"


def test_a_secret_for_the_environment_is_not_stored(run: Keys) -> None:
    status, out, err = run("secret")
    assert (status, err) == (0, "")
    assert SECRET.fullmatch(out.strip())
    assert json.loads(run("list", "--json")[1]) == []
