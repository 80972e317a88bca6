"""The bench's report: a table for people, JSON for everything else."""

import io
import json
from pathlib import Path

import pytest
from bench import report
from bench.figures import Figure
from rich.console import Console

FIGURES = [
    Figure("udp", "1 k names", 25.25, "M/s", "peer", 12.5, 20.0, detail={"lost": 0, "sent": 10, "server_cpu_share": 1}),
    Figure("udp", "1 M names", 4.0, "M/s", "peer", 2.0, 10.0, detail={"limited_by": "generator", "spread": 0.5}),
    Figure("latency", "p99", 4.9, "ms", target=5.0, less=True),
    Figure("micro", "read", 1234.5, "k/s"),
]


def test_the_table_says_what_was_met_and_what_to_doubt() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(report.table(FIGURES))
    lines = {words: line for line in console.export_text().splitlines() for words in line.split("│")}
    rows = {name.strip(): line for name, line in lines.items()}
    assert "met" in rows["1 k names"]
    assert "2.02" in rows["1 k names"]
    assert "missed" in rows["1 M names"]
    assert "the generator was the limit; runs differ by 50%" in rows["1 M names"]
    assert "≤ 5" in rows["p99"]
    assert "met" in rows["p99"]
    assert "1,234 k/s" in rows["read"]
    assert "met" not in rows["read"]
    assert "missed" not in rows["read"]


def test_the_json_holds_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    path = report.write(FIGURES, {"cpu": "x"}, {"http": "nginx is not installed"}, quick=True)
    found = json.loads(path.read_text())
    assert found == json.loads((tmp_path / "results" / "latest.json").read_text())
    assert [figure["met"] for figure in found["figures"]] == [True, False, True, None]
    assert found["figures"][0]["ratio"] == pytest.approx(2.02)
    assert (found["machine"], found["broken"]) == ({"cpu": "x"}, {"http": "nginx is not installed"})
