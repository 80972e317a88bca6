"""`fastcount bench`: how much a server on this machine takes by UDP, from a generator in plain Python.

A throw-away server runs as a process of its own, on a core of its own where there are two; this process prepares
frames, sends them for some seconds and asks the ledger what arrived. The generator is usually the slower side: the
figure is what was shown here, not what the server can do at most.
"""

import contextlib
import itertools
import json as jsonlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from fastcount.address import HostPort, parse_host_port
from fastcount.cli.common import console, print_json
from fastcount.errors import FastcountError

if TYPE_CHECKING:
    from fastcount.rest import Rest

HEADER_ROOM = 3 + 8 + 10 + 8  # magic, version, flags, source, the longest seq and sent
BURST = 64  # frames between two looks at the clock
START_SECONDS = 30.0
SETTLE_SECONDS = 5.0


class _Body(NamedTuple):
    data: bytes
    records: int


def bench(
    seconds: Annotated[float, typer.Option(min=0.1, max=600, help="How long to send.")] = 3.0,
    names: Annotated[int, typer.Option(min=1, max=2_000_000, help="Different ids that are counted.")] = 1000,
    size: Annotated[int, typer.Option(min=100, max=65_507, help="Bytes of a datagram at most.")] = 1400,
    rate: Annotated[
        float, typer.Option(min=0, help="Increments a second at most; 0 sends as fast as this process can.")
    ] = 0.0,
    udp_workers: Annotated[int, typer.Option(min=0, max=64, help="As for serve.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Load a throw-away server by UDP for some seconds, and say what was sent, received and lost.

    The generator is plain Python in this process and usually the slower side, so this shows what is reached at least.
    """
    bodies = _bodies(names, size)
    server_cores, own_cores = _cores()
    before = os.sched_getaffinity(0)
    with _server(udp_workers, server_cores) as card:
        os.sched_setaffinity(0, own_cores)
        try:
            result = _measure(card, bodies, seconds, rate, names, size)
        finally:
            os.sched_setaffinity(0, before)
    result["udp_workers"] = udp_workers
    result["cores_apart"] = not server_cores & own_cores
    if json:
        print_json(result)
    else:
        _print(result)


def _bodies(names: int, size: int) -> list[_Body]:
    """Frames without their headers: ids of 7 bytes, round robin."""
    from fastcount import wire
    from fastcount.packer import MIN_SIZE, Packer

    room = max(MIN_SIZE, size - HEADER_ROOM + len(wire.encode_header(0)))
    packer = Packer(room, source=0)
    bodies: list[_Body] = []
    number = covered = 0
    while covered < names:
        for frame in packer.put(b"bench", wire.encode_record(wire.INC, b"%07d" % (number % names))):
            bodies.append(_Body(_without_header(frame.data), frame.records))
            covered += frame.records
        number += 1
    return bodies


def _without_header(data: bytes) -> bytes:
    from fastcount import wire

    _, at = wire.decode_varint(data, 11, len(data))
    _, at = wire.decode_varint(data, at, len(data))
    return data[at:]


def _cores() -> tuple[set[int], set[int]]:
    """Cores for the server and for us."""
    cores = sorted(os.sched_getaffinity(0))
    return ({cores[0]}, set(cores[1:])) if len(cores) > 1 else (set(cores), set(cores))


@contextlib.contextmanager
def _server(udp_workers: int, cores: set[int]) -> Iterator[dict[str, Any]]:
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith("FASTCOUNT_")}
    environment["FASTCOUNT_CONFIG"] = os.devnull  # an empty file: ./fastcount.toml is not for this server
    command = [sys.executable, "-m", "fastcount", "serve", "--binary", "127.0.0.1:0", "--http", "127.0.0.1:0"]
    command += ["--udp-workers", str(udp_workers), "--ready-json", "--log-level", "error"]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # what is started now inherits it
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
    finally:
        os.sched_setaffinity(0, before)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise FastcountError(f"the server did not start (status {process.wait(START_SECONDS)}); see above")
        yield jsonlib.loads(line)
    finally:
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _measure(
    card: dict[str, Any], bodies: list[_Body], seconds: float, rate: float, names: int, size: int
) -> dict[str, Any]:
    from fastcount.rest import Rest

    source = int.from_bytes(os.urandom(8), "little")
    with Rest(parse_host_port(card["http"])) as rest:
        cpu = _cpu(card["pid"])
        frames, sent, took = _generate(parse_host_port(card["binary"]), source, bodies, seconds, rate)
        row, extra = _settle(rest, f"{source:016x}", sent)
        cpu = _cpu(card["pid"]) - cpu
        drops = sum(worker.get("kernel_drops", 0) for worker in rest.get("/v1/stats")["udp"])
    received = row["records"]
    return {
        "sent": sent,
        "received": received,
        "lost": sent - received,
        "seconds": round(took + extra, 3),
        "received_per_s": round(received / (took + extra)),
        "sent_per_s": round(sent / took),
        "datagrams": frames,
        "kernel_drops": drops,
        "server_cpu_s": round(cpu, 2),
        "names": names,
        "size": size,
    }


def _generate(to: HostPort, source: int, bodies: list[_Body], seconds: float, rate: float) -> tuple[int, int, float]:
    """Send for `seconds`, then END; returns frames, records and the seconds it took."""
    from fastcount import wire

    seq = sent = 0
    endless = itertools.cycle(bodies)
    start = time.perf_counter()
    end = start + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(to)
        send, header = sock.send, wire.encode_header
        now = start
        while now < end:
            for body in itertools.islice(endless, BURST):
                send(header(source, seq, sent) + body.data)
                seq += 1
                sent += body.records
                if rate and (ahead := start + sent / rate - time.perf_counter()) > 0:
                    time.sleep(ahead)
            now = time.perf_counter()
        took = now - start
        send(header(source, seq, sent) + bytes((wire.END,)))
    return seq + 1, sent, took


def _settle(rest: "Rest", source: str, sent: int) -> tuple[dict[str, Any], float]:
    """Wait until the server has read what its socket holds; returns our books and how long that took."""
    start = time.perf_counter()
    row: dict[str, Any] = {"records": 0}
    progress = start
    while time.perf_counter() - progress < SETTLE_SECONDS:
        for entry in rest.get(f"/v1/sources?source={source}&limit=10")["sources"]:
            if entry["source"] == source:
                if entry["records"] > row["records"]:
                    progress = time.perf_counter()
                row = entry
        if row["records"] >= sent or row.get("settled"):
            break
        time.sleep(0.005)
    return row, progress - start


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _print(result: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(box=None, show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    lost = result["lost"] / result["sent"] if result["sent"] else 0.0
    busy = result["server_cpu_s"] / result["seconds"] if result["seconds"] else 0.0
    rows = [
        ("sent", f"{result['sent']:,}", f"increments of {result['names']:,} ids in {result['datagrams']:,} datagrams"),
        ("received", f"{result['received']:,}", "by the server's ledger"),
        ("lost", f"{result['lost']:,}", f"{lost:.2%}; {result['kernel_drops']:,} datagrams dropped by the kernel"),
        ("time", f"{result['seconds']:.2f}", "seconds, until the last was counted"),
        ("rate", f"{result['received_per_s']:,}", "increments/s received"),
        (
            "server CPU",
            f"{busy:.0%}",
            "of a core" if result["cores_apart"] else "of the core shared with the generator",
        ),
    ]
    for row in rows:
        table.add_row(*row)
    console().print(table)
    if result["lost"]:
        print("More was sent than this machine could take; --rate N finds out what it takes without loss.")
    elif busy < 0.9:
        print("The server was not busy all the time: the generator, plain Python, set the rate.")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example:  fastcount bench --seconds 5 --names 1000000")(bench)
