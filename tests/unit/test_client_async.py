"""The client for asyncio against a real UDP socket."""

import asyncio
import socket
import threading

import pytest
import uvloop
from udp_peer import check_books, records, totals

from fastcount import AsyncClient, wire
from fastcount.errors import ConfigError

NEVER = 3600.0


async def receive(peer):
    """The next frame, without holding up the loop."""
    return await asyncio.to_thread(peer.receive)


def test_what_is_given_arrives(peer):
    async def main():
        async with AsyncClient(port=peer.port, flush_interval=NEVER, heartbeat=NEVER) as client:
            for i in range(3000):
                client.incr("content", str(i % 1000), 2)
            client.hit("views", "/start", "u")
            client.seen("views", "/start", "u")
            client.sample("views", "/start", "u")
            assert await client.flush()
            assert client.stats.records == 1003
            assert client.stats.pending == 0
        return client

    client = asyncio.run(main())
    frames = peer.until_end()
    want = {("content", str(i)): 6 for i in range(1000)} | {("views", "/start"): 1}
    assert totals(frames) == want
    assert len(records(frames)) == client.stats.records
    assert max(peer.sizes) <= 1432


def test_it_sends_by_itself_and_beats_when_idle(peer):
    async def main():
        async with AsyncClient(port=peer.port, flush_interval=0.001, heartbeat=0.01) as client:
            client.incr("t", "x")
            frames = [await receive(peer) for _ in range(3)]
            assert [f.end for f in frames] == [False, True, True]
            client.incr("t", "y")
            while not frames[-1].records:
                frames.append(await receive(peer))
            check_books(frames)

    asyncio.run(main())


def test_much_is_sent_at_once(peer):
    async def main():
        async with AsyncClient(port=peer.port, flush_interval=NEVER, max_pending=20) as client:
            for i in range(10):
                client.incr("t", str(i))
            assert len((await receive(peer)).records) == 10

    asyncio.run(main())


def test_calls_before_start_wait_for_it(peer):
    async def main():
        client = AsyncClient(port=peer.port, flush_interval=0.001)
        client.incr("t", "x")
        assert await client.flush() is False
        await client.start()
        await client.start()  # nothing more
        assert totals([await receive(peer)]) == {("t", "x"): 1}
        assert await client.close()
        assert await client.close()
        client.incr("t", "x")
        assert client.stats.dropped == 1

    asyncio.run(main())


def test_never_started():
    async def main():
        client = AsyncClient()
        await client.close()
        client.incr("t", "x")
        assert client.stats[4:7] == (0, 0, 1)

    asyncio.run(main())


def test_calls_from_other_threads(peer):
    async def main():
        async with AsyncClient(port=peer.port, flush_interval=0.001, heartbeat=NEVER) as client:

            def work():
                for i in range(5000):
                    client.incr("t", str(i % 50))

            threads = [threading.Thread(target=work) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                await asyncio.to_thread(thread.join)

    asyncio.run(main())
    assert totals(peer.until_end()) == {("t", str(i)): 300 for i in range(50)}


def test_a_full_kernel_does_not_hold_up_the_loop():
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setblocking(False)
    far.setblocking(False)

    def read_all():
        frames = []
        try:
            while True:
                frames.append(wire.decode(far.recv(65_536)))
        except BlockingIOError:
            return frames

    async def main():
        client = await AsyncClient(flush_interval=NEVER, patience=NEVER).start()
        client._sender._sock = near
        for i in range(5000):
            client.hit("t", str(i), "m" * 250)
        assert await client.flush(timeout=0.01) is False
        assert client.stats.pending + client.stats.records == 5000
        flushing = asyncio.create_task(client.flush())
        frames = []
        while not flushing.done():
            frames += read_all()
            await asyncio.sleep(0)
        assert flushing.result() is True
        frames += read_all()
        assert totals(frames) == {("t", str(i)): 1 for i in range(5000)}
        for i in range(5000):
            client.hit("t", str(i), "m" * 250)
        assert await client.close(timeout=0.01) is False
        assert client.stats.pending == 0
        assert client.stats.records + client.stats.dropped == 10_000
        assert client.stats.records == len(records(frames)) + len(records(read_all()))

    asyncio.run(main())
    near.close()
    far.close()


@pytest.mark.parametrize("rate", [0.001, 1e9])
def test_a_slow_rate_does_not_hold_up_the_loop(peer, rate):
    async def main():
        client = await AsyncClient(port=peer.port, flush_interval=0.001, max_rate=rate).start()
        for i in range(1000):
            client.incr("t", str(i))
        await receive(peer)  # the first frame may leave; with the low rate the next is due in days
        return await client.close(timeout=0.05), client.stats

    done, stats = asyncio.run(main())
    assert done is (rate > 1)
    assert stats.records + stats.dropped == 1000
    assert (stats.dropped > 0) is (rate < 1)


def test_a_dead_peer(peer):
    peer.close()

    async def main():
        async with AsyncClient(port=peer.port, flush_interval=NEVER) as client:
            for i in range(10):
                client.incr("t", str(i))
                assert await client.flush()
            assert client.stats.refused_by_peer >= 9

    asyncio.run(main())


def test_errors_of_configuration():
    with pytest.raises(ConfigError, match="not there yet"):
        AsyncClient(transport="tcp")

    async def main():
        async def nothing(*_arguments, **_options):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        asyncio.get_running_loop().getaddrinfo = nothing
        with pytest.raises(ConfigError, match="no address"):
            await AsyncClient("nowhere.invalid").start()

    asyncio.run(main())


def test_uvloop(peer):
    async def main():
        async with AsyncClient(port=peer.port) as client:
            client.incr("t", "x")

    uvloop.run(main())
    assert totals(peer.until_end()) == {("t", "x"): 1}


def test_close_before_start_accounts_for_what_was_given():
    async def main():
        client = AsyncClient(port=9)
        client.incr("t", "x")
        client.hit("t", "x", "m")
        assert await client.close() is False
        return client.stats

    stats = asyncio.run(main())
    assert (stats.pending, stats.dropped, stats.records) == (0, 2, 0)
