"""A browser without JavaScript: a client with cookies, which signs in with a key."""

import re
from http.cookies import SimpleCookie
from typing import Any

import httpx

from api.access import sessions
from tests.api.access.keyed import Keyed

BROWSER = {"accept": "text/html,application/xhtml+xml"}


class Browser:
    """A client with cookies of its own."""

    def __init__(self, edge: Keyed, scheme: str = "http") -> None:
        self.edge = edge
        self.http = httpx.AsyncClient(
            transport=edge.client._transport, base_url=f"{scheme}://edge", headers=BROWSER
        )

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def sign_in(self, secret: str, next_page: str = "/", **changed: str) -> httpx.Response:
        form = {"key": secret, "next": next_page, "token": token(await self.get("/sign-in"))} | changed
        return await self.http.post("/sign-in", data=form)

    def session(self) -> str | None:
        cookies = self.http.cookies
        return cookies.get(sessions.NAME) or cookies.get(sessions.SECURE_PREFIX + sessions.NAME)

    async def token(self) -> str:
        return token(await self.get("/try"))


def token(page: httpx.Response) -> str:
    """The first token on a page: of the sign-in form, or of the session."""
    found = re.search(r'name="token" value="([0-9a-f]{64})"', page.text)
    return found[1] if found else ""


def cookie(answer: httpx.Response, name: str) -> dict[str, Any]:
    """A cookie's value and attributes."""
    [header] = [each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{name}=")]
    morsel = SimpleCookie(header)[name]
    return {"value": morsel.value} | {key: value for key, value in morsel.items() if value != ""}


async def submitted(browser: Browser) -> str:
    """The path of the page of a new job."""
    form = {"text": "x", "token": await browser.token()}
    answer = await browser.http.post("/submit", data=form)
    assert answer.status_code == 303
    return str(answer.headers["location"])
