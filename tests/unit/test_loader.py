"""What the loader makes of lines: access logs as awk sees them, TSV, NDJSON, and every kind of rubbish."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastcount import wire
from fastcount.errors import ConfigError, FastcountError, InvalidName
from fastcount.loader.formats import Entry, LineError, clf, ndjson, tsv
from fastcount.loader.lines import MAX_LINE, Lines
from fastcount.loader.load import SHOWN, encode, load
from fastcount.loader.sender import Outcome
from fastcount.packer import Packed, Packer

LINE = b'83.149.9.216 - kim [17/May/2015:10:05:03 +0000] "GET /a,b/{c}%20?x=1 HTTP/1.1" 200 203 "-" "Mozilla/5.0 (X11)"'


class Collector:
    """A sender that keeps what it is given."""

    frame_size = 200

    def __init__(self) -> None:
        self.frames: list[wire.Frame] = []
        self.closed = False

    def send(self, frame: Packed) -> None:
        assert len(frame.data) <= self.frame_size or frame.records == 1
        self.frames.append(wire.decode(frame.data))

    def finish(self, sent: int) -> Outcome:
        return Outcome(sent, 0)

    def close(self) -> None:
        self.closed = True

    @property
    def records(self) -> list[wire.Record]:
        return [record for frame in self.frames for record in frame.records]


def test_clf() -> None:
    path = b"/a,b/{c}%20?x=1"
    assert clf(b"hits")(LINE) == Entry(b"hits", path, 1, b"83.149.9.216")
    assert clf(b"hits", "none")(LINE) == Entry(b"hits", path, 1, None)
    assert clf(b"hits", "user")(LINE) == Entry(b"hits", path, 1, b"kim")
    assert clf(b"hits", "9")(LINE) == Entry(b"hits", path, 1, b"200")
    assert clf(b"hits", "user")(LINE.replace(b"kim", b"-")) == Entry(b"hits", path, 1, None)


def test_clf_malformed_requests_have_a_field_7_too() -> None:
    parse = clf(b"hits", "none")
    assert parse(b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "-" 408 -').id == b"408"
    assert parse(b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET" 400 226').id == b"400"
    assert parse(b'  1.2.3.4 - -\t[a b] "\\x16\\x03 c/ d" 400').id == b"c/"
    with pytest.raises(LineError, match="6 fields, field 7 is wanted"):
        parse(b"a b c d e f")
    with pytest.raises(LineError, match="7 fields, field 12 is wanted"):
        clf(b"hits", "12")(b"a b c d e f g")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([b"a", b"/x", b" ", b"  ", b"\t", b"\x0b", b"\x0c", b"\r", b'"', b"%", "é".encode()]))
        .map(b"".join)
        .filter(lambda line: line.strip() and not line.endswith(b"\r")),
        max_size=30,
    )
)
def test_field_7_is_what_awk_says(lines: list[bytes]) -> None:
    parse = clf(b"t", "none")
    mine = []
    for line in lines:
        try:
            mine.append(parse(line).id)
        except LineError:
            mine.append(b"")
    text = b"".join(line + b"\n" for line in lines)
    # -F spelled out: the awks differ in what else is a blank
    awk = subprocess.run(
        ["awk", "{sub(/^[ \\t]+/, \"\"); n = split($0, f, /[ \\t]+/); print (n < 7 ? \"\" : f[7])}"],
        input=text, capture_output=True, check=True, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert mine == awk.stdout.split(b"\n")[:-1]


@pytest.mark.parametrize("member", ["", "0", "100", "ip", "-1", "²"])
def test_clf_unknown_member(member: str) -> None:
    with pytest.raises(ConfigError, match="none, host, user"):
        clf(b"hits", member)


def test_tsv() -> None:
    parse = tsv(b"t")
    assert parse(b"a") == Entry(b"t", b"a")
    assert parse(b"a b\t-3") == Entry(b"t", b"a b", -3)
    assert parse(b"a\t\tm") == Entry(b"t", b"a", 1, b"m")
    assert parse(b"a\t+7\t") == Entry(b"t", b"a", 7)
    assert tsv(None, ["member", "-", "type", "id"])(b"m\tx\tq\ta") == Entry(b"q", b"a", 1, b"m")
    assert tsv(b"t", ["id", "type"])(b"a") == Entry(b"t", b"a")


@pytest.mark.parametrize(
    ("line", "why"),
    [(b"a\tx", "delta 'x'"), (b"a\t1.5", "whole number"), (b"a\t1\tm\tn", "4 columns, 3"), (b"a\t1_0", "whole number")],
)
def test_tsv_bad_lines(line: bytes, why: str) -> None:
    with pytest.raises(LineError, match=why):
        tsv(b"t")(line)


@pytest.mark.parametrize(
    ("type", "columns"), [(b"t", ["id", "id"]), (b"t", ["delta"]), (b"t", ["id", "count"]), (None, ["id"])]
)
def test_tsv_bad_columns(type: bytes | None, columns: list[str]) -> None:
    with pytest.raises(ConfigError):
        tsv(type, columns)


def test_ndjson() -> None:
    parse = ndjson(b"t")
    assert parse(b'{"id": "a"}') == Entry(b"t", b"a")
    line = '{"type": "q", "id": "é", "delta": -2, "member": "m"}'.encode()
    assert parse(line) == Entry(b"q", "é".encode(), -2, b"m")
    assert parse(b' {"id": "a", "member": null, "type": null} ') == Entry(b"t", b"a")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"\xff\xfe\xfd", "not JSON"),
        (b'{"id": 5}', "id is not a string"),
        (b'{"id": "a", "delta": 1.0}', "whole number"),
        (b'{"id": "a", "delta": true}', "whole number"),
        (b'{"id": "a", "user": "b"}', "unknown key 'user'"),
        (b'{"id": "\\ud800"}', "lone surrogate"),
        (b'{"id": "a", "delta": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 50_000, "nested too deeply"),
    ],
)
def test_ndjson_bad_lines(line: bytes, why: str) -> None:
    with pytest.raises(LineError, match=why):
        ndjson(b"t")(line)


@given(st.binary(max_size=80))
def test_no_line_raises_anything_else(line: bytes) -> None:
    for parse in (clf(b"t"), tsv(b"t"), ndjson(b"t")):
        try:
            type_, records = encode(parse(line))
        except (LineError, InvalidName, OverflowError):
            continue
        frame = wire.encode_header(1, 0, 0) + wire.encode_type(type_) + b"".join(records)
        assert len(wire.decode(frame).records) == len(records)


def test_records_of_an_entry() -> None:
    assert encode(Entry(b"t", b"a", 1, b"m"))[1] == [wire.encode_record(wire.HIT, b"a", 1, b"m")]
    assert encode(Entry(b"t", b"a", 2, b"m"))[1] == [
        wire.encode_record(wire.HIT, b"a", 1, b"m"),
        wire.encode_record(wire.ADD, b"a", 1),
    ]
    assert encode(Entry(b"t", b"a", 0))[1] == [wire.encode_record(wire.ADD, b"a", 0)]


def test_lines_plain_and_packed(tmp_path: Path) -> None:
    text = b"\xef\xbb\xbfone\r\n\n" + b"x" * (MAX_LINE + 5) + b"\n" + b"y" * (3 * MAX_LINE) + b"\ntwo"
    (tmp_path / "a.txt").write_bytes(text)
    (tmp_path / "a.gz").write_bytes(gzip.compress(text))
    for name in ("a.txt", "a.gz"):
        lines = Lines(str(tmp_path / name))
        assert list(lines) == [b"one", b"", None, None, b"two"]
        assert lines.position == lines.size == (tmp_path / name).stat().st_size
        lines.close()


def test_a_line_of_the_greatest_length(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (MAX_LINE - 1) + b"\nend")
    assert [len(line or b"") for line in Lines(str(tmp_path / "a"))] == [MAX_LINE - 1, 3]


def test_lines_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FastcountError, match="No such file"):
        Lines(str(tmp_path / "none"))
    with pytest.raises(FastcountError, match="directory"):
        list(Lines(str(tmp_path)))
    (tmp_path / "a.gz").write_bytes(b"not gzip")
    with pytest.raises(FastcountError, match=r"reading .*: Not a gzipped file"):
        list(Lines(str(tmp_path / "a.gz")))
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"a\n" * 1000)[:-10])
    with pytest.raises(FastcountError, match="reading"):
        list(Lines(str(tmp_path / "b.gz")))
    packed = bytearray(gzip.compress(b"".join(b"%d\n" % (i * i) for i in range(10_000))))
    for i in range(3000, 3010):
        packed[i] ^= 0xFF
    (tmp_path / "c.gz").write_bytes(packed)
    with pytest.raises(FastcountError, match="reading"):
        list(Lines(str(tmp_path / "c.gz")))


def test_load_accounts_for_every_line(tmp_path: Path) -> None:
    good = [{"type": "q", "id": f"id{i}", "delta": i, "member": "m" if i % 3 else None} for i in range(1, 40)]
    bad = ["{", json.dumps({"id": "x" * 1024}), json.dumps({"id": ""}), json.dumps({"id": "a", "delta": 1 << 63})]
    bad += [json.dumps({"id": "a\n"}), json.dumps({"id": "a", "type": "no way"})]
    bad += [json.dumps({"id": "a", "member": "m" * 256})]
    file = tmp_path / "x.ndjson"
    file.write_text("\n".join([*(json.dumps(line) for line in good), "", *bad]))
    sender, packer, seen = Collector(), Packer(200), []
    report = load(Lines(str(file)), ndjson(b"t"), packer, sender, lambda report: seen.append(report.sent))
    assert (report.lines, report.bad) == (len(good) + 1 + len(bad), len(bad))
    assert [number for number, _ in report.shown] == list(range(len(good) + 2, len(good) + 2 + SHOWN))
    assert "1 to 1,023 bytes" in report.shown[1][1]
    totals: dict[bytes, int] = {}
    for record in sender.records:
        totals[record.id] = totals.get(record.id, 0) + record.delta
    assert totals == {line["id"].encode(): line["delta"] for line in good}  # type: ignore[union-attr]
    assert report.sent == len(sender.records) == report.outcome.received
    assert sender.frames[-1].end
    assert not any(frame.end for frame in sender.frames[:-1])
    assert [frame.seq for frame in sender.frames] == list(range(len(sender.frames)))
    assert sender.closed
    assert seen == [report.sent]


def test_nothing_is_left_open_when_sending_fails(tmp_path: Path) -> None:
    class Broken(Collector):
        def send(self, frame: Packed) -> None:
            raise FastcountError("no way")

    (tmp_path / "x").write_text("a\n")
    sender, lines = Broken(), Lines(str(tmp_path / "x"))
    with pytest.raises(FastcountError, match="no way"):
        load(lines, tsv(b"t"), Packer(200), sender)
    assert sender.closed


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))
    lines = Lines("-")
    assert lines.size is None
    assert list(lines) == [b"a", b"b"]
    assert lines.position == 4
    lines.close()
    assert not sys.stdin.buffer.closed
