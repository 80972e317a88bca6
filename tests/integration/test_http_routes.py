"""Each route over a real socket, with good and bad input; every answer is held against its model in OpenAPI."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import BaseModel

from fastcount import wire
from fastcount._core import Store
from fastcount.api import models
from fastcount.api.hot import protocol_class
from fastcount.api.http import create_app
from fastcount.wire import Record

NOW = 1_795_467_600.123
JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}
FRAME = {"content-type": "application/vnd.fastcount.frame"}


class Running:
    def __init__(self, store: Store) -> None:
        self.store = store
        app = create_app(store, started=NOW - 5, udp_stats=lambda: [{"datagrams": 3}], clock=lambda: NOW)
        config = uvicorn.Config(
            app,
            http=protocol_class(app.state),
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([listener],))
        self.thread.start()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", trust_env=False)

    def stop(self) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join()


@pytest.fixture
def running() -> Iterator[Running]:
    server = Running(Store(max_counters=1000))
    yield server
    server.stop()


@pytest.fixture
def http(running: Running) -> httpx.Client:
    return running.client


def held(answer: httpx.Response, model: type[BaseModel], status: int = 200) -> dict[str, Any]:
    """Of this status, JSON, and of the shape that OpenAPI promises."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    model.model_validate_json(answer.content)
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: httpx.Response, status: int, code: str, *words: str) -> dict[str, Any]:
    body = held(answer, models.Error, status)
    assert body["error"] == code
    for word in words:
        assert word in body["message"]
    return body


def test_one_counter(http: httpx.Client) -> None:
    path = "/v1/counter/hits/%2Ffavicon.ico"
    assert held(http.get(path), models.Counter)["value"] == 0
    assert held(http.post(path + "/increment"), models.Incremented)["value"] == 1
    said = held(http.post(path + "/increment", json={"delta": -5, "member": "user_7"}), models.Incremented)
    assert said == {"type": "hits", "id": "/favicon.ico", "value": -4, "durable": False}
    assert held(http.get("/v1/counter/hits", params={"id": "/favicon.ico"}), models.Counter)["value"] == -4
    gone = held(http.delete(path), models.Reset)
    assert gone == {"type": "hits", "id": "/favicon.ico", "value": 0, "was": -4, "durable": False}
    assert held(http.get(path), models.Counter)["value"] == 0
    head = http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(http.get(path).content)


def test_uniques_and_sample_of_one_counter(http: httpx.Client) -> None:
    path = "/v1/counter/hits/%2F%22a%22"
    name = {"type": "hits", "id": '/"a"'}
    assert held(http.get(path + "/unique"), models.CounterUnique) == {**name, "unique": 0, "error": 0.0}
    nobody = {**name, "sample": [], "distinct": 0, "complete": True}
    assert held(http.get(path + "/sample"), models.CounterSample) == nobody
    for member in ("ä", "b", "ä", '"\\'):
        assert http.post(path + "/increment", json={"member": member}).status_code == 200
    assert held(http.get(path + "/unique"), models.CounterUnique) == {**name, "unique": 3, "error": 0.0}
    said = held(http.get("/v1/counter/hits/sample", params={"id": '/"a"'}), models.CounterSample)
    assert (sorted(said["sample"]), said["distinct"], said["complete"]) == (['"\\', "b", "ä"], 3, True)
    assert held(http.delete(path), models.Reset)["was"] == 4
    assert held(http.get(path + "/unique"), models.CounterUnique)["unique"] == 3
    for verb in ("unique", "sample"):
        assert held(http.get(f"/v1/counter/hits/{verb}"), models.Counter)["id"] == verb
        head = http.head(f"{path}/{verb}")
        assert (head.status_code, head.content) == (200, b"")
        refused(http.get(f"/v1/counter/hits/%00/{verb}"), 422, "invalid_name")
        refused(http.get(f"/v1/counter/h!ts/a/{verb}"), 422, "invalid_name")


def test_past_what_is_exact(running: Running) -> None:
    """Both doors of a counter's uniques say the same, and how good it is; the sample stays bounded."""
    for i in range(5000):
        running.store.incr(b"t", b"a", 0, b"user_%d" % i)
    said = held(running.client.get("/v1/counter/t/a/unique"), models.CounterUnique)
    assert (said["unique"], said["error"]) == running.store.unique(b"t", b"a")
    assert said["error"] == 0.008125
    assert abs(said["unique"] - 5000) < 5000 * 5 * said["error"]
    sample = held(running.client.get("/v1/counter/t/a/sample"), models.CounterSample)
    assert sample["complete"] is False
    assert len(set(sample["sample"]) & {f"user_{i}" for i in range(5000)}) == 100
    assert 2500 < sample["distinct"] < 10_000


