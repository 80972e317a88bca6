"""Figures as a table on the terminal and as JSON in bench/results/."""

import json
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.figures import Figure

RESULTS = Path(__file__).resolve().parent / "results"


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def note(figure: Figure) -> str:
    """What one should know before believing a figure."""
    notes, detail = [], figure.detail
    if detail.get("limited_by") == "generator":
        notes.append("the generator was the limit")
    if (share := detail.get("server_cpu_share")) is not None:
        notes.append(f"{detail['lost']} of {detail['sent']:,} lost, server had {share:.0%} of its core")
        if share < 0.8 and detail.get("records_per_cpu_s"):
            notes.append(
                f"others used it too; {detail['records_per_cpu_s'] / 1e6:.3g} M records a second of processor time"
            )
    if (cpu_ratio := detail.get("cpu_ratio")) is not None:
        notes.append(f"by processor time {cpu_ratio:.2f}")
    if (spread := detail.get("spread", 0)) > 0.2:
        notes.append(f"runs differ by {spread:.0%}")
    return "; ".join(notes)


def table(figures: list[Figure]) -> Table:
    """A row a figure, in the order given, a rule between parts."""
    out = Table(title="fastcount bench", caption="ratio: figure / beside it")
    for heading in ("part", "what"):
        out.add_column(heading, overflow="fold")
    for heading in ("figure", "beside it", "ratio", "target"):
        out.add_column(heading, justify="right", no_wrap=True)
    for heading in ("", "what is beside it; notes"):
        out.add_column(heading, overflow="fold")
    for at, figure in enumerate(figures):
        last = at + 1 == len(figures) or figures[at + 1].part != figure.part
        target = "" if figure.target is None else ("≤ " if figure.less else "≥ ") + number(figure.target)
        verdict = {None: "", True: "[green]met[/]", False: "[red]missed[/]"}[figure.met]
        words = "; ".join(filter(None, [figure.against, note(figure)]))
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        value = f"{number(figure.value)} {figure.unit}"
        row = (figure.part, figure.name, value, number(figure.against_value), ratio, target, verdict, words)
        out.add_row(*row, end_section=last)
    return out


def write(figures: list[Figure], machine: dict[str, Any], broken: dict[str, str], quick: bool) -> Path:
    """The whole result as JSON, in a file named after the time and as latest.json. Its path."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    now = time.time()
    result = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "quick": quick,
        "machine": machine,
        "broken": broken,
        "figures": [figure.to_json() for figure in figures],
    }
    text = json.dumps(result, indent=1) + "\n"
    path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json", time.gmtime(now))
    path.write_text(text)
    (RESULTS / "latest.json").write_text(text)
    return path


def show(figures: list[Figure], machine: dict[str, Any], broken: dict[str, str], path: Path) -> None:
    console = Console()
    if not console.is_terminal:  # a log or a pipe: never cut a line in two
        console = Console(width=200)
    console.print(table(figures))
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), highlight=False, soft_wrap=True)
    for part, words in broken.items():
        console.print(f"[red]{part} broke:[/] ", end="")
        console.print(words, markup=False, highlight=False, soft_wrap=True)
    console.print(f"all of it, run by run: {path}", highlight=False, soft_wrap=True)
