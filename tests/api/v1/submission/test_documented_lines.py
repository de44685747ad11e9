"""The lines of docs/tasks.md that send media work as they are."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

from jobs.media.formats import Kind, of_kind
from jobs.settings import Settings
from tests.api.api_process import serving
from tests.jobs.media.samples import image
from tests.web import ok
from tests.web import serving as serving_media

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Sending media\n")[2].partition("\n## ")[0]
LINES = [
    line
    for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
    for line in block.replace("|\n", "| ").strip().splitlines()
]
LINK = "https://cdn.example.org"


def test_the_section_has_all_ways() -> None:
    assert [line for line in LINES if "--data-binary" in line]
    assert [line for line in LINES if "-F inputs=@" in line]
    assert [line for line in LINES if "base64" in line]
    assert [line for line in LINES if LINK in line]


async def test_each_line_submits_a_job(settings: Settings) -> None:
    [models] = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
    settings.models_file.write_text(models)
    changed = {"max_request_bytes": 8_000_000, "fetch_links": "*", "outbound_networks": "127.0.0.1"}
    async with serving_media() as web, serving(settings.model_copy(update=changed)) as (client, _):
        web.answers["/a.png"] = ok(image("PNG"))
        for line in LINES:
            ours = line.replace("localhost:8000", f"127.0.0.1:{client.base_url.port}")
            ours = ours.replace("wait=10", "wait=0").replace(LINK, web.url(""))
            run = await asyncio.create_subprocess_exec(
                "bash", "-c", ours, cwd=ROOT, stdout=asyncio.subprocess.PIPE
            )
            answer, _ = await asyncio.wait_for(run.communicate(), 30)
            job = msgspec.json.decode(answer)
            assert job.get("status") == "queued", (line, job)
            assert job["counts"]["total"] == (2 if line.count("-F inputs=@") == 2 else 1)


@pytest.mark.parametrize(("kind", "called"), [("image", "image"), ("audio", "sound"), ("video", "video")])
def test_all_formats_are_listed(kind: Kind, called: str) -> None:
    [row] = [line for line in SECTION.splitlines() if line.startswith(f"| {called} |")]
    assert all(each.name.lower() in row.lower() for each in of_kind(kind))
