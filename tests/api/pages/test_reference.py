"""The API reference at /docs: each call and schema with its members, and a table of contents."""

import re

import httpx
import pytest

from api.pages.reference import RESPONSE_SCHEMAS
from tests.api.markup import Element, parsed


def members(part: Element) -> dict[str, str]:
    names = (name.text for name in part.all("dt"))
    return dict(zip(names, (value.text for value in part.all("dd")), strict=True))


async def test_the_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "<code>/v1/jobs/{job_id}/events</code>" in page.text
    assert "<code>queue-full</code>" in page.text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert loaded
    assert all(url.startswith(("/", "#")) for url in loaded)


async def test_the_contents_link_to_every_call_and_schema(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    page = parsed((await client.get("/docs")).text)
    contents = {link["href"]: link.text for link in page.one("nav", class_="contents").all("a")}
    calls = {
        f"#{call['operationId']}": f"{method.upper()} {path}"
        for path, methods in paths.items()
        for method, call in methods.items()
    }
    headings = {"#calls": "Calls", "#response-schemas": "Response schemas"}
    assert contents == headings | calls | {f"#{name}": name for name in RESPONSE_SCHEMAS}


async def test_each_link_has_one_target(client: httpx.AsyncClient) -> None:
    page = parsed((await client.get("/docs")).text)
    links = {link["href"].removeprefix("#") for link in page.all("a") if link["href"].startswith("#")}
    assert {"submit_job", "Job", "Problem"} <= links
    for link in links:
        assert len(page.all(id=link)) == 1, link


async def test_the_page_describes_every_member(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    schemas, page = described["components"]["schemas"], parsed((await client.get("/docs")).text)
    body = members(page.one("section", id="submit_job"))
    assert {"inputs", "model", "parameters", "priority", "expires_in"} <= set(body)
    assert body["inputs"].endswith("any JSON, required")
    assert body["priority"].endswith("high, normal or low, by default normal")
    assert body["expires_in"].endswith("a number above 0, up to 604,800")
    assert body["parameters.top_k sentiment"] == "a whole number from 1 to 1,000, or null"
    assert body["parameters.depth shapes"] == "a whole number"
    assert body["Prefer header"].endswith("are ignored (RFC 7240). a text")
    for name in RESPONSE_SCHEMAS:
        assert list(members(page.one("section", id=name))) == list(schemas[name]["properties"])
        assert all(schema["description"] for schema in schemas[name]["properties"].values())
    assert members(page.one("section", id="Job"))["status"].endswith(
        "queued, running, succeeded, failed, cancelled or expired"
    )


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect"])
async def test_no_page_of_the_framework_is_left(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404
