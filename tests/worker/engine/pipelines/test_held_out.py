"""`auto` judges by our texts or the user's, and by a folder of the user's media."""

from pathlib import Path

import pytest

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from tests.worker.engine.pipelines.conftest import ModelFolder
from tests.worker.engine.pipelines.vision.images import encoded, picture
from worker.engine import dtypes, held_out
from worker.engine.pipelines.audio.base import noise

MEDIA = {
    "image-classification": "image-classification",
    "vit": "image-feature-extraction",
    "audio-classification": "audio-classification",
}


@pytest.mark.parametrize("model", MEDIA)
def test_media_of_a_folder_judge_models_that_read_media(
    model_folder: ModelFolder, tmp_path: Path, model: str
) -> None:
    media = tmp_path / "media"
    media.mkdir()
    (media / ".DS_Store").write_bytes(b"no medium")
    for number in range(5):
        sound = noise(0.5 + number / 10)
        (media / str(number)).write_bytes(sound if model.startswith("audio") else encoded(picture(40, 40)))
    spec = ModelSpec(
        name="tiny",
        task=MEDIA[model],
        source="here",
        device="cpu",
        dtype="auto",
        held_out=str(media),
        max_batch_items=3,
    )
    judge = dtypes.Judge(spec, model_folder(model), held_out.inputs(spec))
    assert max(map(len, judge.batches)) <= 3
    assert sum(map(len, judge.batches)) == 5
    _, itself = judge.examine("float32", min_speedup=0)
    assert itself.agreement == pytest.approx(1.0)
    _, verdict = judge.examine("bfloat16", min_speedup=0)
    assert verdict.agreement is not None
    if model == "vit":
        assert 0 < verdict.agreement < 0.999999


@pytest.mark.parametrize(("folder", "reason"), [("absent", "No such file"), ("empty", "contains no files")])
def test_a_folder_without_media(tmp_path: Path, folder: str, reason: str) -> None:
    (tmp_path / "empty").mkdir()
    spec = ModelSpec(
        name="tiny",
        task="image-classification",
        source="here",
        dtype="auto",
        held_out=str(tmp_path / folder),
    )
    with pytest.raises(ConfigurationError, match=f"model 'tiny': held_out: .*{folder}.*{reason}"):
        held_out.inputs(spec)


def test_the_shipped_texts_are_varied() -> None:
    spec = ModelSpec(name="fast", task="text-classification", source="here", dtype="auto")
    texts = held_out.inputs(spec)
    words = [len(text.split()) for text in texts]
    assert len(set(texts)) == len(texts) >= 256
    assert (min(words), max(words)) == (3, 198)


def test_a_file_that_is_no_medium(
    model_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dtypes.Judge, "speed", lambda *_: 2.0)
    (tmp_path / "a.png").write_bytes(encoded(picture(40, 40)))
    (tmp_path / "notes.txt").write_bytes(b"not a picture")
    spec = ModelSpec(
        name="tiny",
        task="image-classification",
        source="here",
        device="cpu",
        dtype="auto",
        held_out=str(tmp_path),
    )
    with pytest.raises(ConfigurationError, match=r"model 'tiny': .*notes\.txt cannot be used: the image is"):
        dtypes.choose(spec, model_folder("image-classification"))


def test_the_media_of_a_large_folder_are_spread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abcdefg":
        (tmp_path / name).write_text(name)
    spec = ModelSpec(
        name="tiny", task="image-classification", source="here", dtype="auto", held_out=str(tmp_path)
    )
    assert len(held_out.inputs(spec)) == 7
    monkeypatch.setattr(held_out, "MAX_MEDIA", 3)
    assert held_out.inputs(spec) == [b"a", b"d", b"g"]
