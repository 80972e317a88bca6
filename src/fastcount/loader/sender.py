"""Ways from here to the server: UDP, paced and checked against its ledger, or HTTP.

Over UDP nothing says that a frame arrived, but the server's loss ledger does, over HTTP: at most a window of frames is
under way that the ledger has not confirmed. One that got lost is sent again; the server knows its number, so a frame
that arrived after all is not counted twice. Without the ledger, frames go at a fixed, modest rate.
"""

import contextlib
import socket
import time
from typing import NamedTuple, Protocol

from fastcount.address import HostPort
from fastcount.errors import FastcountError
from fastcount.packer import DATAGRAM, Packed
from fastcount.rest import Json, Rest, RestError, UnreachableError
from fastcount.sender import Pacer

BLIND_RATE = 100_000  # records/s where the ledger cannot be asked
MAX_WINDOW = 512  # frames; the server remembers 1,024 numbers of a source, older ones it cannot tell from repeats
MIN_WINDOW = 16
SKB = 2304  # what a datagram of 1,432 bytes takes of a socket buffer, with the kernel's own data
HTTP_FRAME = 1 << 18
PATIENCE = 0.25  # seconds without news of a frame until it is sent again
DOUBT = 3.0  # seconds until a ledger that does not show us is taken for one that never will
ROUNDS = 8  # of sending again, until frames are given up


class Outcome(NamedTuple):
    """How it ended. received and lost: records by the server's books, None if they could not be read; refused: records
    that arrived and that a limit kept out (over UDP: of all senders meanwhile); resent: frames that were sent again;
    note: why there are no books; unknown: they were read, and we are not in them."""

    received: int | None
    lost: int | None
    refused: int = 0
    resent: int = 0
    note: str = ""
    unknown: bool = False


class Sender(Protocol):
    """Takes complete frames in order. frame_size: bytes that suit it."""

    frame_size: int

    def send(self, frame: Packed) -> None:
        """Send, and wait as long as that takes. Raises FastcountError when there is no use in going on."""

    def finish(self, sent: int) -> Outcome:
        """After the last frame (END): wait for what is under way, close. sent: records in all frames."""

    def close(self) -> None:
        """Let go of connections; safe to call twice."""


