"""The other end of a client under test: a bound UDP socket, and the arithmetic of a server."""

import socket
from collections import Counter

from fastcount import wire


class Peer:
    """Receives on loopback. Every read has a deadline, so that a test fails instead of hanging."""

    def __init__(self, host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.sock.bind((host, 0))
        self.sock.settimeout(20)
        self.port = self.sock.getsockname()[1]
        self.sizes = []

    def receive(self, **options):
        """The next frame."""
        data = self.sock.recv(65_536)
        self.sizes.append(len(data))
        return wire.decode(data, **options)

    def until_end(self, ends=1, **options):
        """All frames up to the END of `ends` sources, which must be complete and agree with each other."""
        frames = []
        while sum(f.end for f in frames) < ends:
            frames.append(self.receive(**options))
        for source in {f.source for f in frames}:
            check_books([f for f in frames if f.source == source])
        return frames

    def is_silent(self):
        """Whether nothing has arrived."""
        self.sock.setblocking(False)
        try:
            self.sock.recv(1)
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(20)
        return False

    def close(self):
        self.sock.close()


def check_books(frames, first_seq=0, first_sent=0):
    """Frames of one source are numbered without a gap, and `sent` counts the records before each."""
    sent = first_sent
    for seq, frame in enumerate(frames, first_seq):
        assert (frame.seq, frame.sent) == (seq, sent)
        sent += len(frame.records)


def records(frames):
    return [record for frame in frames for record in frame.records]


def totals(frames):
    """(type, id) -> sum of the deltas, without those that came to 0."""
    out = Counter()
    for record in records(frames):
        out[record.type.decode(), record.id.decode()] += record.delta
    return {name: total for name, total in out.items() if total}
