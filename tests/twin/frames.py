"""Frames byte by byte, right or wrong as asked: shares no code with what it is used to test."""

import struct

INC, ADD, SEEN, SAMPLE, HIT = range(1, 6)
SEQUENCED, SIGNED = 1, 2


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def type_record(name: bytes) -> bytes:
    return bytes((1, len(name))) + name


def time_record(ms: int) -> bytes:
    return b"\x02" + varint(zigzag(ms))


END_RECORD = b"\x03"


def record(op: int, id: bytes, *, delta: int = 1, member: bytes = b"") -> bytes:
    n = len(id)
    head = bytes((op << 5 | n,)) if 0 < n < 32 else bytes((op << 5,)) + varint(n)
    if op == ADD:
        return head + id + varint(zigzag(delta))
    if op in (SEEN, SAMPLE, HIT):
        return head + id + bytes((len(member),)) + member
    return head + id


def header(source: int | None = None, seq: int = 0, sent: int = 0, flags: int = 0) -> bytes:
    if source is None:
        return bytes((0xFC, 1, flags))
    return bytes((0xFC, 1, flags | SEQUENCED)) + struct.pack("<Q", source) + varint(seq) + varint(sent)


def incs(type: bytes, ids: list[bytes]) -> bytes:
    """A frame without SEQUENCED that counts each of `ids` once."""
    return header() + type_record(type) + b"".join(record(INC, id) for id in ids)
