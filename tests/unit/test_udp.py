"""The UDP door: sockets of one port, and the reader on the loop."""

import asyncio
import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from fastcount import wire
from fastcount._core import Store
from fastcount._receiver import UdpReceiver
from fastcount.address import HostPort, pack_address
from fastcount.ingest import udp

ANY = HostPort("127.0.0.1", 0)
ONE = wire.build([wire.Record(wire.INC, b"t", b"a")])


@pytest.fixture
def door() -> Iterator[socket.socket]:
    with udp.open_sockets(ANY, 1, 1 << 18, gro=False)[0] as sock:
        yield sock


@pytest.fixture
def sender(door: socket.socket) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(door.getsockname())
        yield sock


def test_several_sockets_share_one_port_with_nobody_else() -> None:
    sockets = udp.open_sockets(ANY, 3, 1 << 16, gro=True)
    try:
        name = sockets[0].getsockname()
        assert {sock.getsockname() for sock in sockets} == {name}
        assert all(udp.rcvbuf_of(sock) == 1 << 16 for sock in sockets)
        for count in (1, 2):
            with pytest.raises(OSError, match="in use"):
                udp.open_sockets(HostPort(*name), count, 1 << 16, gro=True)
    finally:
        for sock in sockets:
            sock.close()


def test_reads_no_more_than_the_bound_at_a_time(door: socket.socket, sender: socket.socket) -> None:
    store = Store()
    reader = udp.LoopReceiver(store, door)
    for _ in range(udp.PER_CALLBACK + 5):
        sender.send(ONE)
    assert [reader.read_some() for _ in range(3)] == [udp.PER_CALLBACK, 5, 0]
    assert store.read(b"t", b"a").value == udp.PER_CALLBACK + 5
    stats = reader.stats()
    count = udp.PER_CALLBACK + 5
    assert stats == {
        "datagrams": count, "frames": count, "bytes": count * len(ONE), "batches": 2,
        "truncated": 0, "errors": 0, "kernel_drops": 0,
    }  # fmt: skip
    assert set(stats) == set(udp.UdpReceiver(store, door.fileno()).stats())
    assert store.sources()[0]["address"] == "{}:{}".format(*sender.getsockname())


@pytest.mark.parametrize("size", [0, 1, 3, 65_507])
def test_rubbish_changes_nothing_and_stops_nothing(size: int, door: socket.socket, sender: socket.socket) -> None:
    store = Store()
    reader = udp.LoopReceiver(store, door)
    sender.send(ONE)
    sender.send(b"\xfc" * size)
    sender.send(ONE)
    assert reader.read_some() == 3
    assert store.read(b"t", b"a").value == 2
    assert sum(row["malformed"] for row in store.sources()) == 1


def test_the_largest_frame_comes_in_whole(door: socket.socket, sender: socket.socket) -> None:
    store = Store()
    reader = udp.LoopReceiver(store, door)
    head = wire.build([])
    record = wire.encode_record(wire.INC, b"x" * 31)
    start = head + wire.encode_type(b"t")
    count, rest = divmod(wire.MAX_DATAGRAM - len(start), len(record))
    frame = start + record * count + wire.encode_type(b"u" * (rest - 2 if rest > 2 else 1)) * (rest > 2)
    assert len(frame) > wire.MAX_DATAGRAM - 3
    sender.send(frame)
    assert reader.read_some() == 1
    assert store.read(b"t", b"x" * 31).value == count