@pytest.mark.parametrize("form", ["single", "list", "ndjson"])
def test_a_delta_of_0_counts_the_member_alone(running: Running, form: str) -> None:
    http, item = running.client, {"delta": 0, "member": "u"}
    for _ in range(3):
        if form == "single":
            assert held(http.post("/v1/counter/t/a/increment", json=item), models.Incremented)["value"] == 0
        elif form == "list":
            said = held(http.post("/v1/increments", json=[{"type": "t", "id": "a", **item}]), models.Applied)
            assert said["applied"] == 2  # a SEEN and a SAMPLE
        else:
            line = json.dumps({"type": "t", "id": "a", **item})
            held(http.post("/v1/increments", content=line, headers=NDJSON), models.Applied)
    assert held(http.get("/v1/counter/t/a"), models.Counter)["value"] == 0
    assert held(http.get("/v1/counter/t/a/unique"), models.CounterUnique)["unique"] == 1
    assert held(http.get("/v1/counter/t/a/sample"), models.CounterSample)["sample"] == ["u"]
    assert list(running.store.swap().events()) == []  # nothing happened that history should know


def test_uniques_of_a_type(running: Running) -> None:
    for i in range(50):
        running.store.incr(b"t", b"%d" % (i % 7), 1, b"user_%d" % (i % 20))
        running.store.incr(b"other", b"0", 1, b"someone_%d" % i)
    said = held(running.client.get("/v1/unique/t"), models.TypeUnique)
    assert said == {"type": "t", "unique": 20, "error": 0.0}
    none = held(running.client.get("/v1/unique/none"), models.TypeUnique)
    assert none == {"type": "none", "unique": 0, "error": 0.0}
    refused(running.client.get("/v1/unique/a%20b"), 422, "invalid_name")
    refused(running.client.get("/v1/unique/"), 404, "not_found")


