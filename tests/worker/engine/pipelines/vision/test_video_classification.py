"""Videos get the labels that plain transformers gives each alone; a bad one fails alone."""

import io
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from jobs.errors import InvalidRequest
from jobs.media.encoded import decode
from jobs.tasks.examples import SUNRISE
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load
from tests.worker.engine.pipelines.vision.conftest import Both
from tests.worker.engine.pipelines.vision.videos import VIDEOS

TASK = "video-classification"


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pipeline of transformers reads files."""
    folder = tmp_path_factory.mktemp("videos")
    for name, data in VIDEOS.items():
        (folder / f"video.{name}").write_bytes(data)
    return [folder / f"video.{name}" for name in VIDEOS]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("videomae", {}),
        ("videomae", {"frame_sampling_rate": 2, "top_k": 2}),
        ("timesformer", {"function_to_apply": "sigmoid"}),
        ("timesformer", {"num_frames": 3}),
    ],
)
def test_labels_are_those_of_each_video_alone(
    both: Both, paths: list[Path], model: str, parameters: dict[str, Any]
) -> None:
    plain, ours = both(model, TASK)
    expected = [plain(str(path), **parameters) for path in paths]
    assert len({str(one) for one in expected}) == len(paths)
    assert_same(ours.run(list(VIDEOS.values()), parameters), expected)


def test_videos_share_a_pass(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("videomae"), TASK)
    shapes: list[Any] = []
    pipeline.model.register_forward_hook(lambda *call: shapes.append(call[2].logits.shape))
    outputs = pipeline.run([*VIDEOS.values(), b"", b"GIF89a", 7], {})
    assert shapes == [(len(VIDEOS), 6)]
    assert [isinstance(each, InvalidRequest) for each in outputs] == [False] * len(VIDEOS) + [True] * 3


def test_a_narrow_video_is_not_resized_to_gigabytes(both: Both) -> None:
    [refused] = both("videomae", TASK)[1].run([narrow()], {})
    assert isinstance(refused, InvalidRequest)
    assert "too narrow" in str(refused)


def narrow() -> bytes:
    frames = [PIL.Image.new("L", (60_000, 1), shade) for shade in range(4)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()


def test_a_number_of_frames_that_the_model_cannot_read(both: Both) -> None:
    _, pipeline = both("videomae", TASK)
    with pytest.raises(InvalidRequest, match="num_frames: this model reads 4 frames, not 7: "):
        pipeline.run([VIDEOS["mp4"]], {"num_frames": 7})


def test_the_example_and_the_warm_up_are_long_enough(both: Both) -> None:
    _, pipeline = both("videomae", TASK)
    inputs, parameters = pipeline.warm_up() or ([], {})
    assert len(pipeline.run([*inputs, decode(SUNRISE)], parameters)[1]) == 5
