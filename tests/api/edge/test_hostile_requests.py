"""What hostile clients send, as raw bytes to the API as a process: refused, nothing left, and it goes on.

What an HTTP client can be made to send is in `test_bad_requests.py`; made-up data in `test_fuzz.py`.
"""

from collections.abc import Iterator

import msgspec
import pytest

from jobs.settings import MIB
from tests.api import corpus, wire
from tests.api.conftest import MODELS
from tests.api.corpus import BODIES, ENCODINGS, FORMS, LENGTHS, NO_HTTP, PATHS, TEXT, shapes
from tests.api.wire import Api, is_problem


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One process for all of these: what one request harms, the next one would meet."""
    with wire.serving(tmp_path_factory.mktemp("hostile"), MODELS) as serving:
        yield serving


@pytest.fixture
def robust(api: Api) -> Iterator[Api]:
    """The API, which must be alive afterwards and have met nothing that it did not foresee."""
    logged = api.log.stat().st_size
    yield api
    assert api.ask("GET", "/health/live").status == 200
    for surprise in (b"unexpected error", b"Traceback"):
        assert surprise not in api.log.read_bytes()[logged:]


@pytest.fixture
def unmoved(robust: Api) -> Iterator[Api]:
    """The API, which must also have written nothing."""
    before = robust.left()
    yield robust
    assert robust.left() == before


@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused(unmoved: Api, name: str) -> None:
    problem = is_problem(unmoved.submit(BODIES[name], b"idempotency-key: k"), "invalid-request")
    assert 0 < len(problem["detail"]) <= 500


def test_a_body_that_ends_anywhere_is_refused(unmoved: Api) -> None:
    whole = b'{"model":"shapes","inputs":[{"a":[1.5e3,"\\u00e4\xc3\xa4"]}]}'
    for end in range(1, len(whole)):
        is_problem(unmoved.submit(whole[:end]), "invalid-request")


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs":7,"inputs":"x"}',  # of two values the last one holds
        b'{"inputs":"\\u0000"}',
        b" \n\t\r" * 100_000 + TEXT,
        shapes(b'{"":[-0,-0.0,1e-999,' + b"0." + b"3" * 50_000 + b"]}"),
        shapes(b'{"a":1,"a":2}'),
    ],
)
def test_an_odd_body_is_a_job_that_can_be_read(robust: Api, body: bytes) -> None:
    answer = robust.submit(body)
    assert answer.status == 202
    for path in (answer.headers["location"], msgspec.json.decode(answer.body)["urls"]["page"]):
        assert robust.ask("GET", path).status == 200
    assert robust.ask("DELETE", answer.headers["location"]).status == 200


@pytest.fixture(scope="module")
def job(api: Api) -> bytes:
    """The path of a job that waits."""
    return api.submit(TEXT).headers["location"].encode()


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_broken_off(unmoved: Api, name: str) -> None:
    answer = wire.parsed(unmoved.send(NO_HTTP[name]))
    assert (answer.status, answer.headers["connection"]) == (400, "close")


@pytest.mark.parametrize("name", LENGTHS)
def test_a_body_of_doubtful_length_is_refused_once(unmoved: Api, name: str) -> None:
    """Whoever reads another length than a proxy before it takes a body's rest for a request."""
    headers, body = LENGTHS[name]
    answers = unmoved.send(HEAD + headers + b"\r\n\r\n" + body)
    assert (wire.parsed(answers).status, answers.count(b"HTTP/1.1 ")) == (400, 1)


