"""What the commands share: output that suits both people and pipes, and how addresses are given."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fastcount.address import HostPort, parse_host_port
from fastcount.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

BINARY = "127.0.0.1:8128"
HTTP = "127.0.0.1:8127"

HttpOption = Annotated[
    str, typer.Option("--http", metavar="HOST:PORT", envvar="FASTCOUNT_HTTP", help="The server's HTTP address.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, as the server gave it.")]


def fail(message: str) -> None:
    """One line on standard error. What a terminal would take as a command in it is shown as an escape."""
    line = " ".join(message.split())
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)
    print(f"fastcount: {safe}", file=sys.stderr)


def console(*, stderr: bool = False) -> "Console":
    """A rich console that prints text as it is: ids hold brackets and colons."""
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True)


def door(flag: str, text: str) -> HostPort:
    """Parse the value of `flag`. Raises ConfigError that names it."""
    try:
        address = parse_host_port(text)
    except ConfigError as error:
        raise ConfigError(f"{flag}: {error}") from None
    if address.port == 0:
        raise ConfigError(f"{flag} {text}: port 0 is for serve; say the port that the server printed")
    return address


def print_json(value: Any) -> None:
    """One JSON document; ids stay readable."""
    print(json.dumps(value, ensure_ascii=not _utf8_out(), indent=2 if sys.stdout.isatty() else None))


def _utf8_out() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
