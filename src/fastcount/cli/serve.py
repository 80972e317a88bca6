"""`fastcount serve`"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcount.address import HostPort, parse_host_port
from fastcount.cli.common import console

if TYPE_CHECKING:
    from fastcount.config import Settings

_DOORS, _LIMITS, _UDP, _MEMBERS, _SIGNED, _RUN = "Doors", "Limits", "UDP", "Members", "Signatures", "Running"


def _option(flag: str, metavar: str, panel: str, help: str) -> Any:
    return typer.Option(flag, metavar=metavar, rich_help_panel=panel, help=help, show_default=False)


# Values stay text until config.py checks them, with those of the environment and the file, in one place.
def serve(
    binary: Annotated[
        str | None,
        _option(
            "--binary",
            "HOST:PORT",
            _DOORS,
            "Where increments come in by UDP; port 0 takes a free one. Default 127.0.0.1:8128.",
        ),
    ] = None,
    http: Annotated[
        str | None,
        _option("--http", "HOST:PORT", _DOORS, "Where HTTP is served. Default 127.0.0.1:8127."),
    ] = None,
    udp_workers: Annotated[
        str | None,
        _option(
            "--udp-workers",
            "N",
            _UDP,
            "Native threads that read UDP, 0 to 64; 0 reads on the event loop, which suits small machines. Default 1.",
        ),
    ] = None,
    udp_rcvbuf: Annotated[
        str | None,
        _option(
            "--udp-rcvbuf",
            "SIZE",
            _UDP,
            "Receive buffer of each UDP socket; the server says if the kernel grants less. Default 64MiB.",
        ),
    ] = None,
    max_counters: Annotated[
        str | None,
        _option("--max-counters", "N", _LIMITS, "Names held; more are refused and counted. Default 10000000."),
    ] = None,
    max_memory: Annotated[
        str | None,
        _option("--max-memory", "SIZE", _LIMITS, "Memory for names and totals, such as 512MB or 2GiB. Default 1GiB."),
    ] = None,
    max_types: Annotated[
        str | None, _option("--max-types", "N", _LIMITS, "Types held, up to 65535. Default 4096.")
    ] = None,
    max_sources: Annotated[
        str | None,
        _option("--max-sources", "N", _LIMITS, "Senders in the loss ledger; the idle make room. Default 65536."),
    ] = None,
    shards: Annotated[
        str | None,
        _option("--shards", "N", _LIMITS, "Parts of the store, each with a lock: a power of two to 256. Default 8."),
    ] = None,
    sample_size: Annotated[
        str | None, _option("--sample-size", "N", _MEMBERS, "Members in the sample of a name, 1 to 4096. Default 100.")
    ] = None,
    event_size: Annotated[
        str | None,
        _option("--event-size", "N", _MEMBERS, "Sampled events a type and flush interval, 0 to 65536. Default 1000."),
    ] = None,
    secret_file: Annotated[
        Path | None,
        _option(
            "--secret-file",
            "FILE",
            _MEMBERS,
            "32 hex digits that decide which members samples keep, the same on all nodes. Without it they are made "
            "once and kept in --data-dir, or are new at every start. Default none.",
        ),
    ] = None,
    keys: Annotated[
        Path | None,
        _option(
            "--keys",
            "FILE",
            _SIGNED,
            "Keys of signed frames, a line of ID and HEX each; frames under other keys are refused. Default none.",
        ),
    ] = None,
    require_signature: Annotated[
        bool | None,
        typer.Option(
            "--require-signature/--no-require-signature",
            rich_help_panel=_SIGNED,
            show_default=False,
            help="Refuse binary frames without a signature, over UDP and HTTP. Default no.",
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        _option(
            "--data-dir",
            "DIR",
            _RUN,
            "Directory of this server alone: created, locked, and told who runs in "
            "server.json; keeps the secret of samples. Counts are not kept in it yet. Default none.",
        ),
    ] = None,
    log_level: Annotated[
        str | None,
        _option(
            "--log-level", "LEVEL", _RUN, "debug, info, warning or error; logs go to standard error. Default info."
        ),
    ] = None,
    ready_json: Annotated[
        bool | None,
        typer.Option(
            "--ready-json/--no-ready-json",
            rich_help_panel=_RUN,
            show_default=False,
            help="Print the open addresses as one line of JSON on standard output, nothing else. Default no.",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        _option("--config", "FILE", _RUN, "Configuration file. Default ./fastcount.toml if there is one."),
    ] = None,
) -> None:
    """Run the server until SIGTERM or Ctrl-C, then count what is still in its sockets.

    Each option is also an environment variable (--max-memory: FASTCOUNT_MAX_MEMORY) and a key of fastcount.toml
    (max_memory = "2GiB"); a flag comes before the environment, the environment before the file.
    """  # fmt: skip
    flags = {name: value for name, value in locals().items() if name != "config"}
    from fastcount.config import load_settings

    settings = load_settings(flags, config)
    from fastcount.server import ready_line, run

    raise typer.Exit(run(settings, ready_line if settings.ready_json else lambda card: _banner(card, settings)))


def _banner(card: dict[str, object], settings: "Settings") -> None:
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    url = f"http://{_reachable(str(card['http']))}"
    binary = _reachable(str(card["binary"]))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    readers = f"{settings.udp_workers} native" if settings.udp_workers else "event loop"
    rows = [
        ("http", f"http://{card['http']}    API: {url}/docs"),
        ("binary", f"{card['binary']}/udp    read by: {readers}"),
        ("count", f"curl -X POST {url}/v1/counter/hits/home/increment"),
        ("read", f"curl {url}/v1/counter/hits/home"),
        ("by UDP", f"fastcount send hits home --binary {binary} --http {url.removeprefix('http://')}"),
        ("stop", "Ctrl-C"),
    ]
    for name, text in rows:
        table.add_row(name, Text(text))
    try:
        out = console()
        if out.is_terminal:
            out.print(Panel(table, title=f"fastcount {card['version']}", title_align="left", expand=False))
        else:
            print(f"fastcount {card['version']}", *(f"{name:8}{text}" for name, text in rows), sep="\n", flush=True)
    except BrokenPipeError:
        pass  # nobody reads along; serve all the same


def _reachable(address: str) -> str:
    """An address to type: what listens on every interface is reached on this machine by loopback."""
    host, port = parse_host_port(address)
    return str(HostPort({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example:  fastcount serve --http 0.0.0.0:8127 --max-memory 4GiB --udp-workers 2")(serve)