@pytest.mark.parametrize(
    "offer", [b"", b"connection: upgrade\r\nupgrade: h2c\r\n"], ids=["", "with an offer"]
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_request_in_another_encoding_is_not_run(
    unmoved: Api, job: bytes, encoding: bytes, offer: bytes
) -> None:
    request = b"DELETE %b HTTP/1.1\r\nhost: x\r\n%btransfer-encoding: %b\r\n\r\n" % (job, offer, encoding)
    assert wire.parsed(unmoved.send(request)).status == 400
    assert msgspec.json.decode(unmoved.ask("GET", job).body)["status"] == "queued"


def test_a_trailer_is_no_header(robust: Api) -> None:
    """What stands before the application, and looks at headers, does not look at trailers."""
    sent = CHUNKED + b"e\r\n" + TEXT + b"\r\n0\r\nidempotency-key: trailer\r\n\r\n"
    answers = robust.send(sent * 2 + LAST)
    assert answers.count(b"HTTP/1.1 202 ") == 2
    assert b"idempotency-replayed" not in answers


@pytest.mark.parametrize("wrong", [b"\0\r\n\r\n", b"GET / HTTP/1.1\r\ntransfer-encoding: x\r\n\r\n"])
def test_what_is_no_http_after_requests_leaves_them_their_answers(robust: Api, wrong: bytes) -> None:
    answers = robust.send((HEAD + b"content-length: 14\r\n\r\n" + TEXT) * 3 + wrong)
    assert (answers.count(b"HTTP/1.1 202 "), answers.count(b"HTTP/1.1 ")) == (3, 3)
    assert answers.count(b"connection: close") == 1


def test_a_body_that_is_wrong_gets_no_answer_before_its_turn(robust: Api, job: bytes) -> None:
    waits = b"GET %b?wait=10 HTTP/1.1\r\nhost: x\r\n\r\n" % job
    assert b" 400 " not in robust.send(waits + CHUNKED + b"zz\r\n")


HEAD = b"POST /v1/jobs HTTP/1.1\r\nhost: edge\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("sent", [HEAD + b"content-length: 140\r\n\r\n" + TEXT, CHUNKED + b"e\r\n" + TEXT])
def test_a_body_whose_rest_never_comes_is_no_job(unmoved: Api, sent: bytes) -> None:
    assert unmoved.send(sent, half_close=True) == b""


@pytest.mark.parametrize("rest", [b"e\r\n" + TEXT + b"\r\n0\r\nx: ", b"e;"])
def test_what_is_no_part_of_a_body_is_not_collected(unmoved: Api, rest: bytes) -> None:
    """Trailers, and what may stand behind a chunk's length."""
    assert unmoved.send(CHUNKED + rest + b"x" * MIB) == b"", "it was cut off"


def test_what_follows_a_body_is_a_request_of_its_own(unmoved: Api) -> None:
    answers = unmoved.send(HEAD + b"content-length: 5\r\n\r\n" + TEXT)
    assert answers.startswith(b"HTTP/1.1 422 ") or answers.startswith(b"HTTP/1.1 400 ")
    assert b" 202 " not in answers


OFFER = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
LAST = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize(
    "body",
    [
        b"content-length: 14\r\n\r\n" + TEXT,
        b"transfer-encoding: chunked\r\n\r\n7\r\n" + TEXT[:7] + b"\r\n7\r\n" + TEXT[7:] + b"\r\n0\r\n\r\n",
    ],
)
def test_an_offer_of_another_protocol_is_not_taken_up(robust: Api, body: bytes) -> None:
    """Every client of the JDK makes one; the request is answered, and the next one on the connection."""
    answers = robust.send((HEAD + OFFER + body) * 3 + LAST)
    assert (answers.count(b"HTTP/1.1 202 "), answers.count(b"HTTP/1.1 ")) == (3, 4)


def test_an_offer_of_a_websocket_is_not_taken_up(unmoved: Api) -> None:
    answer = unmoved.ask("GET", "/v1/jobs/x", b"connection: upgrade", b"upgrade: websocket")
    is_problem(answer, "unknown-job")


def test_thousands_of_offers_at_once_are_answered_one_by_one(unmoved: Api) -> None:
    request = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"
    assert unmoved.send(request * 3_000 + LAST).count(b"HTTP/1.1 200 ") == 3_001


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40].decode())
def test_an_absurd_path_leads_nowhere(unmoved: Api, path: bytes) -> None:
    answer = unmoved.ask("GET", path)
    is_problem(answer, PATHS[path])
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", ["/jobs/%s", "/fragments/jobs/%s", "/fragments/answers/%s"])
@pytest.mark.parametrize("job_id", ["%00", "%ff", "%3Cscript%3E", "x" * 10_000])
def test_a_page_of_an_absurd_job_is_a_page(unmoved: Api, path: str, job_id: str) -> None:
    answer = unmoved.ask("GET", path % job_id)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"<script>" not in answer.body


@pytest.mark.parametrize(
    ("host", "served"),
    [
        (b"host:", True),
        (b"host: [", False),
        (b"host: [::", False),
        (b"host: \xff", False),
        (b"host: elsewhere.example", False),
        (b"host: @elsewhere.example", False),
    ],
)
def test_an_absurd_host_is_no_way_in(unmoved: Api, host: bytes, served: bool) -> None:
    for path, status in ((b"/v1/jobs/x", 404), (b"/nowhere", 404), (b"/docs", 200), (b"/v1/jobs/", 404)):
        request = b"GET %b HTTP/1.1\r\nconnection: close\r\n%b\r\n\r\n" % (path, host)
        assert wire.parsed(unmoved.send(request)).status == (status if served else 421)


@pytest.mark.attack("two `Host` headers, or none", held="400, and nothing is done")
@pytest.mark.parametrize("hosts", corpus.NO_ONE_HOST)
def test_a_request_without_one_host_is_refused(unmoved: Api, hosts: bytes) -> None:
    """A proxy and this server may else take it for different ones; HTTP/1.0 knew no hosts."""
    for version, status in ((b"1.1", 400), (b"1.0", 200 if hosts == b"x: y" else 400)):
        request = b"GET /health/live HTTP/%b\r\nconnection: close\r\n%b\r\n\r\n" % (version, hosts)
        assert wire.parsed(unmoved.send(request)).status == status


