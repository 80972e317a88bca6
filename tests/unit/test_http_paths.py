"""Raw paths against a slow twin made of the standard library, and the C reader against `paths.split` and `json`."""

import json
import re
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcount._core import Store
from fastcount.answers import Reading, Unique
from fastcount.api.paths import PREFIX, Name, Refusal, split
from fastcount.api.reading import Reader
from fastcount.errors import InvalidName

BLOCK = b"Host: x\r\nAccept: */*\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nserver: test\r\n"

pieces = st.sampled_from([b"a", b"hits", b"/", b"%2F", b"%2f", b"%", b"%4", b"%zz", b"%00", b"+", b";", b"..", b"&",
                          b"increment", b"unique", b"sample", b"%C3%A4", b"%FF", b"=", b"id", b"?", b'"', b"\\",
                          b"~"])  # fmt: skip
raw = st.lists(pieces, max_size=8).map(b"".join)


VERBS = (b"increment", b"unique", b"sample")


def twin(path: bytes, query: bytes) -> tuple[bytes, bytes, bytes] | int:
    """(type, id, verb) or a status."""
    segments = path.removeprefix(PREFIX).split(b"/")
    given_ids = []
    for pair in query.split(b"&") if query else []:
        key, _, value = pair.partition(b"=")
        if re.search(rb"%(?![0-9a-fA-F]{2})", key) is None and unquote_to_bytes(key) == b"id":
            given_ids.append(value.replace(b"+", b" "))
    if len(given_ids) > 1:
        return 400
    bad = re.compile(rb"%(?![0-9a-fA-F]{2})").search
    if given_ids:
        if bad(given_ids[0]):
            return 400
        type_, id_, verbs = segments[0], given_ids[0], segments[1:]
        if verbs and verbs[0] not in VERBS:
            return 400
    elif len(segments) < 2:
        return 404
    else:
        type_, id_, verbs = segments[0], segments[1], segments[2:]
        if bad(id_):
            return 400
    if verbs and (len(verbs) > 1 or verbs[0] not in VERBS):
        return 404
    if bad(type_):
        return 400
    return unquote_to_bytes(type_), unquote_to_bytes(id_), b"".join(verbs)


@given(raw, raw | st.just(b"id=") | raw.map(lambda tail: b"id=" + tail))
def test_split_like_its_twin(tail: bytes, query: bytes) -> None:
    found = split(PREFIX + tail, query)
    expected = twin(PREFIX + tail, query)
    if isinstance(expected, int):
        assert isinstance(found, Refusal)
        assert found.status == expected
    else:
        assert found == Name(*expected)


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40))
def test_every_name_has_a_path(type_: bytes, id_: bytes) -> None:
    escaped = ["".join(f"%{byte:02X}" for byte in part).encode() for part in (type_, id_)]
    assert split(PREFIX + b"/".join(escaped), b"") == Name(type_, id_, b"")
    assert split(PREFIX + escaped[0] + b"/increment", b"x=1&id=" + escaped[1]) == Name(type_, id_, b"increment")


def reader(
    value: int = 7,
    pending: int = 0,
    lost: int = 0,
    clock: float = 1_795_467_600.123,
    distinct: int = 3,
    error: float = 0.0,
) -> Reader:
    real = Store()

    def read(type_: bytes, id_: bytes) -> Reading:
        real.read(type_, id_)  # refuses what the store refuses
        return Reading(value, pending, lost)

    def unique(type_: bytes, id_: bytes) -> Unique:
        real.unique(type_, id_)
        return Unique(distinct, error)

    return Reader(read, unique, lambda: clock)


i64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1, 0, -1, 9, 10, -10])
ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255)


@given(ids | st.text('"\\\u2028\u2029/<>', min_size=1, max_size=50), i64, i64, st.integers(0, 2**63 - 1))
def test_the_body_is_json(id_: str, value: int, pending: int, lost: int) -> None:
    body = reader(value, pending, lost).body(b"hits", id_.encode())
    expected = {
        "type": "hits",
        "id": id_,
        "value": value,
        "as_of": "2026-11-23T21:00:00.123Z",
        "pending": pending,
        "lost": lost,
    }
    assert body == json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()


@given(ids, st.integers(0, 2**63 - 1), st.floats(0, 1) | st.sampled_from([0.0, 0.008125, 1e-300, 5e-324, 1.0]))
def test_the_body_of_uniques_is_json(id_: str, distinct: int, error: float) -> None:
    body = reader(distinct=distinct, error=error).unique_body(b"hits", id_.encode())
    expected = {"type": "hits", "id": id_, "unique": distinct, "error": error}
    assert body == json.dumps(expected, ensure_ascii=False, separators=(",", ":")).encode()


