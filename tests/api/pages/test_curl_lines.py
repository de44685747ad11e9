"""The curl lines of the pages: with keys they have the reader's key, without keys no option for one."""

import shlex
from urllib.parse import urlsplit

import httpx
import msgspec

from tests.api.access.browser import Browser, submitted
from tests.api.access.keyed import Keyed
from tests.api.markup import parsed

OPTION = '-H "Authorization: Bearer $KEY"'


def lines(page: httpx.Response) -> list[str]:
    """The curl lines of the page, without those for other dialects, which would wait for a worker."""
    blocks = parsed(page.text).all("pre")
    own = [each for each in blocks if not (each.attributes.get("id") or "").startswith("sample-")]
    found = ["".join(map(str, each.children)) for each in own]
    return [line for line in found if line.startswith("curl ")]


async def test_the_lines_of_the_pages_work_with_the_key(guarded: Keyed) -> None:
    _, secret = await guarded.key("alice")
    browser = Browser(guarded)
    await browser.sign_in(secret)
    shown = [await browser.get("/try"), await browser.get(await submitted(browser))]
    found = [line for page in shown for line in lines(page)]
    assert len(found) == 3, "of the form, to fetch, and to submit again"
    for line in found:
        words = shlex.split(line)
        given = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
        assert OPTION in line, "in double quotes, so that the shell replaces the variable"
        given["Authorization"] = given["Authorization"].replace("$KEY", secret)
        given.pop("Prefer", None)
        path = urlsplit(words[2]).path
        if "-d" in words:
            body = msgspec.json.decode(words[words.index("-d") + 1])
            answer = await guarded.client.post(path, json=body, headers=given)
        else:
            answer = await guarded.client.get(path, headers=given)
        assert answer.status_code in (200, 202), line
        assert secret not in line


async def test_the_lines_of_the_reference_have_the_key(browser: Browser) -> None:
    page = await browser.get("/docs")
    for line in lines(page):
        assert (OPTION in line) is ("/health/" not in line), line
    assert "X-API-Key" in parsed(page.text).one(class_="prose").text


async def test_without_keys_nothing_of_them_is_shown(client: httpx.AsyncClient) -> None:
    job = (await client.post("/submit", data={"text": "x"})).headers["location"]
    for path in ("/try", job, "/docs"):
        page = await client.get(path)
        assert lines(page), path
        assert all("$KEY" not in line for line in lines(page)), path
    assert "X-API-Key" not in parsed((await client.get("/docs")).text).one(class_="prose").text
