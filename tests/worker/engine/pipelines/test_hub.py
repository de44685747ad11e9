"""A model of the hub comes from the cache without a request; else the hub is asked once."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.worker.engine.pipelines.conftest import ModelFolder
from tests.worker.engine.pipelines.local_hub import COMMIT, MODEL, Hub, serving

ROOT = Path(__file__).parents[4]

LOOK = """
import json, sys
from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from worker.engine.pipelines import hub
spec = ModelSpec(**json.loads(sys.argv[1]))
try:
    cached = hub.from_cache(spec)
    files = hub.sentence_transformers_files(spec, cached=cached)
    print(json.dumps(["cache" if cached else "hub", files is not None]))
except ConfigurationError as error:
    print(json.dumps(["refused", str(error)]))
assert "torch" not in sys.modules
"""

LOAD_TWICE = """
import json, os, sys, urllib.request
from jobs.models import ModelSpec
from worker.engine import pipelines
spec = ModelSpec(device="cpu", **json.loads(sys.argv[1]))
first = pipelines.load(spec, None)
urllib.request.urlopen(os.environ["HF_ENDPOINT"] + "/between")
second = pipelines.load(spec, None)
print(json.dumps([[dict(each.defaults), each.info.tokenizer_file is not None] for each in (first, second)]))
"""


def child(
    code: str, home: Path, endpoint: str, task: str = "fill-mask", **spec: Any
) -> tuple[list[Any], str]:
    """What a process prints, and its stderr. The libraries read their environment when they are imported."""
    given = {"name": "far", "task": task, "source": MODEL, "revision": COMMIT, **spec}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(given)],
        cwd=ROOT,
        env={**kept, "HF_HOME": str(home), "HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_TELEMETRY": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


def closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def cached(home: Path, model: Path, *, but: str = "") -> Path:
    """The model's folder in the cache, without the files of that kind."""
    snapshot = home / "hub" / f"models--{MODEL.replace('/', '--')}" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for file in model.iterdir():
        if file.suffix != but:
            (snapshot / file.name).symlink_to(file)
    return snapshot


def test_a_hub_that_cannot_be_reached_is_reported_in_one_sentence(tmp_path: Path) -> None:
    endpoint = closed_port()
    (outcome, reason), written = child(LOOK, tmp_path, endpoint)
    assert outcome == "refused"
    assert reason.startswith(
        f"model 'far': {MODEL} is not in the cache, and the hub {endpoint} cannot be reached"
    )
    for remedy in ("a local folder as its source", "HF_HOME", "HF_ENDPOINT"):
        assert remedy in reason
    assert "\n" not in reason
    assert written == ""


@pytest.mark.parametrize("revision", [COMMIT, "main"])
@pytest.mark.parametrize(
    ("status", "message"), [(503, "answered 503;"), (401, "answered 401, so HF_TOKEN may")]
)
def test_the_hub_is_asked_once(tmp_path: Path, revision: str, status: int, message: str) -> None:
    with serving(Hub(None, status)) as hub:
        (outcome, reason), written = child(LOOK, tmp_path, hub.url, revision=revision)
    assert (outcome, message in reason) == ("refused", True), reason
    assert hub.requests == [f"HEAD /{MODEL}/resolve/{revision}/config.json"]
    assert written == ""


def test_one_that_takes_the_connection_and_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (outcome, reason), _ = child(LOOK, tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert (outcome, "cannot be reached" in reason) == ("refused", True), reason


@pytest.mark.parametrize(
    ("error", "message"),
    [
        ("EntryNotFound", f"{MODEL} has no config.json"),
        ("RevisionNotFound", f"{MODEL} has no revision {COMMIT}"),
        ("RepoNotFound", f"has no model {MODEL}, or requires a token"),
        ("GatedRepo", f"{MODEL} is gated"),
    ],
)
def test_a_model_that_the_hub_does_not_give(tmp_path: Path, error: str, message: str) -> None:
    with serving(Hub(None, 404, error)) as hub:
        (outcome, reason), _ = child(LOOK, tmp_path, hub.url)
    assert (outcome, message in reason) == ("refused", True), reason


def test_what_is_in_the_cache_needs_no_hub(model_folder: ModelFolder, tmp_path: Path) -> None:
    cached(tmp_path, model_folder("fill-mask"))
    with serving(Hub(None)) as hub:
        assert child(LOOK, tmp_path, hub.url) == (["cache", False], "")
    assert hub.requests == []


def test_files_that_something_else_left_in_the_cache_are_used_where_the_hub_is_away(
    model_folder: ModelFolder, tmp_path: Path
) -> None:
    """Whether there are files for sentence-transformers is not known then, so the hub is asked first."""
    cached(tmp_path, model_folder("feature-extraction"))
    found, written = child(LOOK, tmp_path, closed_port(), "feature-extraction")
    assert found == ["cache", False]
    assert "cannot be reached" in written
    assert written.count("\n") == 1


def test_weights_that_are_half_in_the_cache_do_not_count(model_folder: ModelFolder, tmp_path: Path) -> None:
    snapshot = cached(tmp_path, model_folder("fill-mask"), but=".safetensors")
    shards = {
        "weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    }
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(shards))
    (snapshot / "model-00001-of-00002.safetensors").touch()
    (outcome, reason), _ = child(LOOK, tmp_path, closed_port())
    assert (outcome, "is not in the cache" in reason) == ("refused", True)
    (snapshot / "model-00002-of-00002.safetensors").touch()
    assert child(LOOK, tmp_path, closed_port())[0] == ["cache", False]


def test_a_model_that_was_loaded_once_is_loaded_again_without_the_hub(
    model_folder: ModelFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    for file in model_folder("feature-extraction").iterdir():
        (folder / file.name).symlink_to(file)
    modules = [{"type": "a.Transformer"}, {"type": "a.Pooling", "path": "1_Pooling"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    with serving(Hub(folder)) as hub:
        loaded, _ = child(LOAD_TWICE, tmp_path / "home", hub.url, "feature-extraction")
    assert loaded == [[{"pooling": "cls"}, True]] * 2
    index = hub.requests.index("GET /between")
    assert any("1_Pooling/config.json" in request for request in hub.requests[:index])
    assert hub.requests[index + 1 :] == [], "a commit never changes"
