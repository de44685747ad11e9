"""A key for some models: the server is as if it had only these."""

from jobs.problem_kinds import TYPE
from jobs.settings import Settings
from tests.api.access.keyed import ADMIN, bearer, keyed
from tests.ledger import heartbeat

SENTIMENT = frozenset({"sentiment"})


async def test_other_models_do_not_exist_for_the_key(settings: Settings) -> None:
    """For its owner's other keys they do. A key cannot find out which others there are."""
    async with keyed(settings) as edge:
        _, limited = await edge.key(models=frozenset({"shapes"}))
        _, free = await edge.key()
        jobs = {
            name: {"model": name, "inputs": [1] if name == "shapes" else "x"}
            for name in ("sentiment", "shapes")
        }
        refused = await edge.client.post("/v1/jobs", json=jobs["sentiment"], headers=bearer(limited))
        assert (refused.status_code, refused.json()["type"]) == (404, f"{TYPE}unknown-model")
        assert "known: shapes" in refused.json()["detail"]
        for secret, model in ((limited, "shapes"), (free, "sentiment")):
            assert (
                await edge.client.post("/v1/jobs", json=jobs[model], headers=bearer(secret))
            ).status_code == 202
        default = await edge.client.post("/v1/jobs", json={"inputs": [1]}, headers=bearer(limited))
        assert default.json()["model"] == "shapes", "the first model of the key"
        listed = (await edge.client.get("/v1/models", headers=bearer(limited))).json()
        assert [model["name"] for model in listed["models"]] == ["shapes"]
        assert [model["default"] for model in listed["models"]] == [True]
        assert [entry["id"] for entry in listed["data"]] == ["shapes"]


async def test_no_answer_names_another_model(settings: Settings) -> None:
    async with keyed(settings) as edge:
        _, secret = await edge.key(models=SENTIMENT)
        paths = [
            *("/", "/try", "/try?model=shapes", "/jobs", "/docs", "/openapi.json", "/v1/models"),
            *("/fragments/overview", "/fragments/recent", "/v1/jobs", "/models/sentiment"),
        ]
        for path in paths:
            answer = await edge.client.get(path, headers=bearer(secret))
            assert answer.status_code in (200, 303), path
            assert "shapes" not in answer.text.lower().replace("?model=shapes", ""), path
        for path in ("/models/shapes", "/fragments/overview?model=shapes", "/v1/jobs?model=shapes"):
            assert (await edge.client.get(path, headers=bearer(secret))).status_code == 404, path


async def test_the_form_submits_to_the_models_of_the_key_only(settings: Settings) -> None:
    async with keyed(settings) as edge:
        _, secret = await edge.key(models=SENTIMENT)
        form = {"text": "1", "mode": "lines", "model": "shapes"}
        assert (await edge.client.post("/submit", data=form, headers=bearer(secret))).status_code == 404


async def test_a_key_for_a_model_that_is_gone(settings: Settings) -> None:
    async with keyed(settings) as edge:
        _, secret = await edge.key(models=frozenset({"gone"}))
        submitted = await edge.client.post("/v1/jobs", json={"inputs": "x"}, headers=bearer(secret))
        assert (submitted.status_code, submitted.json()["type"]) == (404, f"{TYPE}unknown-model")
        assert (await edge.client.get("/v1/models", headers=bearer(secret))).json()["models"] == []
        for path in ("/", "/try", "/jobs"):
            assert (await edge.client.get(path, headers=bearer(secret))).status_code in (200, 404), path


async def test_the_servers_figures_are_for_admins(settings: Settings) -> None:
    """Others see the models, and whether they are ready."""
    async with keyed(settings) as edge:
        await edge.services.roster._roster.write(heartbeat("host-1", "sentiment"))
        _, secret = await edge.key()
        for given, admin in ((secret, False), (ADMIN, True)):
            models = (await edge.client.get("/v1/models", headers=bearer(given))).json()["models"]
            assert [model["ready"] for model in models] == [True, False]
            assert [model["queue"] is not None for model in models] == [admin] * 2
            assert [len(model["workers"]) for model in models] == [int(admin), 0]