def test_another_site_cannot_count(http: httpx.Client) -> None:
    """A form or a beacon without a body needs no preflight."""
    path = "/v1/counter/t/a/increment"
    for site in ("cross-site", "Cross-Site"):
        refused(http.post(path, headers={"sec-fetch-site": site}), 403, "cross_site", "Sec-Fetch-Site: cross-site")
    for n, headers in enumerate(({}, {"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}), 1):
        assert held(http.post(path, headers=headers), models.Incremented)["value"] == n


def test_a_total_saturates(http: httpx.Client) -> None:
    for _ in range(2):
        said = held(http.post("/v1/counter/t/a/increment", json={"delta": 2**63 - 1}), models.Incremented)
    assert said["value"] == 2**63 - 1


def test_limits_answer_507(running: Running) -> None:
    for i in range(1000):
        running.store.incr(b"t", b"%d" % i)
    path = "/v1/counter/t/new/increment"
    body = refused(running.client.post(path), 507, "limit_reached", "max_counters")
    assert body["limit"] == "max_counters"
    assert held(running.client.post("/v1/counter/t/7/increment"), models.Incremented)["value"] == 2
    batch = {"increments": [{"type": "t", "id": "new"}, {"type": "t", "id": "7"}]}
    said = held(running.client.post("/v1/increments", json=batch), models.Applied)
    assert said == {"applied": 1, "refused": 1, "duplicate": False, "durable": False}
    assert held(running.client.get("/v1/top/t"), models.Top)["complete"] is False


MANY = [
    {"type": "hits", "id": "/a"},
    {"type": "likes", "id": "ä€😀", "delta": -3},
    {"type": "hits", "id": "/a", "delta": 41, "member": "u"},
    {"type": "hits", "id": "/b", "delta": -(2**63), "member": "u"},
    {"type": "hits", "id": "/c", "member": "u"},
]


@pytest.mark.parametrize("form", ["object", "list", "ndjson"])
def test_a_batch(http: httpx.Client, form: str) -> None:
    if form == "ndjson":
        content = "\r\n\n".join(json.dumps(item) for item in MANY).encode()
        answer = http.post("/v1/increments", content=content, headers=NDJSON)
    else:
        answer = http.post("/v1/increments", json=MANY if form == "list" else {"increments": MANY})
    assert held(answer, models.Applied) == {"applied": 8, "refused": 0, "duplicate": False, "durable": False}
    asked = {"counters": [{"type": item["type"], "id": item["id"]} for item in MANY[:2] + MANY[3:]]}
    said = held(http.post("/v1/counters:read", json=asked), models.Counters)
    assert [row["value"] for row in said["counters"]] == [42, -3, -(2**63), 1]
    assert [row["id"] for row in said["counters"]] == [row["id"] for row in asked["counters"]]
    books = held(http.get("/v1/sources"), models.Sources)
    assert [(row["source"], row["address"], row["records"]) for row in books["sources"]] == [
        (None, "http 127.0.0.1", 8)
    ]
    assert books["totals"]["records"] == 8


def test_a_batch_larger_than_a_frame(http: httpx.Client) -> None:
    items = [{"type": f"t{i % 2}", "id": f"{i % 900:0>1000}"} for i in range(3000)]
    assert held(http.post("/v1/increments", json=items), models.Applied)["applied"] == 3000
    assert sum(row["records"] for row in http.get("/v1/sources").json()["sources"]) == 3000
    assert http.get("/v1/sources").json()["sources"][0]["frames"] == 3


def test_an_empty_batch(http: httpx.Client) -> None:
    for content, headers in ((b"[]", JSON), (b"", NDJSON), (b"\n \n", NDJSON)):
        assert held(http.post("/v1/increments", content=content, headers=headers), models.Applied)["applied"] == 0


BAD_ITEMS = [
    ('{"id": "a"}', 422, "invalid_body", "'type' is missing"),
    ('{"type": "t"}', 422, "invalid_body", "'id' is missing"),
    ('{"type": 1, "id": "a"}', 422, "invalid_body", "'type' is a string, not 1"),
    ('{"type": "t t", "id": "a"}', 422, "invalid_name", "A-Z a-z"),
    ('{"type": "t", "id": ""}', 422, "invalid_name", "1,023"),
    ('{"type": "t", "id": "\\u0000"}', 422, "invalid_name", "control"),
    ('{"type": "t", "id": "\\ud800"}', 422, "invalid_name", "surrogate"),
    ('{"type": "t", "id": "%s"}' % ("x" * 1024), 422, "invalid_name", "1,024"),
    ('{"type": "t", "id": "a", "delta": 1.0}', 422, "invalid_body", "whole number, not 1.0"),
    ('{"type": "t", "id": "a", "delta": true}', 422, "invalid_body", "whole number, not true"),
    ('{"type": "t", "id": "a", "delta": "1"}', 422, "invalid_body", 'not "1"'),
    ('{"type": "t", "id": "a", "delta": null}', 422, "invalid_body", "not null"),
    ('{"type": "t", "id": "a", "delta": 9223372036854775808}', 422, "invalid_body",
     "-9223372036854775808 to 9223372036854775807"),
    ('{"type": "t", "id": "a", "delta": -9223372036854775809}', 422, "invalid_body", "-9223372036854775808"),
    ('{"type": "t", "id": "a", "delta": %s}' % ("9" * 5000), 400, "invalid_json", "too long"),
    ('{"type": "t", "id": "a", "delta": NaN}', 400, "invalid_json", "NaN"),
    ('{"type": "t", "id": "a", "delta": -Infinity}', 400, "invalid_json", "-Infinity"),
    ('{"type": "t", "id": "a", "id": "b"}', 400, "invalid_json", "'id' stands twice"),
    ('{"type": "t", "id": "a", "member": ""}', 422, "invalid_name", "member"),
    ('{"type": "t", "id": "a", "member": 7}', 422, "invalid_body", "'member' is a string"),
    ('{"type": "t", "id": "a", "detla": 7}', 422, "invalid_body", "'detla' is not known here"),
    ("7", 422, "invalid_body", "not 7"),
    ("[]", 422, "invalid_body", "a list"),
    ("{", 400, "invalid_json", "line 1"),
    ("[" * 100_000, 400, "invalid_json", "deep"),
    ('{"a":' * 100_000, 400, "invalid_json", "deep"),
]  # fmt: skip


@pytest.mark.parametrize(("item", "status", "code", "words"), BAD_ITEMS, ids=range(len(BAD_ITEMS)))
def test_nothing_of_a_bad_batch_is_counted(http: httpx.Client, item: str, status: int, code: str, words: str) -> None:
    good = '{"type": "t", "id": "good"}'
    answer = http.post("/v1/increments", content=f"{good}\n\n{item}\n{good}", headers=NDJSON)
    assert refused(answer, status, code, "line 3: ", words)["line"] == 3
    answer = http.post("/v1/increments", content=f"[{good}, {item}]", headers=JSON)
    refused(answer, status, code, words)
    assert held(http.get("/v1/counter/t/good"), models.Counter)["value"] == 0
    assert http.get("/v1/sources").json()["sources"] == []


@pytest.mark.parametrize("content", [b"{}", b'{"increments": 7}', b'"x"', b"null", b'{"increments": [], "x": 1}'])
def test_a_body_that_is_no_batch(http: httpx.Client, content: bytes) -> None:
    refused(http.post("/v1/increments", content=content, headers=JSON), 422, "invalid_body")


def test_a_binary_frame(http: httpx.Client) -> None:
    records = [Record(wire.INC, b"hits", b"a"), Record(wire.ADD, b"hits", b"a", 41)]
    frame = wire.build(records, source=7, seq=0, sent=0)
    applied = {"applied": 2, "refused": 0, "duplicate": False, "durable": False}
    for headers in (FRAME, {"content-type": "application/octet-stream"}):
        said = held(http.post("/v1/increments", content=frame, headers=headers), models.Applied)
        assert said == applied
        applied = {"applied": 0, "refused": 0, "duplicate": True, "durable": False}
    assert held(http.get("/v1/counter/hits/a"), models.Counter)["value"] == 42
    lying = wire.build(records, source=7, seq=1, sent=0)
    refused(http.post("/v1/increments", content=lying, headers=FRAME), 409, "inconsistent", "not counted")
    far = wire.build(records, source=7, seq=1 << 30, sent=2)
    refused(http.post("/v1/increments", content=far, headers=FRAME), 409, "ahead", "not counted")
    (row,) = held(http.get("/v1/sources"), models.Sources)["sources"]
    assert (row["source"], row["records"], row["duplicate_records"]) == ("0000000000000007", 2, 2)


@pytest.mark.parametrize(("frame", "fault"), [(b"", "truncated"), (b"\xfb\x01\x00", "magic"),
                                             (b"\xfc\x02\x00", "version"),
                                             (b"\xfc\x01\x00\x21a", "no_type")])  # fmt: skip
def test_a_malformed_frame(http: httpx.Client, frame: bytes, fault: str) -> None:
    body = refused(http.post("/v1/increments", content=frame, headers=FRAME), 400, "malformed_frame", fault)
    assert body["fault"] == fault


def test_bodies_that_are_too_large(http: httpx.Client) -> None:
    limits = (
        ("/v1/increments", JSON, 8 << 20),
        ("/v1/increments", FRAME, 1 << 20),
        ("/v1/counters:read", JSON, 8 << 20),
    )
    for path, headers, limit in limits:
        for content in (b" " * (limit + 1), iter([b" " * limit, b" "])):  # with a length, and chunked
            body = refused(http.post(path, content=content, headers=headers), 413, "body_too_large", f"{limit:,}")
            assert body["limit"] == limit
    assert http.get("/healthz").status_code == 200


def test_a_body_past_all_bounds_ends_the_connection(running: Running) -> None:
    url = running.client.base_url
    with socket.create_connection((url.host, url.port), timeout=30) as peer:
        peer.sendall(
            b"POST /v1/increments HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 1099511627776\r\n\r\n"
        )
        said = b"".join(iter(lambda: peer.recv(65_536), b""))
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nconnection: close\r\n" in said


@pytest.mark.parametrize("path", ["/v1/increments", "/v1/counters:read", "/v1/counter/t/a/increment"])
def test_kinds_of_bodies_that_are_not_taken(http: httpx.Client, path: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        headers = {"content-type": kind} if kind else {}
        refused(http.post(path, content=b"{}", headers=headers), 415, "unsupported_media_type", "application/json")
    refused(
        http.post(path, content=b"{}", headers={**JSON, "content-encoding": "gzip"}),
        415,
        "unsupported_encoding",
        "gzip",
    )


def test_promises_that_cannot_be_kept_are_refused(http: httpx.Client) -> None:
    for path in ("/v1/increments", "/v1/counter/t/a/increment"):
        refused(http.post(path, content=b"[]", headers={**JSON, "idempotency-key": "1"}), 422, "unsupported")
        refused(http.post(path + "?ack=durable", content=b"[]", headers=JSON), 422, "unsupported", "ack")


def test_reading_many(http: httpx.Client) -> None:
    names = [{"type": "t", "id": str(i)} for i in range(10_000)]
    assert len(held(http.post("/v1/counters:read", json={"counters": names}), models.Counters)["counters"]) == 10_000
    refused(http.post("/v1/counters:read", json={"counters": [*names, names[0]]}), 422, "invalid_body", "10,000")
    bad = {"counters": [names[0], {"type": "t", "id": ""}]}
    assert refused(http.post("/v1/counters:read", json=bad), 422, "invalid_name", "counters[1]")["index"] == 1
    for content in (b"[]", b"{}", b'{"counters": [7]}', b'{"counters": [], "x": 0}'):
        refused(http.post("/v1/counters:read", content=content, headers=JSON), 422, "invalid_body")


def test_reading_many_with_uniques_and_samples(running: Running) -> None:
    for i in range(30):
        running.store.incr(b"t", b"a", 1, b"%d" % i)
    names = [{"type": "t", "id": "a"}, {"type": "t", "id": "none"}]
    read = "/v1/counters:read"
    plain = held(running.client.post(read, json={"counters": names}), models.Counters)["counters"]
    assert plain == [{**names[0], "value": 30, "pending": 30}, {**names[1], "value": 0, "pending": 0}]
    assert plain == running.client.post(read, json={"counters": names, "unique": False, "sample": 0}).json()["counters"]
    rows = held(running.client.post(read, json={"counters": names, "unique": True}), models.Counters)["counters"]
    extra = ({"unique": 30, "error": 0.0}, {"unique": 0, "error": 0.0})
    assert rows == [row | more for row, more in zip(plain, extra, strict=True)]
    asked = {"counters": names, "unique": True, "sample": 10}
    some = held(running.client.post(read, json=asked), models.Counters)["counters"]
    whole = running.client.get("/v1/counter/t/a/sample").json()["sample"]
    assert some[0] == rows[0] | {"sample": whole[:10], "distinct": 30, "complete": False}
    assert some[1] == rows[1] | {"sample": [], "distinct": 0, "complete": True}
    asked["sample"] = 30
    assert running.client.post(read, json=asked).json()["counters"][0]["complete"] is True


def test_reading_many_uniques_takes_the_long_way(running: Running) -> None:
    """Small bodies that mean much work, and large ones, leave the loop; the answer is the same."""
    running.store.incr(b"t", b"7", 1, b"u")
    for count in (5, 101, 2000):
        names = [{"type": "t", "id": str(i)} for i in range(count)]
        said = held(running.client.post("/v1/counters:read", json={"counters": names, "unique": True}), models.Counters)
        assert [row["unique"] for row in said["counters"]] == [int(i == 7) for i in range(count)]


@pytest.mark.parametrize(
    ("more", "words"),
    [('"unique": 1', "'unique' is true or false, not 1"), ('"unique": null', "not null"),
     ('"sample": true', "0 to 4,096, not true"), ('"sample": -1', "not -1"), ('"sample": 4097', "not 4097"),
     ('"sample": 1.5', "not 1.5"), ('"samples": 1', "allowed: counters, sample, unique")],
)  # fmt: skip
def test_reading_many_asked_badly(http: httpx.Client, more: str, words: str) -> None:
    content = '{"counters": [], ' + more + "}"
    refused(http.post("/v1/counters:read", content=content, headers=JSON), 422, "invalid_body", words)


def test_too_many_members_at_once(http: httpx.Client) -> None:
    names = [{"type": "t", "id": "a"}] * 25
    assert http.post("/v1/counters:read", json={"counters": names, "sample": 4000}).status_code == 200
    many = {"counters": names, "sample": 4001}
    refused(http.post("/v1/counters:read", json=many), 422, "invalid_body", "at most 100,000 members")


def test_top(running: Running) -> None:
    for id_, value in ((b"a", 1), (b"c", 5), (b"b", 5), ('"\\/ä€'.encode(), 9)):
        running.store.incr(b"t", id_, value)
    body = held(running.client.get("/v1/top/t?k=3"), models.Top)
    assert body["top"] == [{"id": '"\\/ä€', "value": 9}, {"id": "b", "value": 5}, {"id": "c", "value": 5}]
    assert body["complete"] is True
    assert held(running.client.get("/v1/top/none"), models.Top)["top"] == []
    said = running.client.get("/v1/top/t?k=3&by=value").json()
    assert (said["by"], said["top"]) == ("value", body["top"])
    for query in ("k=0", "k=10001", "k=x", "k=1.5", "by=rate", "by="):
        refused(running.client.get(f"/v1/top/t?{query}"), 422, "invalid_parameter", query.partition("=")[0])
    for name in ("a%20b", "%FF", "t" * 65):
        refused(running.client.get(f"/v1/top/{name}"), 422, "invalid_name")


def test_top_by_unique(running: Running) -> None:
    for id_, count in ((b"a", 1), (b"c", 5), (b"b", 5), (b"none", 0)):
        running.store.incr(b"t", id_, 100 - count)
        for i in range(count):
            running.store.incr(b"t", id_, 1, b"%d" % i)
    body = held(running.client.get("/v1/top/t?by=unique&k=3"), models.Top)
    assert (body["by"], body["k"], body["complete"]) == ("unique", 3, True)
    assert body["top"] == [{"id": "b", "unique": 5}, {"id": "c", "unique": 5}, {"id": "a", "unique": 1}]
    assert held(running.client.get("/v1/top/none?by=unique"), models.Top)["top"] == []


def test_top_by_unique_knows_of_members_that_were_refused() -> None:
    server = Running(Store(max_memory=2 << 20, shards=1))
    try:
        server.store.incr(b"other", b"a")
        i = 0
        while not server.store.stats()["members_refused"]:  # type: ignore[index]
            server.store.incr(b"t", b"a%d" % (i % 300), 1, b"%0200d" % i)
            i += 1
        assert held(server.client.get("/v1/top/t?by=unique"), models.Top)["complete"] is False
        assert held(server.client.get("/v1/top/other?by=unique"), models.Top)["complete"] is True
    finally:
        server.stop()


def test_one_source(running: Running) -> None:
    for source in (7, 0xABCDEF0123456789):
        running.store.apply(
            wire.build([Record(wire.INC, b"t", b"a")], source=source, seq=0, sent=0), b"4\x7f\0\0\1\0\1"
        )
    http = running.client
    (row,) = held(http.get("/v1/sources?source=0000000000000007"), models.Sources)["sources"]
    assert (row["source"], row["records"]) == ("0000000000000007", 1)
    (row,) = held(http.get("/v1/sources?source=ABCDEF0123456789&limit=1"), models.Sources)["sources"]
    assert row["source"] == "abcdef0123456789"
    nobody = held(http.get("/v1/sources?source=0000000000000008"), models.Sources)
    assert (nobody["sources"], nobody["totals"]["records"]) == ([], 2)
    for bad in ("7", "g" * 16, "", "0" * 17):
        refused(http.get(f"/v1/sources?source={bad}"), 422, "invalid_parameter", "source")


def test_where_signatures_are_required_json_still_counts() -> None:
    """Signatures are of frames: what HTTP builds of JSON has none, and is let in as a single increment is."""
    server = Running(Store(keys={1: b"k" * 16}, require_signature=True))
    try:
        http, item = server.client, {"type": "t", "id": "a", "member": "u"}
        assert held(http.post("/v1/counter/t/a/increment"), models.Incremented)["value"] == 1
        assert held(http.post("/v1/increments", json=[item]), models.Applied)["applied"] == 1
        records = [Record(wire.INC, b"t", b"a")]
        for frame in (
            wire.build(records),
            wire.build(records, key=(1, b"l" * 16)),
            wire.build(records, key=(2, b"k" * 16)),
        ):
            said = refused(http.post("/v1/increments", content=frame, headers=FRAME), 400, "malformed_frame")
            assert said["fault"] == "signature"
        signed = wire.build(records, key=(1, b"k" * 16))
        assert held(http.post("/v1/increments", content=signed, headers=FRAME), models.Applied)["applied"] == 1
        assert held(http.get("/v1/counter/t/a"), models.Counter)["value"] == 3
    finally:
        server.stop()


def test_server_routes(http: httpx.Client) -> None:
    assert held(http.get("/healthz"), models.Health)["uptime_s"] == 5.0
    stats = held(http.get("/v1/stats"), models.Stats)
    assert stats["udp"] == [{"datagrams": 3}]
    assert stats["store"]["max_counters"] == 1000
    held(http.get("/v1/sources?limit=1"), models.Sources)
    refused(http.get("/v1/sources?limit=0"), 422, "invalid_parameter", "limit")


def test_unknown_routes_and_methods(http: httpx.Client) -> None:
    for path in (
        "/v1",
        "/v1/counter",
        "/v1/counter/",
        "/docs/",
        "/dashboard/../errors.py",
        "/v1/top/",
        "/%2e%2e/etc/passwd",
    ):
        refused(http.get(path), 404, "not_found")
    for method, path, allow in (
        ("POST", "/healthz", "GET, HEAD"),
        ("PUT", "/v1/counter/t/a", "DELETE, GET, HEAD"),
        ("GET", "/v1/counter/t/a/increment", "POST"),
        ("POST", "/v1/counter/t/a/unique", "GET, HEAD"),
        ("DELETE", "/v1/counter/t/a/sample", "GET, HEAD"),
        ("POST", "/v1/unique/t", "GET, HEAD"),
        ("GET", "/v1/increments", "POST"),
        ("OPTIONS", "/v1/counter/t/a", "DELETE, GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
    ):
        answer = http.request(method, path)
        refused(answer, 405, "method_not_allowed", allow)
        assert answer.headers["allow"] == allow


def test_a_bug_is_answered_without_its_traceback(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastcount.api.responses.ok", lambda content: 1 // 0)
    body = refused(running.client.get("/v1/stats"), 500, "internal")
    assert "division" not in json.dumps(body)


def test_too_many_scans_at_once_are_refused(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastcount.api import http as module

    monkeypatch.setattr(module, "WAITING", -module.OFF_LOOP)
    names = {"counters": [{"type": "t", "id": "a"}], "sample": 1}
    for answer in (
        running.client.get("/v1/top/t"),
        running.client.get("/v1/unique/t"),
        running.client.post("/v1/counters:read", json=names),
    ):
        refused(answer, 503, "busy")
        assert answer.headers["retry-after"] == "1"


def test_openapi_describes_every_route(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    said = {(path, method) for path, item in document["paths"].items() for method in item}
    assert said == {
        ("/v1/counter/{type}/{id}/increment", "post"), ("/v1/counter/{type}/{id}", "get"),
        ("/v1/counter/{type}/{id}", "delete"), ("/v1/counter/{type}/{id}/unique", "get"),
        ("/v1/counter/{type}/{id}/sample", "get"), ("/v1/unique/{type}", "get"),
        ("/v1/increments", "post"), ("/v1/counters:read", "post"), ("/v1/top/{type}", "get"), ("/v1/sources", "get"),
        ("/v1/stats", "get"), ("/healthz", "get"),
    }  # fmt: skip
    text = json.dumps(document)
    for name in {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"]
            assert operation["description"]
            assert operation["tags"]
            assert "422" not in operation["responses"] or "HTTPValidationError" not in json.dumps(operation)
            if "{id}" in path:
                assert [parameter["name"] for parameter in operation["parameters"]] == ["type", "id"]


def test_pages_come_from_this_machine(http: httpx.Client) -> None:
    seen = {"/", "/docs"}
    todo = list(seen)
    while todo:
        path = todo.pop()
        answer = http.get(path)
        assert answer.status_code == 200, path
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert http.get(path, headers={"if-none-match": answer.headers["etag"]}).status_code == 304
        if "html" in answer.headers["content-type"]:
            links = [part.partition('"')[0] for key in ('href="', 'src="') for part in answer.text.split(key)[1:]]
            assert all(link.startswith("/") for link in links)
            todo += [link for link in links if link not in seen and not link.startswith(("/v1", "/openapi"))]
            seen.update(links)
            assert "<script>" not in answer.text
            assert "style=" not in answer.text


def test_off_loop_runs_few_at_once() -> None:
    from fastcount.api.http import OFF_LOOP, OffLoop

    running = most = 0
    lock, go = threading.Lock(), threading.Event()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running == OFF_LOOP:
                go.set()
        go.wait(5)
        with lock:
            running -= 1

    async def many() -> None:
        off_loop = OffLoop()
        await asyncio.gather(*(off_loop.run(work) for _ in range(8)))

    asyncio.run(many())
    assert most == OFF_LOOP
