"""Packs records into numbered frames of bounded size: what the clients and `fastcount load` send."""

import secrets
from typing import NamedTuple

from fastcount import names, wire
from fastcount.errors import InvalidName

DATAGRAM = 1432  # 1,500 of Ethernet less 20 IPv4 and 8 UDP, less 40: room for IPv6's longer header and for tunnels
MIN_SIZE = 64


class Packed(NamedTuple):
    """A complete frame and how many data records are in it."""

    data: bytes
    records: int


class Packer:
    """Records in, complete frames out, each of at most `max_size` bytes (64..1,048,576).

    Every frame is SEQUENCED; `source` is a random 64-bit id unless given. key: (key id, key) signs each frame.
    Frames count as sent once they were returned: one that never leaves is reported as lost by the server, as it
    should be. A record that is longer than `max_size` on its own gets a frame to itself, of at most
    1,405 bytes.

        packer = Packer()
        for record in records:
            for frame in packer.add("hits", path, member=address):
                sock.send(frame.data)
        for frame in packer.finish():
            sock.send(frame.data)

    Not thread-safe.
    """

    def __init__(
        self,
        max_size: int = DATAGRAM,
        *,
        source: int | None = None,
        key: tuple[int, bytes] | None = None,
    ) -> None:
        if not MIN_SIZE <= max_size <= wire.MAX_FRAME:
            raise ValueError(f"max_size is {MIN_SIZE} to {wire.MAX_FRAME:,} bytes, not {max_size}")
        if key is not None:
            wire.check_key(*key)
        self.source = secrets.randbits(64) if source is None else source
        self.seq = 0  # of the frame being filled
        self.sent = 0  # records in the frames before it
        self._key = key
        self._room = max_size - (wire.TRAILER_SIZE if key else 0)
        self._parts: list[bytes] = []
        self._size = 0  # of the parts, and of the header if there are any
        self._records = 0
        self._type: bytes | None = None
        self._time: int | None = None

    def add(
        self,
        type: str | bytes,
        id: str | bytes,
        delta: int = 1,
        member: str | bytes | None = None,
        *,
        op: int | None = None,
        time: int | None = None,
    ) -> list[Packed]:
        """Put one record, and return the frames that it completed.

        op: one of wire.INC, ADD, SEEN, SAMPLE, HIT; without it HIT if there is a member, else INC or ADD by `delta`
        (signed 64-bit). time: Unix milliseconds of the event. Raises InvalidName, OverflowError, ValueError; then
        nothing was put.
        """
        if op is None:
            op = wire.HIT if member is not None else wire.INC if delta == 1 else wire.ADD
        name, id_ = names.type_bytes(type), names.id_bytes(id)
        if op in (wire.INC, wire.ADD):
            if member is not None:
                raise ValueError("INC and ADD have no member")
            if op == wire.INC and delta != 1:
                raise ValueError("INC adds 1; use ADD")
            return self.put(name, wire.encode_record(op, id_, delta), time)
        if op not in (wire.SEEN, wire.SAMPLE, wire.HIT):
            raise ValueError(f"op {op} is not a data record")
        if delta != 1:
            raise ValueError("a record with a member has no delta: put a HIT and an ADD")
        if member is None:
            raise InvalidName("SEEN, SAMPLE and HIT need a member")
        return self.put(name, wire.encode_record(op, id_, 1, names.member_bytes(member)), time)

    def put(self, type: bytes, record: bytes, time: int | None = None) -> list[Packed]:
        """Put a record that is encoded already (`wire.encode_record`), of a type that is checked already."""
        out: list[Packed] = []
        if self._parts:
            head = self._controls(type, time)
            if head is None or self._size + len(head) + len(record) > self._room:
                out = self.finish()
            else:
                self._parts.append(head + record)
                self._size += len(head) + len(record)
                self._records += 1
        if not self._parts:
            self._begin()
            part = (self._controls(type, time) or b"") + record
            self._parts.append(part)
            self._size += len(part)
            self._records = 1
        self._type, self._time = type, time
        return out

    def finish(self, *, end: bool = False) -> list[Packed]:
        """Complete the frame being filled, if there is one. end: close the books with a frame of its own that holds
        END alone, so that the loss of the last records is noticed; it also is the heartbeat of an idle source."""
        out = [self._complete()] if self._parts else []
        if end:
            self._begin()
            self._parts.append(bytes((wire.END,)))
            out.append(self._complete())
        return out

    def _begin(self) -> None:
        header = wire.encode_header(self.source, self.seq, self.sent, signed=self._key is not None)
        self._parts.append(header)
        self._size = len(header)
        self._type = self._time = None

    def _controls(self, type: bytes, time: int | None) -> bytes | None:
        """What has to be written before a record; None if this frame cannot say it."""
        head = b"" if type == self._type else wire.encode_type(type)
        if time == self._time:
            return head
        return None if time is None else head + wire.encode_time(time)

    def _complete(self) -> Packed:
        data = b"".join(self._parts)
        if self._key is not None:
            data = wire.sign(data, *self._key)
        frame = Packed(data, self._records)
        self.seq += 1
        self.sent += self._records
        self._parts = []
        self._records = 0
        return frame