def test_what_the_kernel_drops_is_counted() -> None:
    with (
        udp.open_sockets(ANY, 1, 4096, gro=False)[0] as door,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        sender.connect(door.getsockname())
        store = Store()
        reader = udp.LoopReceiver(store, door)
        for _ in range(500):
            sender.send(ONE)
        while reader.read_some():
            pass
        sender.send(ONE)  # brings the count along
        assert reader.read_some() == 1
        stats = reader.stats()
        assert stats["kernel_drops"] > 0
        assert stats["datagrams"] + stats["kernel_drops"] == 501
        assert store.read(b"t", b"a").value == stats["datagrams"]


class Scripted:
    """A socket that gives what it is told: drop counts of the kernel, or errors."""

    def __init__(self, *script: int | OSError) -> None:
        self._script = list(script)

    def recvmsg_into(self, buffers: object, space: int) -> object:
        if not self._script:
            raise BlockingIOError
        now = self._script.pop(0)
        if isinstance(now, OSError):
            raise now
        return 0, [(socket.SOL_SOCKET, udp.SO_RXQ_OVFL, struct.pack("=I", now))], socket.MSG_TRUNC, ("127.0.0.1", 1)


def test_the_kernels_drop_count_wraps() -> None:
    counts = [5, 1 << 31, (1 << 32) - 1, 3, 3, (1 << 31) + 7, 1]
    reader = udp.LoopReceiver(Store(), Scripted(*counts))  # type: ignore[arg-type]
    assert reader.read_some() == len(counts)
    assert reader.stats()["kernel_drops"] == (2 << 32) + 1
    assert reader.stats()["truncated"] == len(counts)


def test_errors_of_a_packet_pass_and_a_broken_socket_does_not() -> None:
    script = OSError(errno.ECONNREFUSED, "refused"), 0, OSError(errno.ENOBUFS, "full"), OSError(errno.EBADF, "closed")
    reader = udp.LoopReceiver(Store(), Scripted(*script))  # type: ignore[arg-type]
    assert [reader.read_some(), reader.read_some()] == [0, 1]
    assert reader.stats()["errors"] == 2
    with pytest.raises(OSError, match="closed"):
        reader.read_some()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_stopping_counts_what_is_queued_and_refuses_what_comes_later(workers: int) -> None:
    async def life() -> tuple[int, bool]:
        store = Store()
        deaths: list[str] = []
        sockets = udp.open_sockets(ANY, max(workers, 1), 1 << 20, gro=workers > 0)
        door = udp.UdpDoor(store, sockets, workers=workers, on_death=deaths.append)
        name = door.sockname
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
        for sock in senders:
            sock.connect(name)
        door.start()
        for _ in range(100):
            for sock in senders:
                sock.send(ONE)
        assert await door.stop(10.0)
        with pytest.raises(ConnectionRefusedError):  # noqa: PT012
            for _ in range(2):
                senders[0].send(ONE)
        for sock in senders:
            sock.close()
        assert not deaths
        assert sum(row["frames"] for row in door.stats()) == 800
        return store.read(b"t", b"a").value, len(door.stats()) == max(workers, 1)

    assert asyncio.run(life()) == (800, True)


def test_a_reader_whose_socket_breaks_is_reported() -> None:
    async def life() -> str:
        died: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        door = udp.UdpDoor(Store(), udp.open_sockets(ANY, 1, 1 << 16, gro=False), workers=0, on_death=died.set_result)
        door._reader._sock = Scripted(OSError(errno.EBADF, "closed"))  # type: ignore[union-attr,assignment]
        door.start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(ONE, door.sockname)
            return await asyncio.wait_for(died, 30)

    assert "closed" in asyncio.run(life())


def test_a_reader_whose_socket_broke_can_still_be_stopped() -> None:
    async def life() -> bool:
        door = udp.UdpDoor(Store(), udp.open_sockets(ANY, 1, 1 << 16, gro=False), workers=0, on_death=lambda why: None)
        sock = door._sockets[0]
        door._reader._sock = Scripted(*[OSError(errno.EBADF, "closed")] * 9)  # type: ignore[union-attr,assignment]
        door.start()
        stopped = await door.stop(10.0)
        assert sock.fileno() == -1
        return stopped

    assert asyncio.run(life())


def test_a_worker_that_is_stopped_reads_all_that_is_queued_however_long_that_takes() -> None:
    """Full buffers of what is slow to apply: names that a limit refuses, more than a second of it."""
    frame = wire.encode_header() + wire.encode_type(b"t")
    frame += b"".join(b"\x23%03x" % (i % 4096) for i in range((65_507 - len(frame)) // 4))
    door = udp.open_sockets(ANY, 1, 64 << 20, gro=False)[0]
    store = Store(max_counters=1)
    receiver = UdpReceiver(store, door.fileno())
    with door, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sender.connect(door.getsockname())
        for _ in range(1000):
            sender.send(frame)
        udp._refuse_new(door)
        receiver.stop()
        receiver.run()
        with pytest.raises(BlockingIOError):
            door.recv(1)
    assert receiver.stats()["frames"] == store.stats()["frames"] > 0


def test_packing_is_remembered_for_the_same_sender() -> None:
    assert pack_address(("10.0.0.1", 5)) is pack_address(("10.0.0.1", 5))
