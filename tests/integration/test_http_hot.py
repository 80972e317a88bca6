"""A hot route and the FastAPI route it shortcuts give the same bytes, however the requests arrive."""

import asyncio
import json
import re
from itertools import pairwise

import pytest
from http_pipe import AS_OF, Said, exchange, servers
from hypothesis import given, settings
from hypothesis import strategies as st

GET = b"GET /v1/counter/hits/a HTTP/1.1\r\nHost: x\r\n\r\n"
INCREMENT = b"POST /v1/counter/hits/a/increment HTTP/1.1\r\nHost: x\r\n\r\n"
UNIQUE = b"GET /v1/counter/hits/a/unique HTTP/1.1\r\nHost: x\r\n\r\n"
COLD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def post(target: bytes, body: bytes, *headers: bytes, kind: bytes = b"application/json") -> bytes:
    lines = [b"POST " + target + b" HTTP/1.1", b"Host: x", b"Content-Type: " + kind, *headers]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


def chunked(target: bytes, *pieces: bytes, trailer: bytes = b"") -> bytes:
    head = (
        b"POST "
        + target
        + b" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n" + trailer + b"\r\n"


def get(target: bytes, version: bytes = b"1.1", *headers: bytes, method: bytes = b"GET") -> bytes:
    return b"\r\n".join([method + b" " + target + b" HTTP/" + version, b"Host: x", *headers, b"", b""])


def same(row: list[Said]) -> Said:
    """hot == cold; and stock, up to where it says 400 in its own way."""
    hot, cold, *stock = row
    assert hot == cold
    for said in stock:
        ours, theirs = hot.data, said.data
        cut = theirs.find(b"HTTP/1.1 400 Bad Request\r\nserver: test\r\ncontent-type: text/plain")
        if cut < 0:
            assert hot == said
        else:
            assert ours.startswith(theirs[:cut])
            assert hot.statuses[-1] == 400
            assert hot.closed
    return hot


def bodies(said: Said) -> list[dict[str, object]]:
    return [json.loads(body) for body in re.findall(rb"\{.*?\}(?=HTTP|$)", said.data, re.DOTALL)]


ID = b"/v1/counter/hits/"
LENGTH = b"Content-Length: "
REQUESTS = {
    "get": (200, get(ID + b"a")),
    "get after increment": (200, INCREMENT + GET),
    "unique": (200, get(ID + b"a/unique")),
    "unique after members": (200, post(ID + b"a/increment", b'{"member": "u"}') + post(ID + b"a/increment",
                             b'{"member": "\xc3\xa4", "delta": 0}') + UNIQUE + GET),
    "unique, head": (200, get(ID + b"a/unique", method=b"HEAD")),
    "unique, 1.0": (200, get(ID + b"a/unique", b"1.0")),
    "unique, 1.0 keep-alive": (200, get(ID + b"a/unique", b"1.0", b"Connection: keep-alive")),
    "unique, close": (200, get(ID + b"a/unique", b"1.1", b"Connection: close") + GET),
    "unique, escapes": (200, get(ID + b"%22a%2Funique%3Fx%25%E2%82%AC/unique")),
    "unique, escaped verb": (404, get(ID + b"a/%75nique")),
    "unique, longest": (200, get(ID + b"x" * 1023 + b"/unique")),
    "unique, too long": (422, get(ID + b"x" * 1024 + b"/unique")),
    "unique, empty id": (422, get(ID + b"/unique")),
    "unique, nul": (422, get(ID + b"a%00b/unique")),
    "unique, bad escape": (400, get(ID + b"a%zz/unique")),
    "unique, bad type": (422, get(b"/v1/counter/h!ts/a/unique")),
    "unique, trailing slash": (404, get(ID + b"a/unique/")),
    "unique, twice": (404, get(ID + b"a/unique/unique")),
    "unique, query id": (200, get(b"/v1/counter/hits/unique?id=a/b?c")),
    "unique, query id and path id": (400, get(ID + b"a/unique?id=b")),
    "unique, other query": (200, get(ID + b"a/unique?x=1")),
    "unique, with a body": (200, get(ID + b"a/unique", b"1.1", b"Content-Length: 3") + b"abc"),
    "unique, post": (405, get(ID + b"a/unique", method=b"POST")),
    "unique, delete": (405, get(ID + b"a/unique", method=b"DELETE")),
    "upgrade of unique": (200, get(ID + b"a/unique", b"1.1", b"Connection: Upgrade", b"Upgrade: h2c")),
    "unique, expect": (200, get(ID + b"a/unique", b"1.1", b"Expect: 100-continue")),
    "id unique": (200, get(ID + b"unique")),
    "unique of unique": (200, get(ID + b"unique/unique")),
    "sample": (200, post(ID + b"a/increment", b'{"member": "u"}') + get(ID + b"a/sample")),
    "sample, head": (200, get(ID + b"a/sample", method=b"HEAD")),
    "sample, post": (405, get(ID + b"a/sample", method=b"POST")),
    "cross-site": (403, get(ID + b"a/increment", b"1.1", b"Sec-Fetch-Site: cross-site", method=b"POST")),
    "cross-site in capitals": (403, get(ID + b"a/increment", b"1.1", b"SEC-FETCH-SITE: Cross-Site ", method=b"POST")),
    "cross-site with query id": (403, get(b"/v1/counter/hits/increment?id=a", b"1.1", b"Sec-Fetch-Site: cross-site",
                                          method=b"POST")),
    "cross-site with a body": (403, post(ID + b"a/increment", b'{"delta": 5}', b"Sec-Fetch-Site: cross-site")),
    "cross-site chunked": (403, chunked(ID + b"a/increment", b"{}").replace(b"Host: x",
                                                                          b"Sec-Fetch-Site: cross-site")),
    "same-origin": (200, get(ID + b"a/increment", b"1.1", b"Sec-Fetch-Site: same-origin", method=b"POST")),
    "by hand": (200, get(ID + b"a/increment", b"1.1", b"Sec-Fetch-Site: none", method=b"POST")),
    "a cross-site read": (200, get(ID + b"a", b"1.1", b"Sec-Fetch-Site: cross-site")),
    "head": (200, get(ID + b"a", method=b"HEAD")),
    "1.0": (200, get(ID + b"a", b"1.0")),
    "1.0 keep-alive": (200, get(ID + b"a", b"1.0", b"Connection: keep-alive")),
    "1.0 increment": (200, get(ID + b"a/increment", b"1.0", method=b"POST")),
    "close": (200, get(ID + b"a", b"1.1", b"Connection: close")),
    "close, then more": (200, get(ID + b"a", b"1.1", b"Connection: close") + GET),
    "close, then an increment": (200, get(ID + b"a", b"1.1", b"Connection: close") + INCREMENT),
    "connection list": (200, get(ID + b"a", b"1.1", b"Connection: foo, close")),
    "upgrade": (200, get(ID + b"a", b"1.1", b"Connection: Upgrade", b"Upgrade: h2c")),
    "upgrade of an increment": (200, post(ID + b"a/increment", b'{"delta": 4}', b"Connection: Upgrade, HTTP2-Settings",
                                          b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAA")),
    "websocket": (200, get(ID + b"a", b"1.1", b"Connection: Upgrade", b"Upgrade: websocket")),
    "escapes": (200, get(ID + b"a%2Funique%3Fx%25%E2%82%AC")),
    "lower escapes": (200, get(ID + b"%2f%e2%82%ac")),
    "escaped type": (200, get(b"/v1/counter/h%69ts/a")),
    "plus is a plus": (200, get(ID + b"a+b")),
    "semicolon": (200, get(ID + b"a;b=c")),
    "quotes": (200, get(ID + b"%22%5C%22")),
    "dots": (200, get(ID + b"..")),
    "dot segment": (404, get(ID + b"../x/y")),
    "verb as id": (200, get(ID + b"increment")),
    "sub-delims": (200, get(ID + b"-._~!$&'()*+,;=:@")),
    "raw brackets": (200, get(ID + b"[]{}|^`<>\"\\")),
    "longest": (200, get(ID + b"x" * 1023)),
    "longest escaped": (200, get(ID + b"%41" * 1023)),
    "too long": (422, get(ID + b"x" * 1024)),
    "too long escaped": (422, get(ID + b"%41" * 1024)),
    "empty id": (422, get(ID)),
    "nul": (422, get(ID + b"a%00b")),
    "c1 control": (422, get(ID + b"%C2%85")),
    "invalid utf-8": (422, get(ID + b"%FF%FE")),
    "surrogate": (422, get(ID + b"%ED%A0%80")),
    "overlong": (422, get(ID + b"%C0%AF")),
    "bad escape": (400, get(ID + b"a%zz")),
    "cut escape": (400, get(ID + b"a%4")),
    "bare percent": (400, get(ID + b"%")),
    "bad escape in type": (400, get(b"/v1/counter/h%/a")),
    "bad type": (422, get(b"/v1/counter/h!ts/a")),
    "long type": (422, get(b"/v1/counter/" + b"t" * 65 + b"/a")),
    "empty type": (422, get(b"/v1/counter//a")),
    "no id": (404, get(b"/v1/counter/hits")),
    "trailing slash": (404, get(ID + b"a/")),
    "double slash": (422, get(ID + b"/increment", method=b"POST")),
    "unknown verb": (404, get(ID + b"a/sing")),
    "slash in id": (404, get(ID + b"a/b/c/d")),
    "other prefix": (404, get(b"//v1/counter/hits/a")),
    "escaped prefix": (404, get(b"/v1/c%6Funter/hits/a")),
    "query id": (200, get(b"/v1/counter/hits?id=a/b?c")),
    "query id escaped": (200, get(b"/v1/counter/hits?id=%2Ffavicon.ico")),
    "query id plus": (200, get(b"/v1/counter/hits?id=a+b%2Bc")),
    "query id among others": (200, get(b"/v1/counter/hits?x=1&id=a&y")),
    "query id key escaped": (200, get(b"/v1/counter/hits?%69d=a")),
    "query id empty": (422, get(b"/v1/counter/hits?id=")),
    "query id twice": (400, get(b"/v1/counter/hits?id=a&id=b")),
    "query id and path id": (400, get(ID + b"a?id=b")),
    "query id bad escape": (400, get(b"/v1/counter/hits?id=%G0")),
    "query increment": (200, get(b"/v1/counter/hits/increment?id=a/b", method=b"POST")),
    "other query": (200, get(ID + b"a?x=1")),
    "empty query": (200, get(ID + b"a?")),
    "fragment": (200, get(ID + b"a#x")),
    "ack": (422, get(ID + b"a/increment?ack=durable", method=b"POST")),
    "ack with id": (422, get(b"/v1/counter/hits/increment?id=a&ack=durable", method=b"POST")),
    "idempotency key": (422, get(ID + b"a/increment", b"1.1", b"Idempotency-Key: 1", method=b"POST")),
    "absolute form": (200, get(b"http://x/v1/counter/hits/a")),
    "put": (405, get(ID + b"a", method=b"PUT")),
    "post to a counter": (405, get(ID + b"a", method=b"POST")),
    "get of a verb": (405, get(ID + b"a/increment")),
    "delete": (200, get(ID + b"a", method=b"DELETE")),
    "get with a body": (200, get(ID + b"a", b"1.1", b"Content-Length: 3") + b"abc"),
    "get with length 0": (200, get(ID + b"a", b"1.1", b"Content-Length: 0")),
    "delta": (200, post(ID + b"a/increment", b'{"delta": 5, "member": "u"}')),
    "negative": (200, post(ID + b"a/increment", b'{"delta": -9223372036854775808}')),
    "charset": (200, post(ID + b"a/increment", b"{}", kind=b"Application/JSON; charset=utf-8")),
    "empty json body": (200, post(ID + b"a/increment", b"")),
    "text body": (415, post(ID + b"a/increment", b'{"delta": 1}', kind=b"text/plain")),
    "form without a body": (415, post(ID + b"a/increment", b"", kind=b"application/x-www-form-urlencoded")),
    "body without a type": (415, get(ID + b"a/increment", b"1.1", b"Content-Length: 2", method=b"POST") + b"{}"),
    "gzip": (415, post(ID + b"a/increment", b"{}", b"Content-Encoding: gzip")),
    "identity": (200, post(ID + b"a/increment", b"{}", b"Content-Encoding: identity")),
    "no json": (400, post(ID + b"a/increment", b"{")),
    "not utf-8": (400, post(ID + b"a/increment", b'{"member": "\xff"}')),
    "bom": (400, post(ID + b"a/increment", b"\xef\xbb\xbf{}")),
    "deep": (400, post(ID + b"a/increment", b"[" * 60_000)),
    "float": (422, post(ID + b"a/increment", b'{"delta": 1.0}')),
    "bool": (422, post(ID + b"a/increment", b'{"delta": true}')),
    "too big a delta": (422, post(ID + b"a/increment", b'{"delta": 9223372036854775808}')),
    "unknown key": (422, post(ID + b"a/increment", b'{"detla": 1}')),
    "increment of a bad name": (422, post(ID + b"%00/increment", b'{"delta": 1}')),
    "large body": (413, post(ID + b"a/increment", b" " * 65_537)),
    "largest body": (200, post(ID + b"a/increment", b"{}" + b" " * 65_534)),
    "chunked": (200, chunked(ID + b"a/increment", b'{"del', b'ta": 2}')),
    "chunked with trailers": (200, chunked(ID + b"a/increment", b"{}", trailer=b"X: 1\r\nExpect: 100-continue\r\n")),
    "chunked, too large": (413, chunked(ID + b"a/increment", *[b" " * 9000] * 8)),
    "expect": (100, post(ID + b"a/increment", b'{"delta": 3}', b"Expect: 100-continue")),
    "expect of a get": (200, get(ID + b"a", b"1.1", b"Expect: 100-continue")),
    "expect something else": (200, get(ID + b"a", b"1.1", b"Expect: cake")),
    "expect too much": (413, post(ID + b"a/increment", b" " * 70_000, b"Expect: 100-continue")),
    "lengths that differ": (400, get(ID + b"a/increment", b"1.1", LENGTH + b"1", LENGTH + b"2", method=b"POST")),
    "lengths that agree": (400, get(ID + b"a/increment", b"1.1", LENGTH + b"0", LENGTH + b"0", method=b"POST")),
    "length list": (400, get(ID + b"a/increment", b"1.1", b"Content-Length: 1, 1", method=b"POST") + b"x"),
    "length and chunks": (400, chunked(ID + b"a/increment", b"{}").replace(b"Host: x", b"Content-Length: 4")),
    "negative length": (400, get(ID + b"a/increment", b"1.1", b"Content-Length: -1", method=b"POST")),
    "chunked not last": (400, chunked(ID + b"a/increment", b"{}").replace(b": chunked", b": chunked, identity")),
    "bad chunk": (400, chunked(ID + b"a/increment", b"{}").replace(b"\r\n2\r\n", b"\r\nzz\r\n")),
    "not ascii": (400, get(ID + b"\xc3\xa4")),
    "blank in target": (400, get(ID + b"a b")),
    "no version": (200, b"GET /v1/counter/hits/a\r\n\r\n"),
    "version 9": (400, get(ID + b"a", b"9.9")),
    "bare lf": (400, GET.replace(b"\r\n", b"\n")),
    "garbage": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xfc\x01" * 30),
    "http/2 preface": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "control in a header": (400, get(ID + b"a", b"1.1", b"X: a\x01b")),
    "blank before colon": (400, get(ID + b"a", b"1.1", b"X : a")),
    "folded header": (400, get(ID + b"a", b"1.1", b"X: a", b" b")),
    "garbage after a request": (200, GET + b"\x00\x00\x00"),
    "many headers": (200, get(ID + b"a", b"1.1", *[b"X-%d: y" % i for i in range(300)])),
    "leading line ends": (200, b"\r\n\r\n" + GET),
    "connect": (400, get(b"x:80", method=b"CONNECT")),
    "options": (404, get(b"*", method=b"OPTIONS")),
}  # fmt: skip


@pytest.mark.parametrize("case", REQUESTS, ids=str)
def test_same_answer(case: str) -> None:
    """Alone, and again on a connection where the header block is known already and something follows."""
    status, request = REQUESTS[case]
    # stock loses what follows an Upgrade
    kinds = ("hot", "cold") if case.startswith(("upgrade", "websocket")) else ("hot", "cold", "stock")
    alone, *others = exchange(
        [request], [GET, GET, request], [request + GET, GET], [UNIQUE, UNIQUE, request, UNIQUE], kinds=kinds
    )
    assert same(alone).statuses[:1] == [status]
    for other in others:
        same(other)


@pytest.mark.parametrize(
    "case",
    ["get", "head", "unique", "unique after members", "unique, head", "unique, escapes", "unique, empty id",
     "unique, trailing slash", "cross-site", "1.0", "escapes", "query id", "bad escape", "empty id", "delta",
     "chunked with trailers", "expect", "text body", "idempotency key", "bad chunk", "close, then an increment",
     "get with a body", "upgrade", "upgrade of an increment"],
)  # fmt: skip
def test_split_anywhere(case: str) -> None:
    _, request = REQUESTS[case]
    data = request + GET
    whole, *parts = exchange([data], *([data[:i], data[i:]] for i in range(1, len(data))), kinds=("hot", "cold"))
    counted = re.compile(rb'"(value|pending)":\d+')  # grows from one conversation to the next
    for part in parts:
        same(part)
        said, expected = ((counted.sub(b"", row[0].data), row[0].closed) for row in (part, whole))
        assert re.sub(rb"content-length: \d+", b"", said[0]) == re.sub(rb"content-length: \d+", b"", expected[0])
        assert said[1] == expected[1]


def test_byte_by_byte() -> None:
    data = b"".join(request for status, request in REQUESTS.values() if status == 200 and len(request) < 400)
    (row,) = exchange([data[i : i + 1] for i in range(len(data))], kinds=("hot", "cold"))
    assert same(row).statuses


STREAM = [GET, COLD, INCREMENT, get(b"/nowhere"), GET, post(ID + b"b/increment", b'{"delta": 7}'), COLD,
          get(ID + b"b"), get(ID + b"b", method=b"HEAD"), get(ID + b"%00"), INCREMENT, GET, UNIQUE,
          post(ID + b"a/increment", b'{"member": "u", "delta": 0}'), UNIQUE, UNIQUE, get(ID + b"a/sample"),
          UNIQUE]  # fmt: skip
EXPECTED = [200, 200, 200, 404, 200, 200, 200, 200, 200, 422, 200, 200, 200, 200, 200, 200, 200, 200]


@pytest.mark.parametrize("rest", [True, False], ids=["settled", "at once"])
@pytest.mark.parametrize("size", [1, 7, 50, 1000, 100_000])
def test_pipelining_keeps_the_order(size: int, rest: bool) -> None:
    data = b"".join(STREAM)
    (row,) = exchange([data[i : i + size] for i in range(0, len(data), size)], rest=rest)
    said = same(row)
    assert said.statuses == EXPECTED
    assert not said.closed
    asked = [body for body in bodies(said) if body.get("id") == "a"]
    assert [body["value"] for body in asked if "value" in body] == [0, 1, 1, 2, 2, 2]
    assert [body["unique"] for body in asked if "unique" in body] == [0, 1, 1, 1]


@pytest.mark.parametrize("rest", [True, False], ids=["settled", "at once"])
def test_each_request_in_a_buffer_of_its_own(rest: bool) -> None:
    (row,) = exchange(STREAM * 3, rest=rest)
    assert same(row).statuses == EXPECTED * 3


@pytest.mark.parametrize(
    "bad", [b"\x00garbage\r\n\r\n", get(ID + b"a b"), chunked(ID + b"a/increment", b"{}")[:-9] + b"zz\r\n"]
)
def test_an_error_waits_for_the_answers_before_it(bad: bytes) -> None:
    """uvicorn's own 400 overtakes them."""
    (row,) = exchange([COLD + INCREMENT + GET + bad + GET], kinds=("hot", "cold"), rest=False)
    said = same(row)
    assert said.statuses == [200, 200, 200, 400]
    assert said.closed


def test_nothing_is_counted_behind_the_end_of_a_connection() -> None:
    closing = get(ID + b"a", b"1.1", b"Connection: close")
    old = get(ID + b"a", b"1.0", b"Connection: keep-alive")  # llhttp goes on parsing, but the answer says close
    for first in (closing, old, *(request.replace(ID + b"a", b"/healthz") for request in (closing, old))):
        seen, after = exchange([first + INCREMENT * 3], [GET])
        assert same(seen).statuses == [200]
        assert bodies(same(after))[0]["value"] == 0


def test_an_upgrade_keeps_its_body() -> None:
    """Java's HttpClient asks for h2c with every request; uvicorn would lose the body and count 1."""
    asking = b"Host: x\r\nConnection: Upgrade\r\nUpgrade: h2c"
    whole = post(ID + b"a/increment", b'{"delta": 5}').replace(b"Host: x", asking)
    pieces = chunked(ID + b"a/increment", b'{"delta"', b":6}").replace(b"Host: x", asking)
    (row,) = exchange([whole + pieces + GET], kinds=("hot", "cold"))
    said = same(row)
    assert said.statuses == [200, 200, 200]
    assert [body["value"] for body in bodies(said)] == [5, 11, 11]


def test_the_last_requests_are_answered_when_the_peer_closes_its_side() -> None:
    row = exchange([COLD + GET + COLD], kinds=("hot", "cold"), rest=False, eof=True)[0]
    said = same(row)
    assert said.statuses == [200, 200, 200]
    assert said.closed


def test_a_request_that_is_cut_off_is_not_counted() -> None:
    request = post(ID + b"a/increment", b'{"delta": 5}')
    *cut, (hot, _) = exchange(
        *([request[:i]] for i in range(1, len(request))), [GET], kinds=("hot", "cold"), eof=True, rest=False
    )
    assert all(row[0] == row[1] == Said(b"", True) for row in cut)
    assert bodies(hot)[0]["value"] == 0


def test_body_of_a_get() -> None:
    (row,) = exchange([INCREMENT, get(ID + b"a")])
    head, _, body = same(row).data.rpartition(b"\r\n\r\n")
    assert json.loads(body) == {"type": "hits", "id": "a", "value": 1, "as_of": AS_OF, "pending": 1, "lost": 0}
    assert head.endswith(
        b"HTTP/1.1 200 OK\r\nserver: test\r\ncontent-type: application/json\r\ncache-control: no-store\r\n"
        b"x-content-type-options: nosniff\r\ncontent-length: %d" % len(body)
    )


def test_body_of_uniques() -> None:
    first, second = (post(ID + b"a/increment", b'{"member": "%b"}' % member) for member in (b"u", b"v"))
    (row,) = exchange([first + second + first, UNIQUE])
    head, _, body = same(row).data.rpartition(b"\r\n\r\n")
    assert json.loads(body) == {"type": "hits", "id": "a", "unique": 2, "error": 0.0}
    assert head.endswith(b"content-length: %d" % len(body))


def test_the_shortcut_is_taken_for_uniques() -> None:
    from http_pipe import Server

    async def scenario() -> None:
        pipe = (server := Server()).connect()
        parsed: list[bytes] = []
        parse = pipe.protocol._parse
        pipe.protocol._parse = lambda data: (parsed.append(data), parse(data))
        for request in (UNIQUE, UNIQUE, GET, get(ID + b"%2F/unique"), get(ID + b"a/sample")):
            pipe.feed(request)
        await server.settle()
        assert bytes(pipe.out).count(b"HTTP/1.1 200 OK") == 5
        assert parsed == [UNIQUE, get(ID + b"a/sample")]

    asyncio.run(scenario())


_TARGET_BYTES = st.sampled_from(
    [bytes((c,)) for c in range(0x21, 0x7F)] + [b"%2F", b"%25", b"%00", b"%C3%A4", b"%FF", b"%a", b"/"] * 4
)
_TARGETS = st.lists(_TARGET_BYTES, max_size=12).map(b"".join).map(lambda tail: ID + tail) | st.sampled_from(
    [
        ID + b"a",
        ID + b"a/increment",
        ID + b"a/unique",
        ID + b"a/unique",
        ID + b"a/sample",
        b"/v1/counter/hits/unique?id=a",
        b"/v1/counter/hits?id=a",
        b"/healthz",
        b"/v1/counter//",
        b"/v1/counter/hits/increment?id=b",
    ]
)
_HEADERS = st.lists(
    st.sampled_from(
        [b"Host: x", b"Connection: close", b"Connection: keep-alive", b"Content-Length: 0", b"Content-Length: 2",
         b"Transfer-Encoding: chunked", b"Content-Type: application/json", b"Content-Type: text/plain",
         b"Expect: 100-continue", b"X-Long: " + b"y" * 500, b"Upgrade: h2c", b"Connection: upgrade",
         b"Content-Encoding: gzip", b"Sec-Fetch-Site: cross-site", b"bad header", b"X:", b": x"]
    ),
    max_size=4,
)  # fmt: skip
_REQUEST = st.builds(
    lambda method, target, version, headers, body: b"\r\n".join(
        [method + b" " + target + version, *headers, b"", body]
    ),
    st.sampled_from([b"GET", b"GET", b"POST", b"HEAD", b"DELETE", b"get", b"BREW"]),
    _TARGETS,
    st.sampled_from([b" HTTP/1.1"] * 5 + [b" HTTP/1.0", b" HTTP/2.0", b"", b"  HTTP/1.1"]),
    _HEADERS,
    st.sampled_from([b"", b"", b"{}", b"2\r\n{}\r\n0\r\n\r\n"]),
)


_LASTING = servers(("hot", "cold"))


@settings(max_examples=300)
@given(
    st.lists(
        _REQUEST | st.sampled_from([GET, INCREMENT, UNIQUE, COLD]) | st.binary(max_size=20), min_size=1, max_size=5
    ),
    st.lists(st.integers(1, 400), max_size=3),
    st.booleans(),
)
def test_any_bytes(requests: list[bytes], cuts: list[int], rest: bool) -> None:
    data = b"".join(requests)
    edges = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    chunks = [data[a:b] for a, b in pairwise(edges)]
    for row in exchange(chunks, requests, kinds=("hot", "cold"), rest=rest, eof=True, servers=_LASTING):
        same(row)
