"""What hostile clients have been seen to send, or may: `test_hostile_requests.py` sends it."""

from api.edge.http_protocol import MAX_HEAD
from jobs.settings import MIB


def shapes(inputs: bytes) -> bytes:
    return b'{"model":"shapes","inputs":%b}' % inputs


TEXT = b'{"inputs":"x"}'
FORM = b"content-type: application/x-www-form-urlencoded"
NO_ONE_HOST = [b"x: y", b"host: a\r\nhost: b", b"host: a\r\nhost: a", b"host: a\r\nhost:"]
NOT_PLAIN = [(b"br",), (b"gzip, gzip",), (b"gzip", b"br"), (b"identity, deflate",), (b"", b"br"), (b"zip",)]
DEEP = 100_000

BODIES = {
    "UTF-8 with a mark": b"\xef\xbb\xbf" + TEXT,
    "UTF-16": TEXT.decode().encode("utf-16"),
    "UTF-16 without a mark": TEXT.decode().encode("utf-16-le"),
    "UTF-32": TEXT.decode().encode("utf-32"),
    "zero after it": TEXT + b"\0",
    "zero in a text": b'{"inputs":"\0"}',
    "zeros": b"\0" * 100,
    "a tab in a text": b'{"inputs":"\t"}',
    "surrogates as if they were characters": b'{"inputs":"\xed\xa0\x80\xed\xb0\x80"}',
    "a zero of two bytes": b'{"inputs":"\xc0\x80"}',
    "a character beyond Unicode": b'{"inputs":"\xf4\x90\x80\x80"}',
    "half a pair and a letter": b'{"inputs":"\\ud800\\u0041"}',
    "half a pair as a key": b'{"inputs":"x","parameters":{"\\ud800":1}}',
    "an escape that is none": b'{"inputs":"\\x41"}',
    "half an escape": b'{"inputs":"\\u12"}',
    "single quotes": b"{'inputs':'x'}",
    "a comment": b'{"inputs":"x"/*"*/}',
    "a trailing comma": b'{"inputs":"x",}',
    "a key without a value": b'{"inputs"}',
    "a key that is no text": b'{1:1,"inputs":"x"}',
    "half a word": shapes(b"tru"),
    "a leading zero": shapes(b"01"),
    "a leading plus": shapes(b"+1"),
    "hexadecimal": shapes(b"0x10"),
    "half a number": shapes(b"1e"),
    "minus infinity": shapes(b"-Infinity"),
    "a million digits": shapes(b"9" * MIB),
    "an exponent of a million digits": shapes(b"1e" + b"9" * MIB),
    "a million digits to start in": b'{"inputs":"x","expires_in":%b}' % (b"9" * MIB),
    "a million digits for a parameter": b'{"inputs":"x","parameters":{"top_k":%b}}' % (b"9" * MIB),
    "so little time that it is none": b'{"inputs":"x","expires_in":1e-400}',
    "true for a number": b'{"inputs":"x","expires_in":true}',
    "the last of two values is wrong": b'{"inputs":"x","inputs":7}',
    "objects nested deep": shapes(b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "arrays that are never closed": shapes(b"[" * DEEP),
    "objects that are never closed": shapes(b'{"a":' * DEEP),
    "nesting where a word belongs": b'{"inputs":"x","priority":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "nesting in an unknown field": b'{"x":' + b"[" * DEEP + b"]" * DEEP + b',"inputs":"x"}',
    "no key": b'{"":1,"inputs":"x"}',
    "no key in the parameters": b'{"inputs":"x","parameters":{"":1}}',
    "a key of a megabyte": b'{"%b":1,"inputs":"x"}' % (b"k" * MIB),
    "a parameter's name of a megabyte": b'{"inputs":"x","parameters":{"%b":1}}' % (b"k" * MIB),
    "a name that looks like our message": b'{"inputs":"x","parameters":{"a` - at `$.inputs[0]`":1}}',
    "a million inputs": b'{"inputs":[%b"x"]}' % (b'"x",' * 999_999),
    "a million values in one input": shapes(b"[[%b1]]" % (b"1," * 999_999)),
    "a million empty arrays": shapes(b"[%b1]" % (b"[]," * 999_999)),
    "half a million parameters": b'{"inputs":"x","parameters":{%b"":1}}'
    % b"".join(b'"%d":1,' % number for number in range(500_000)),
}
"""JSON that is none, or none that a job could have."""

NO_HTTP = {
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\nhost: x\r\n\r\n",
    "TLS": bytes.fromhex("1603010200010001fc0303") + bytes(200),
    "a method in lower case": b"post /v1/jobs HTTP/1.1\r\nhost: x\r\n\r\n",
    "a method of its own": b"SUBMIT /v1/jobs HTTP/1.1\r\nhost: x\r\n\r\n",
    "bytes in the path": b"GET /v1/jobs/\xff\xc3\xa4 HTTP/1.1\r\nhost: x\r\n\r\n",
    "a path of 70 kB": b"GET /v1/jobs/%b HTTP/1.1\r\nhost: x\r\n\r\n" % (b"x" * 70_000),
    "another scheme": b"GET gopher://[/ HTTP/1.1\r\nhost: x\r\n\r\n",
    "a zero in a header": b"GET / HTTP/1.1\r\nhost: x\r\nx: \0\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nhost: x\r\nx: y\r\n z\r\n\r\n",
    "a space after a header's name": b"GET / HTTP/1.1\r\nhost: x\r\nx : z\r\n\r\n",
    "headers without an end": b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * (MAX_HEAD // 6),
    "one header without an end": b"GET / HTTP/1.1\r\nx: " + b"y" * MAX_HEAD,
}
"""Bytes that no HTTP/1.1 client sends."""

LENGTHS = {
    "negative": (b"content-length: -1", TEXT),
    "signed": (b"content-length: +14", TEXT),
    "hexadecimal": (b"content-length: 0x0e", TEXT),
    "of 5,000 digits": (b"content-length: " + b"9" * 5_000, TEXT),
    "two": (b"content-length: 14\r\ncontent-length: 15", TEXT),
    "two in one": (b"content-length: 14, 15", TEXT),
    "length and chunks": (
        b"content-length: 14\r\ntransfer-encoding: chunked",
        b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n",
    ),
    "chunks, or nearly": (b"transfer-encoding: xchunked", b"0\r\n\r\n"),
    "chunks, but not last": (b"transfer-encoding: chunked, identity", b"0\r\n\r\n"),
    "chunk without a number": (b"transfer-encoding: chunked", b"zz\r\n\r\n"),
    "chunk of less than nothing": (b"transfer-encoding: chunked", b"-1\r\n\r\n"),
    "chunk beyond 64 bits": (b"transfer-encoding: chunked", b"f" * 17 + b"\r\n\r\n"),
    "chunk longer than it says": (b"transfer-encoding: chunked", b"5\r\n" + TEXT + b"\r\n0\r\n\r\n"),
}
"""Headers that tell a body's length, and the body."""

PATHS = {
    b"//": "not-found",
    b"/../": "not-found",
    b"/%2e%2e/": "not-found",
    b"*": "not-found",
    b"/v1//jobs": "not-found",
    b"/v1/jobs/": "not-found",
    b"/v1/jobs/../jobs": "not-found",
    b"/v1/jobs/x/result/": "not-found",
    b"/static/../../pyproject.toml": "not-found",
    b"/static/%2e%2e/%2e%2e/pyproject.toml": "not-found",
    b"/static/..%5c..%5cpyproject.toml": "not-found",
    b"/static/%00": "not-found",
    b"/static/" + b"x" * 5_000: "not-found",
    b"/v1/jobs/..": "unknown-job",
    b"/v1/jobs/*": "unknown-job",
    b"/v1/jobs/%00": "unknown-job",
    b"/v1/jobs/%zz": "unknown-job",
    b"/v1/jobs/%ff%fe": "unknown-job",
    b"/v1/jobs/%ed%a0%80": "unknown-job",
    b"/v1/jobs/%0d%0aset-cookie:%20a=b": "unknown-job",
    b"/v1/jobs/{7*7}": "unknown-job",
    b"/v1/jobs/" + b"x" * 10_000: "unknown-job",
    b"http://elsewhere.example/v1/jobs/x": "unknown-job",
    b"/v1/jobs/x?%ff=%ff&&==&%00": "invalid-request",
    b"/v1/jobs/x/events": "unknown-job",
    b"/v1/jobs/" + b"%2a" * 3_000 + b"/result": "unknown-job",
}
"""What each is answered with."""

ENCODINGS = [b"xchunked", b"chunked, identity", b"gzip, chunked", b"identity", b"chunked\t"]
"""Transfer encodings that are not understood."""

FORMS = {
    "nothing": (b"", 422),
    "no text": (b"model=sentiment", 422),
    "too many fields": (b"&".join(b"text=%d" % number for number in range(61)), 422),
    "an unknown model": (b"text=x&model=%00", 404),
    "JSON": (b'{"text":"x"}', 422),
    "no JSON": (b"model=shapes&text=NaN", 422),
    "half a pair": (b"model=shapes&text=%22%5Cud800%22", 422),
    "a huge number": (b"model=shapes&text=" + b"9" * 100_000, 422),
    "deep input": (b"model=shapes&text=" + b"[" * DEEP, 422),
    "deep parameters": (b"model=shapes&text=1&p.shape=" + b"[" * DEEP + b"]" * DEEP, 422),
    "a parameter of another kind": (b"text=x&p.top_k=[]", 422),
}
"""Bodies of the form, and the page's status."""