@pytest.mark.parametrize("encodings", corpus.NOT_PLAIN)
def test_a_body_in_another_encoding_is_refused(unmoved: Api, encodings: tuple[bytes, ...]) -> None:
    headers = [b"content-encoding: " + encoding for encoding in encodings]
    is_problem(unmoved.submit(TEXT, *headers), "unsupported-media-type")
    is_problem(unmoved.ask("POST", "/try", corpus.FORM, *headers, body=b"text=x"), "unsupported-media-type")


@pytest.mark.parametrize(
    "value", ["nan", "-inf", "-1", "-1e999", "", "0x1", "%00", "%ff", "%D9%A1", "1e", "--0"]
)
def test_an_absurd_number_is_refused(unmoved: Api, job: bytes, value: str) -> None:
    for path in ("/v1/jobs?limit=", f"{job.decode()}?wait=", f"{job.decode()}/result?wait="):
        is_problem(unmoved.ask("GET", path + value), "invalid-request")
    is_problem(unmoved.ask("POST", f"/v1/jobs?wait={value}", body=TEXT), "invalid-request")


@pytest.mark.parametrize("limit", ["inf", "1e2", "9" * 5_000, "20.5", "true"])
def test_an_absurd_limit_is_refused(unmoved: Api, limit: str) -> None:
    is_problem(unmoved.ask("GET", f"/v1/jobs?limit={limit}"), "invalid-request")


@pytest.mark.parametrize("cursor", ["", "nan", "%00", "%ff", "*", "x" * 10_000, "-1", "%0a"])
def test_an_absurd_cursor_is_refused(unmoved: Api, cursor: str) -> None:
    is_problem(unmoved.ask("GET", f"/v1/jobs?cursor={cursor}"), "invalid-request")


@pytest.mark.parametrize("seconds", ["-0", "1e-400", "1e308", "1e999", "inf", "9" * 5_000])
def test_a_wait_without_end_is_cut(unmoved: Api, job: bytes, seconds: str) -> None:
    assert unmoved.ask("GET", f"{job.decode()}?wait={seconds}").status == 200


@pytest.mark.parametrize(
    "preference",
    [
        *(b"wait=" + value for value in (b"", b"nan", b"inf", b"-1", b"1e5", b'"', b"9" * 9, b"1" * 50_000)),
        *(
            b"wait",
            b",,,;;;===",
            b"\xff\x80",
            b"wait=" + b" " * 50_000,
            (b"wait=" + b" " * 30 + b",") * 1_500,
        ),
    ],
    ids=range(13),
)
def test_an_absurd_preference_is_ignored_or_cut(unmoved: Api, job: bytes, preference: bytes) -> None:
    assert unmoved.ask("GET", job, b"prefer: " + preference).status == 200


@pytest.mark.parametrize("seen", [b"", b"\xff\x80", b"cancelled.0\xa0", b"succeeded.1", b"x" * 50_000])
def test_an_absurd_last_event_is_none(robust: Api, seen: bytes) -> None:
    job = robust.submit(TEXT).headers["location"].encode()
    assert robust.ask("DELETE", job).status == 200
    answer = robust.ask("GET", job + b"/events", b"last-event-id: " + seen)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert b"event: cancelled\n" in answer.body


@pytest.mark.parametrize(
    "key", [b"", b" ", b"\t", b"a\tb", b"\x80", b"\xa0", b"\xad", b"k" * 256, b"k" * 50_000]
)
def test_an_absurd_idempotency_key_is_refused(unmoved: Api, key: bytes) -> None:
    is_problem(unmoved.submit(TEXT, b"idempotency-key: " + key), "invalid-request")


@pytest.mark.parametrize("key", [b"\xff\xfe", b"\xc3\xa4", b"%00", b"*", b'"', b"k" * 255])
def test_an_odd_idempotency_key_is_a_key(robust: Api, key: bytes) -> None:
    first, second = (robust.submit(TEXT, b"idempotency-key: " + key) for _ in range(2))
    assert (first.status, second.status) == (202, 202)
    assert second.headers["idempotency-replayed"] == "true"
    assert first.headers["location"] == second.headers["location"]


@pytest.mark.parametrize("name", FORMS)
def test_a_hostile_form_is_told_on_its_page(unmoved: Api, name: str) -> None:
    body, status = FORMS[name]
    answer = unmoved.ask("POST", "/submit", corpus.FORM, body=body)
    assert (answer.status, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    "sender", [b"origin: http://[", b"origin: ", b"origin: \xff", b"origin: //", b"sec-fetch-site: \xff"]
)
def test_a_form_from_an_absurd_place_is_refused(unmoved: Api, job: bytes, sender: bytes) -> None:
    is_problem(unmoved.ask("POST", "/submit", corpus.FORM, sender, body=b"text=x"), "cross-site")
    cancel = job.replace(b"/v1", b"") + b"/cancel"
    is_problem(unmoved.ask("POST", cancel, corpus.FORM, sender, body=b"x"), "cross-site")
