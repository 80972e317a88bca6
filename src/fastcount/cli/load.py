"""`send` and `load`: increments from the command line and from files."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from fastcount.address import HostPort
from fastcount.cli.common import BINARY, console, door, fail
from fastcount.errors import ConfigError

if TYPE_CHECKING:
    from fastcount.loader.formats import Parser
    from fastcount.loader.lines import Lines
    from fastcount.loader.load import Report
    from fastcount.loader.sender import Outcome, Sender
    from fastcount.packer import Packer

HTTP_PORT = 8127
BinaryOption = Annotated[
    str, typer.Option("--binary", metavar="HOST:PORT", envvar="FASTCOUNT_BINARY", help="The server's UDP address.")
]
_DEFAULT_STATUS = "the host of --binary, port 8127"


KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="[ID:]FILE",
        envvar="FASTCOUNT_KEY",
        help="Sign with a key of this file, of the form of serve's --keys; ID where it holds several.",
    ),
]


def send(
    type: Annotated[str, typer.Argument(metavar="TYPE", help="What kind of thing is counted, such as hits.")],
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Which ones, such as /home.")],
    delta: Annotated[int, typer.Option(help="How much to add; negative takes away.")] = 1,
    member: Annotated[str | None, typer.Option(metavar="M", help="Who: for uniques and samples.")] = None,
    seen: Annotated[bool, typer.Option("--seen", help="Count M among the uniques, and add nothing.")] = False,
    sample: Annotated[bool, typer.Option("--sample", help="Offer M to the sample, and add nothing.")] = False,
    key: KeyOption = None,
    binary: BinaryOption = BINARY,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", envvar="FASTCOUNT_HTTP", show_default=_DEFAULT_STATUS,
                     help="HTTP address, asked whether the increments arrived."),
    ] = None,
) -> None:  # fmt: skip
    """Send an increment for each ID by UDP, and ask the server whether it arrived."""
    from fastcount import wire
    from fastcount.loader.formats import Entry
    from fastcount.loader.load import encode, encode_member

    ops = [op for op, wanted in ((wire.SEEN, seen), (wire.SAMPLE, sample)) if wanted]
    if ops and (member is None or delta != 1):
        raise ConfigError("--seen and --sample are about a member, and add nothing: give --member, and no --delta")
    to = door("--binary", binary)
    try:
        texts = [text.encode() for text in (type, *ids)]
        who = None if member is None else member.encode()
        entries = [
            encode_member(texts[0], id_, who, ops)
            if ops and who is not None
            else encode(Entry(texts[0], id_, delta, who))
            for id_ in texts[1:]
        ]
    except UnicodeEncodeError:
        raise ConfigError("what is to be counted is not valid UTF-8") from None
    except OverflowError:
        raise ConfigError(f"--delta {delta} is outside of signed 64-bit") from None
    packer, sender = _udp(to, _status(to, http), None, key)
    with contextlib.closing(sender):
        sent = 0
        frames = [frame for type_, records in entries for record in records for frame in packer.put(type_, record)]
        for frame in [*frames, *packer.finish(end=True)]:
            sender.send(frame)
            sent += frame.records
        raise typer.Exit(_account(sent, sender.finish(sent)))


def load(
    file: Annotated[str, typer.Argument(metavar="FILE", help="What to read; - is standard input, .gz is unpacked.")],
    format: Annotated[str, typer.Option(metavar="clf|tsv|ndjson", help="What its lines are.")] = "clf",
    type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="What they count, such as hits; tsv and ndjson may say it too.")
    ] = None,
    member: Annotated[
        str, typer.Option(metavar="none|host|user|N", help="clf: who it was: client address, user, field N, or nobody.")
    ] = "host",
    columns: Annotated[
        str, typer.Option(metavar="NAMES", help="tsv: what its columns are: id, delta, member, type, or - to skip one.")
    ] = "id,delta,member",
    binary: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", envvar="FASTCOUNT_BINARY", show_default=BINARY,
                     help="Send by UDP to this address."),
    ] = None,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Send by HTTP to this address instead.")
    ] = None,
    http_status: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", envvar="FASTCOUNT_HTTP", show_default=_DEFAULT_STATUS,
                     help="UDP: HTTP address where the server is asked what arrived."),
    ] = None,
    key: KeyOption = None,
    rate: Annotated[
        float | None,
        typer.Option(metavar="N", min=0.001, help="Records a second at most. Without it as fast as the server "
                     "confirms, or 100000 where it cannot be asked."),
    ] = None,
) -> None:  # fmt: skip
    """Count the lines of a log or table, and account for every one of them.

    clf: access logs, common or combined; the id is the request path: field 7, as awk counts.
    tsv: id, delta, member between tabs; all but the id may be missing.
    ndjson: {"type": "hits", "id": "/home", "delta": 1, "member": "user_7"} on each line.

    Ends with status 1 if a record got lost. Lines that cannot be counted are reported and skipped.
    """
    from fastcount.loader.lines import Lines
    from fastcount.loader.load import load as run
    from fastcount.loader.sender import HttpSender
    from fastcount.packer import Packer

    parse = _parser(format, type, member, columns)
    if http is not None and binary is not None and not _from_environment(binary, "FASTCOUNT_BINARY"):
        raise ConfigError("either --binary or --http, not both; --http-status says where the ledger is asked")
    lines = Lines(file)
    if http is not None:
        sender: Sender = HttpSender(door("--http", http), rate)
        packer = Packer(sender.frame_size, key=_key(key))
    else:
        to = door("--binary", binary or BINARY)
        packer, sender = _udp(to, _status(to, http_status), rate, key)
    with _progress(lines) as progress:
        report = run(lines, parse, packer, sender, progress)
    if report.bad:
        print(f"{report.bad:,} of {report.lines:,} lines could not be counted:", file=sys.stderr)
        for number, reason in report.shown:
            fail(f"line {number:,}: {reason}")
        if report.bad > len(report.shown):
            print(f"and {report.bad - len(report.shown):,} more", file=sys.stderr)
    raise typer.Exit(_account(report.sent, report.outcome))


def _from_environment(value: str, variable: str) -> bool:
    import os

    return os.environ.get(variable) == value


def _parser(format: str, type: str | None, member: str, columns: str) -> "Parser":
    from fastcount.loader import formats
    from fastcount.names import type_bytes

    type_ = None if type is None else type_bytes(type)
    if format == "clf":
        if type_ is None:
            raise ConfigError("say what is counted: --type NAME, for example --type hits")
        return formats.clf(type_, member)
    if format == "tsv":
        return formats.tsv(type_, [name.strip() for name in columns.split(",")])
    if format == "ndjson":
        return formats.ndjson(type_)
    raise ConfigError(f"--format {format}: it is clf, tsv or ndjson")


def _status(binary: HostPort, http: str | None) -> HostPort:
    return HostPort(binary.host, HTTP_PORT) if http is None else door("--http-status", http)


def _key(text: str | None) -> tuple[int, bytes] | None:
    if text is None:
        return None
    from fastcount.keyring import read_key

    return read_key(text, fail)


def _udp(to: HostPort, ledger: HostPort, rate: float | None, key: str | None) -> "tuple[Packer, Sender]":
    from fastcount.loader.sender import UdpSender
    from fastcount.packer import Packer

    packer = Packer(UdpSender.frame_size, key=_key(key))
    return packer, UdpSender(to, packer.source, ledger, rate)


def _account(sent: int, outcome: "Outcome") -> int:
    """Say what became of it; returns the exit status."""
    if outcome.received is None or outcome.lost is None:
        print(f"{sent:,} sent, not verified: {outcome.note}", flush=True)
        return 1 if outcome.unknown else 0
    line = f"{sent:,} sent, {outcome.received:,} received, {outcome.lost:,} lost"
    if outcome.refused:
        line += f", {outcome.refused:,} refused by a limit"
    print(line, flush=True)
    if outcome.resent:
        print(f"{outcome.resent:,} frames were sent again (repeats are not counted twice)", file=sys.stderr)
    return 1 if outcome.lost or outcome.refused else 0


@contextlib.contextmanager
def _progress(lines: "Lines") -> "Iterator[Callable[[Report], None] | None]":
    """A bar with bytes and rate, where a person is looking."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    with Progress(
        TextColumn("{task.fields[records]}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=lines.size, records="0 records")

        def report(done: "Report") -> None:
            bar.update(task, completed=lines.position, records=f"{done.sent:,} records")

        yield report


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog="Examples:  fastcount send views video_7 --delta 3    ·    fastcount send views video_7 --member kim"
    )(send)
    app.command(
        epilog="Examples:  fastcount load access.log.gz --type hits    ·    "
        "zcat logs/*.gz | fastcount load - --type hits --member none"
    )(load)
