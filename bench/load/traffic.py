"""One run of the generator against a server, and what the server's ledger says of it."""

import json
import subprocess
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.build import program
from bench.load import process
from bench.load.server import Server


@dataclass(frozen=True)
class Traffic:
    """names: distinct ids, of 6 digits, drawn uniformly (zipf: or with this exponent; each: every one in turn).
    members: HITs by so many distinct members instead of increments. pairs: (id, member) that are ready-made and go
    round; 0: some four times the names. per_frame: records a datagram, or None to fill `datagram` bytes.
    """

    names: int
    datagram: int = 1400
    per_frame: int | None = None
    zipf: float = 0
    each: bool = False
    gso: bool = True
    members: int = 0
    pairs: int = 0

    def options(self) -> list[str]:
        words = ["--names", str(self.names), "--datagram", str(self.datagram), "--zipf", str(self.zipf)]
        words += ["--per-frame", str(self.per_frame)] if self.per_frame else []
        words += ["--each"] if self.each else []
        words += ["--hit", "--members", str(self.members)] if self.members else []
        words += ["--pairs", str(self.pairs)] if self.pairs else []
        return words if self.gso else [*words, "--no-gso"]


@dataclass(frozen=True)
class Outcome:
    """Of one run. sent, received, lost: records, by the generator's count and the server's. seconds: of sending.
    drain_s: from then on until the server had emptied its socket's buffer. That holds up to 64 MiB, some tenths of a
    second at full rate, so that a server which is too slow loses nothing in a short run but drains long after it.
    records_per_s: received over seconds + drain_s. server_cpu_s, load_cpu_s: processor time of the two.
    ledger: the server's row about this source.
    """

    rate: float
    sent: int
    received: int
    lost: int
    seconds: float
    drain_s: float
    records_per_s: float
    datagrams_per_s: float
    server_cpu_s: float
    load_cpu_s: float
    eagain: int
    late: int
    rss_bytes: int
    ledger: dict[str, Any]

    @property
    def whole(self) -> bool:
        """Nothing lost, by both counts."""
        return self.lost == 0 and self.received == self.sent == self.ledger["sent"] and self.ledger["lost"] == 0

    @property
    def kept_up(self) -> bool:
        """The server had read all of it about as soon as it was sent."""
        return self.drain_s <= max(0.01, 0.02 * self.seconds)

    @property
    def sent_as_asked(self) -> bool:
        """The generator reached the rate, or nearly: on a busy machine it loses its core now and then."""
        return self.sent >= 0.9 * self.rate * self.seconds

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Generator:
    """The generator, sending since this was made. rate: records/s, 0 = all it can; seconds or records: how much."""

    def __init__(
        self, server: Server, core: int, traffic: Traffic, rate: float, *, seconds: float = 0, records: int = 0
    ) -> None:
        host, port = server.binary
        command = [str(program("udpgen")), "--host", host, "--port", str(port), "--core", str(core)]
        command += ["--rate", f"{rate:.1f}", *traffic.options()]
        command += ["--records", str(records)] if records else ["--seconds", str(seconds)]
        self._server, self._rate, self._cpu = server, rate, server.cpu_seconds()
        self._limit = (seconds or records / rate if rate else seconds) + 60
        self._process = process.spawn(command, core, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self._process.stdout
        first = self._process.stdout.readline()
        if not first:
            raise RuntimeError(f"udpgen did not start: {self._process.communicate()[1]}")
        self.source = json.loads(first)["source"]

    def stop(self) -> None:
        process.stop(self._process)

    def outcome(self) -> Outcome:
        """Waits for the end of sending, then for the server to have read all of it."""
        assert self._process.stdout
        late = threading.Timer(self._limit, self._process.kill)
        late.start()
        try:
            self._process.stdout.readline()  # "sent"
            drain = drained(self._server.binary[1])
            output, errors = self._process.communicate()
        finally:
            late.cancel()
        if self._process.returncode:
            raise RuntimeError(f"udpgen ended with {self._process.returncode}: {errors}")
        done = json.loads(output)
        row = settled(self._server, self.source)
        return Outcome(
            rate=self._rate,
            sent=done["records"],
            received=row["records"],
            lost=done["records"] - row["records"],
            seconds=done["seconds"],
            drain_s=drain,
            records_per_s=row["records"] / (done["seconds"] + drain),
            datagrams_per_s=row["frames"] / (done["seconds"] + drain),
            server_cpu_s=self._server.cpu_seconds() - self._cpu,
            load_cpu_s=done["cpu_s"],
            eagain=done["eagain"],
            late=done["late"],
            rss_bytes=self._server.rss_bytes(),
            ledger=row,
        )


def queued(port: int) -> int:
    """Bytes of memory that wait in the receive buffers of UDP sockets bound to `port`."""
    total = 0
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            total += int(fields[4].partition(":")[2], 16)
    return total


def drained(port: int, patience: float = 10) -> float:
    """Seconds from now until nothing waits there."""
    start = time.monotonic()
    while queued(port) and time.monotonic() < start + patience:
        time.sleep(0.0005)
    return time.monotonic() - start


def settled(server: Server, source: str, patience: float = 10) -> dict[str, Any]:
    """The ledger's row about `source` once its END was heard; as it stands if every END was lost."""
    nothing = {"source": source, "records": 0, "sent": 0, "lost": 0, "settled": False}
    end, row = time.monotonic() + patience, nothing
    while time.monotonic() < end:
        rows = server.get("/v1/sources?limit=1000")["sources"]
        row = next((r for r in rows if r["source"] == source), nothing)
        if row["settled"]:
            break
        time.sleep(0.05)
    return row


def send(server: Server, core: int, traffic: Traffic, rate: float, *, seconds: float = 0, records: int = 0) -> Outcome:
    """One whole run."""
    return Generator(server, core, traffic, rate, seconds=seconds, records=records).outcome()


def fill(server: Server, core: int, traffic: Traffic) -> Outcome:
    """Every name of `traffic` once (of HITs: each pair once), at an easy rate, in large datagrams. RuntimeError if
    records were lost twice."""
    every = replace(traffic, per_frame=None, datagram=1400)
    if not traffic.members:
        every = replace(every, each=True, zipf=0)
    records = traffic.pairs or traffic.names
    for rate in (2e6, 5e5):
        outcome = send(server, core, every, rate, records=records)
        if outcome.whole:
            return outcome
    raise RuntimeError(f"filling {traffic.names:,} names lost {outcome.lost:,} records at {rate:,.0f} records/s")
