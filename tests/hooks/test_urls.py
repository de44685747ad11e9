"""Which addresses a webhook may have."""

import pytest

from hooks.urls import Urls, place
from jobs.errors import InvalidRequest
from jobs.settings import Settings

REFUSED = [
    *("", " ", "example.org/hook", "//example.org", "https://", "https:///hook", "ftp://example.org/"),
    *("http://example.org/", "javascript:alert(1)", "file:///etc/passwd", "https://[::1", "https://\x00/"),
    *("https://localhost/", "https://a.localhost", "https://printer.local/", "https://db.internal/"),
    *("https://redis/", "https://127.0.0.1/", "https://10.1.2.3/", "https://169.254.169.254/"),
    *("https://[::1]/", "https://[fd00::1]/", "https://2130706433/", "https://0/", "https://0x7f.1/hook"),
    *("https://user:secret@example.org/", "https://example.org:0/", "https://example.org:99999/"),
    *("https://exa{mple}.org/", "https://example.org/" + "x" * 2000, "https://[::ffff:127.0.0.1]/"),
]


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_not_a_public_https_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Urls(Settings()).check(url, "/webhook/url")
    assert refused.value.pointer == "/webhook/url"
    assert str(refused.value).startswith("webhook.url: ")
    assert "secret" not in str(refused.value)
    assert Urls(Settings()).target(url) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://example.org/hook?x=y#z", "example.org:443"),
        (" HTTPS://Example.ORG.:8443 ", "example.org:8443"),
        ("https://müller.example/", "xn--mller-kva.example:443"),
        ("https://93.184.216.34/", "93.184.216.34:443"),
        ("https://[2606:4700:4700::1111]/", "2606:4700:4700::1111:443"),
    ],
)
def test_public_addresses_are_accepted(url: str, host: str) -> None:
    assert place(Urls(Settings()).check(url, "/url")) == host


def test_the_operator_allows_http_networks_and_hosts() -> None:
    ours = Urls(Settings(webhook_http=True, outbound_networks="10.0.0.0/8,127.0.0.1"))
    for url in ("http://10.1.2.3/", "http://127.0.0.1:9000/", "http://localhost/", "http://jenkins:8080/"):
        assert ours.target(url) is not None
    assert ours.target("http://192.168.0.1/") is None
    some = Urls(Settings(webhook_hosts="hooks.example.org, *.Example.net"))
    allowed = ("https://hooks.example.org/", "https://a.example.net", "https://b.a.example.net.")
    assert all(map(some.target, allowed))
    assert not any(map(some.target, ("https://example.net/", "https://example.org/", "https://1.1.1.1/")))
    with pytest.raises(InvalidRequest, match="this server sends no webhooks"):
        Urls(Settings(webhook_hosts="off")).check("https://example.org/", "/url")