def test_the_longest_body() -> None:
    body = reader(distinct=2**63 - 1, error=2.2250738585072014e-308).unique_body(b"t" * 64, b'"' * 1023)
    assert json.loads(body)["id"] == '"' * 1023
    body = reader(-(2**63), -(2**63), 2**63 - 1).body(b"t" * 64, b'"' * 1023)
    assert json.loads(body)["id"] == '"' * 1023


@given(st.integers(0, 253_402_300_799_999))
def test_the_stamp_is_the_clock(ms: int) -> None:
    text = reader(clock=ms / 1000 + 0.0001).stamp().decode()
    assert (
        text == datetime.fromtimestamp(ms // 1000, UTC).strftime("%4Y-%m-%dT%H:%M:%S").zfill(19) + f".{ms % 1000:03d}Z"
    )


def test_the_stamp_moves_on() -> None:
    times = iter([0.0, 0.0004, 0.001, 1.0, 0.5])
    moving = Reader(lambda type_, id_: Reading(0, 0, 0), lambda type_, id_: Unique(0, 0.0), lambda: next(times))
    said = [moving.stamp() for _ in range(5)]
    assert [text[17:23] for text in said] == [b"00.000", b"00.000", b"00.001", b"01.000", b"00.500"]


targets = raw.map(lambda tail: b"GET " + PREFIX + tail) | st.builds(
    lambda type_, id_, tail: b"GET " + PREFIX + type_ + b"/" + id_ + tail,
    st.sampled_from([b"hits", b"t" * 64, b"t" * 65, b"a:b", b"a%2Db", b""]),
    st.sampled_from(
        [
            b"x" * 1023,
            b"x" * 1024,
            b"%41" * 1023,
            b"%41" * 1024,
            b"%C3%A4",
            b"%C2%80",
            b"%ED%A0%80",
            b'"',
            b"%22%5C",
            b"",
        ]
    ),
    st.sampled_from(
        [b"", b"", b"/unique", b"/unique", b"/sample", b"/uniqu", b"/unique/", b"/unique?", b"/%75nique", b"%2Funique"]
    ),
)


@given(targets, st.sampled_from([b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/1.1\n", b"  HTTP/1.1\r\n", b"\r\n", b""]),
       st.sampled_from([BLOCK, BLOCK[:-1], BLOCK + b"x", b"", b"X" + BLOCK]))  # fmt: skip
def test_simple_is_exact_or_silent(line: bytes, end: bytes, block: bytes) -> None:
    data = line + end + block
    answer = reader().simple(data, BLOCK, HEAD)
    if answer is None:
        return
    assert (end, block) == (b" HTTP/1.1\r\n", BLOCK)
    name = split(line.removeprefix(b"GET "), b"")
    assert isinstance(name, Name)
    assert name.verb in (b"", b"unique")
    body = (reader().unique_body if name.verb else reader().body)(name.type, name.id)
    assert answer == HEAD + b"content-length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("id_", [b"favicon.ico", b"%2Ffavicon.ico", b"-._~!$&'()*+,;=:@", b"x" * 1023, b"%E2%82%AC"])
@pytest.mark.parametrize("verb", [b"", b"/unique"])
def test_simple_takes_what_is_common(id_: bytes, verb: bytes) -> None:
    request = b"GET " + PREFIX + b"hits/" + id_ + verb + b" HTTP/1.1\r\n" + BLOCK
    answer = reader().simple(request, BLOCK, HEAD)
    assert answer is not None
    assert (b'"unique":3' in answer) is bool(verb)


def test_names_that_the_store_refuses() -> None:
    for type_, id_ in ((b"", b"a"), (b"t t", b"a"), (b"t", b""), (b"t", b"\0"), (b"t", b"\xff"), (b"t", b"x" * 1024)):
        for body in (reader().body, reader().unique_body):
            with pytest.raises(InvalidName):
                body(type_, id_)


def test_simple_never_reads_past_a_short_buffer() -> None:
    for target in (b"hits/a", b"hits/a/unique"):
        request = b"GET " + PREFIX + target + b" HTTP/1.1\r\n" + BLOCK
        assert reader().simple(request, BLOCK, HEAD) is not None
        for size in range(len(request)):
            assert reader().simple(request[:size], BLOCK, HEAD) is None
            assert reader().simple(request[size:], BLOCK, HEAD) is None or size == 0