class UdpSender:
    """Sends to `door`; `ledger` is asked for the books of `source`. rate: records/s at most, None: as fast as the
    ledger confirms."""

    frame_size = DATAGRAM

    def __init__(self, door: HostPort, source: int, ledger: HostPort, rate: float | None = None) -> None:
        self._door = door
        self._source = f"{source:016x}"
        self._rest: Rest | None = Rest(ledger)
        self._rate = rate
        self._pacer = Pacer(rate)
        self._note = ""
        self._under_way: list[Packed] = []
        self._frames = 0
        self._known = 0  # frames the ledger had, when last asked
        self._given_up = 0
        self._resent = 0
        self._unknown = False
        self._refused_before = self._refused()
        self._unsigned_before = self._unsigned()
        self._window = self._ask_window()
        try:
            family, _, _, _, sockaddr = socket.getaddrinfo(door.host, door.port, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, socket.SOCK_DGRAM)
            self._socket.connect(sockaddr)
        except OSError as error:
            raise FastcountError(f"cannot send to {door}: {error.strerror}") from None

    def send(self, frame: Packed) -> None:
        time.sleep(self._pacer.delay())
        self._put(frame)
        self._pacer.sent(frame.records)
        self._frames += 1
        if self._rest is not None:
            self._under_way.append(frame)
            if len(self._under_way) >= self._window:
                self._confirm()

    def finish(self, sent: int) -> Outcome:
        if self._rest is not None:
            self._confirm()
        row = self._row()
        refused = self._refused() - self._refused_before if row is not None else 0
        self.close()
        if row is None:
            return Outcome(None, None, 0, self._resent, self._note, self._unknown)
        return Outcome(row["records"], sent - row["records"], max(0, refused), self._resent)

    def close(self) -> None:
        self._socket.close()
        if self._rest is not None:
            self._rest.close()

    def _put(self, frame: Packed) -> None:
        try:
            self._socket.send(frame.data)
        except ConnectionRefusedError:
            raise FastcountError(
                f"nothing listens at {self._door}/udp; is the server running? (fastcount serve)"
            ) from None
        except OSError as error:
            raise FastcountError(f"cannot send to {self._door}/udp: {error.strerror}") from None

    def _ask_window(self) -> int:
        """Half of what the server's smallest socket buffer holds; the rest is for others."""
        sizes = [int(row["rcvbuf"]) for row in self._stats().get("udp", ()) if "rcvbuf" in row]
        return max(MIN_WINDOW, min(MAX_WINDOW, min(sizes, default=0) // SKB // 2))

    def _refused(self) -> int:
        """Records that limits of the server kept out so far."""
        return sum(self._stats().get("store", {}).get("refused", {}).values())

    def _unsigned(self) -> int:
        """Frames that the server has refused for their signature so far."""
        return int(self._stats().get("store", {}).get("malformed", {}).get("signature", 0))

    def _stats(self) -> Json:
        if self._rest is not None:
            try:
                return self._rest.get("/v1/stats")
            except RestError as error:
                self._go_blind(str(error))
        return {}

    def _confirm(self) -> None:
        """Wait until the ledger has every frame; send again what it has not got."""
        wait, news, rounds = 0.001, time.monotonic(), 0
        while True:
            row = self._row()
            if self._rest is None:
                break
            if row is not None and row["frames"] > self._known:
                self._known, news = row["frames"], time.monotonic()
            if self._known + self._given_up >= self._frames:
                break
            silence = time.monotonic() - news
            if row is None or row["frames"] < self._known:
                # not in the table of sources, which is full, or another server's: sending again may count twice
                if silence > DOUBT:
                    self._unknown = True
                    note = f"the ledger at http://{self._rest.door} does not know this sender"
                    if self._unsigned() > self._unsigned_before:
                        note += (
                            "; frames were refused for their signature meanwhile: give a key of the server's by --key"
                        )
                    self._go_blind(note)
                    break
            elif silence > PATIENCE:
                if rounds == ROUNDS:
                    self._given_up = self._frames - self._known
                    break
                rounds += 1
                self._resent += len(self._under_way)
                for frame in self._under_way:
                    self._put(frame)
                news = time.monotonic()
            time.sleep(wait)
            wait = min(wait * 2, 0.02)
        self._under_way.clear()

    def _row(self) -> Json | None:
        """Our entry in the ledger."""
        if self._rest is None:
            return None
        try:
            for row in self._rest.get(f"/v1/sources?source={self._source}")["sources"]:
                if row["source"] == self._source:
                    return dict(row)
        except (RestError, LookupError, TypeError) as error:
            self._go_blind(str(error))
        return None

    def _go_blind(self, reason: str) -> None:
        self._note = reason
        if self._rest is not None:
            self._rest.close()
        self._rest = None
        if self._rate is None:
            self._pacer = Pacer(BLIND_RATE)


class HttpSender:
    """Sends each frame as the body of a request. A request that got no answer is made again: the frame's number keeps
    it from counting twice."""

    frame_size = HTTP_FRAME

    def __init__(self, door: HostPort, rate: float | None = None) -> None:
        self._rest = Rest(door, timeout=30.0)
        self._pacer = Pacer(rate)
        self._received = self._refused = self._resent = 0

    def send(self, frame: Packed) -> None:
        time.sleep(self._pacer.delay())
        self._pacer.sent(frame.records)
        for attempt in range(ROUNDS):
            try:
                answer = self._rest.request("POST", "/v1/increments", frame.data, "application/vnd.fastcount.frame")
                break
            except UnreachableError:
                if attempt == ROUNDS - 1 or not self._received:
                    raise
                self._resent += 1
                time.sleep(0.05 * 2**attempt)
        # a repeat of a frame whose answer got lost: it was applied then
        self._received += frame.records if answer.get("duplicate") else int(answer["applied"]) + int(answer["refused"])
        self._refused += int(answer["refused"])

    def finish(self, sent: int) -> Outcome:
        self.close()
        return Outcome(self._received, sent - self._received, self._refused, self._resent)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._rest.close()
