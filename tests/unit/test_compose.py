"""Dockerfile and docker-compose.yml say what the code says: no engine is needed to see that."""

import ast
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from fastcount._core import Store
from fastcount.address import parse_host_port
from fastcount.api.http import create_app
from fastcount.config import Settings, load_settings, variable_of

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SERVICE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["fastcount"]
IMAGE_ENV = dict(
    pair.split("=", 1) for line in re.findall(r"^ENV (.*)$", DOCKERFILE, re.MULTILINE) for pair in line.split()
)
PORTS = {f"{Settings.model_fields[name].default.port}/{kind}" for name, kind in (("http", "tcp"), ("binary", "udp"))}


@pytest.mark.parametrize("env", [IMAGE_ENV, SERVICE["environment"]], ids=["image", "compose"])
def test_the_environment_is_one_that_the_server_takes(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in env.items():
        assert name in {variable_of(field) for field in Settings.model_fields}
        monkeypatch.setenv(name, value)
    settings = load_settings()
    for door, default in ((settings.http, "http"), (settings.binary, "binary")):
        assert door == ("0.0.0.0", Settings.model_fields[default].default.port)


def test_ports() -> None:
    assert set(re.findall(r"\d+/\w+", *re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE))) == PORTS
    inside = set()
    for published in SERVICE["ports"]:
        address, _, port = published.rpartition(":")
        inside.add(port)
        assert parse_host_port(address) == ("127.0.0.1", int(port.partition("/")[0]))
    assert inside == PORTS


def test_the_health_check_asks_what_is_there() -> None:
    kind, python, flag, program = SERVICE["healthcheck"]["test"]
    assert (kind, python, flag) == ("CMD", "python", "-c")
    urls = [node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant)]
    url = urlsplit(next(url for url in urls if isinstance(url, str)))
    assert url.port == Settings.model_fields["http"].default.port
    assert url.path in create_app(Store(max_counters=1), started=0.0, udp_stats=list).openapi()["paths"]


def test_what_the_image_copies_and_runs() -> None:
    assert re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) == [". /source", "--from=build /wheels /wheels"]
    assert re.findall(r"^CMD (.*)$", DOCKERFILE, re.MULTILINE) == ['["fastcount", "serve"]']
    assert SERVICE["build"] == "."
    ignored = set((ROOT / ".dockerignore").read_text().split())
    assert {".git", "**/*.so", "build"} <= ignored  # what was compiled for this machine is not for the image's
    versions = re.findall(r"^FROM python:(\d+)\.(\d+)-slim", DOCKERFILE, re.MULTILINE)
    lowest = re.search(r'requires-python = ">=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text())
    assert lowest
    assert len(set(versions)) == 1
    assert tuple(map(int, versions[0])) >= tuple(map(int, lowest.groups()))
