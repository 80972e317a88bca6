"""`get`, `unique`, `sample`, `top` and `stats`: questions to a running server over HTTP."""

import enum
import sys
from typing import Annotated, Any

import typer

from fastcount.cli.common import HTTP, HttpOption, JsonOption, console, door, print_json
from fastcount.names import id_bytes, type_bytes


class By(enum.StrEnum):
    """What `top` ranks by."""

    VALUE = "value"
    UNIQUE = "unique"


TypeArgument = Annotated[str, typer.Argument(metavar="TYPE", help="What kind of thing is counted, such as hits.")]


IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Which one, such as /home; as it is, nothing is escaped.")
]


def get(
    type: TypeArgument,
    id: IdArgument,
    http: HttpOption = HTTP,
    json: JsonOption = False,
) -> None:
    """Print the total of one name. A name that was never counted is 0."""
    type_bytes(type)
    id_bytes(id)
    from fastcount.rest import Rest, counter_path

    with Rest(door("--http", http)) as rest:
        answer = rest.get(counter_path(type, id))
    if json:
        print_json(answer)
        return
    print(answer["value"])
    if answer.get("lost"):
        print(f"note: {answer['lost']:,} records, of any name, were sent and never arrived", file=sys.stderr)


def unique(
    type: TypeArgument,
    id: Annotated[
        str | None, typer.Argument(metavar="ID", help="Which one; without it all names of TYPE together.")
    ] = None,
    http: HttpOption = HTTP,
    json: JsonOption = False,
) -> None:
    """Print how many different members one name has, or all names of a type together."""
    type_bytes(type)
    if id is not None:
        id_bytes(id)
    from fastcount.rest import Rest, counter_path

    with Rest(door("--http", http)) as rest:
        answer = rest.get(f"/v1/unique/{type}" if id is None else counter_path(type, id, "/unique"))
    if json:
        print_json(answer)
        return
    print(answer["unique"])
    if answer["error"]:
        print(f"note: an estimate, with a standard error of {answer['error']:.2%}", file=sys.stderr)


def sample(
    type: TypeArgument,
    id: IdArgument,
    http: HttpOption = HTTP,
    json: JsonOption = False,
) -> None:
    """List some of the members of one name, each with the same chance to be there, a line each."""
    type_bytes(type)
    id_bytes(id)
    from fastcount.rest import Rest, counter_path

    with Rest(door("--http", http)) as rest:
        answer = rest.get(counter_path(type, id, "/sample"))
    if json:
        print_json(answer)
        return
    sys.stdout.writelines(f"{member}\n" for member in answer["sample"])
    if not answer["complete"]:
        sys.stdout.flush()
        print(f"note: {len(answer['sample']):,} of about {answer['distinct']:,} members", file=sys.stderr)


def top(
    type: TypeArgument,
    k: Annotated[int, typer.Option("-k", "--k", min=1, max=10_000, help="How many.")] = 10,
    by: Annotated[By, typer.Option(help="Rank by the total, or by how many different members there are.")] = By.VALUE,
    http: HttpOption = HTTP,
    json: JsonOption = False,
) -> None:
    """List the names with the largest totals or the most different members. In a pipe: number, tab, id."""
    type_bytes(type)
    from fastcount.rest import Rest

    with Rest(door("--http", http)) as rest:
        answer = rest.get(f"/v1/top/{type}?k={k}&by={by.value}")
    if json:
        print_json(answer)
        return
    rows = answer["top"]
    if not sys.stdout.isatty():
        sys.stdout.writelines(f"{row[by.value]}\t{row['id']}\n" for row in rows)
        return
    if not rows:
        print(f"nothing of type {type} was counted yet")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("#", "total" if by is By.VALUE else "uniques", "id", box=None, header_style="bold")
    table.columns[0].justify = table.columns[1].justify = "right"
    table.columns[2].overflow = "fold"
    for rank, row in enumerate(rows, 1):
        table.add_row(str(rank), f"{row[by.value]:,}", Text(row["id"]))
    console().print(table)


def stats(http: HttpOption = HTTP, json: JsonOption = False) -> None:
    """Show what the server counts about itself: the store, the UDP workers, the senders' losses."""
    from fastcount.rest import Rest

    with Rest(door("--http", http)) as rest:
        answer = rest.get("/v1/stats")
        sources = rest.get("/v1/sources?limit=1")
    answer = answer | {"sources": sources.get("totals", {})}
    if json:
        print_json(answer)
        return
    flat = list(_flatten(answer))
    width = max((len(name) for name, _ in flat), default=0)
    for name, value in flat:
        print(f"{name:<{width}}  {value:,}" if isinstance(value, int) else f"{name:<{width}}  {value}")


def _flatten(value: Any, name: str = "") -> Any:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and value and all(isinstance(inner, dict | list) for inner in value):
        for index, inner in enumerate(value):
            yield from _flatten(inner, f"{name}.{index}")
    else:
        yield name, value


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog="Example:  fastcount get hits /favicon.ico")(get)
    app.command(epilog="Examples:  fastcount unique hits /favicon.ico    ·    fastcount unique hits")(unique)
    app.command(epilog="Example:  fastcount sample hits /favicon.ico | head")(sample)
    app.command(epilog="Examples:  fastcount top hits -k 20 | awk '{print $2}'    ·    fastcount top hits --by unique")(
        top
    )
    app.command(epilog="Example:  fastcount stats --json | jq .udp")(stats)
