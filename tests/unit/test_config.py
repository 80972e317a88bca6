"""Settings: precedence, refusals, and messages that name where a value came from."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcount.address import HostPort
from fastcount.config import Settings, flag_of, format_size, load_settings, parse_size, variable_of
from fastcount.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and no variables of ours."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.upper().startswith("FASTCOUNT_"):
            monkeypatch.delenv(name)


def test_flag_before_environment_before_file_before_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().max_types == 4096
    Path("fastcount.toml").write_text('max_types = 11\nmax-sources = 12\nhttp = "[::1]:0"\n')
    settings = load_settings()
    assert (settings.max_types, settings.max_sources, settings.http) == (11, 12, HostPort("::1", 0))
    monkeypatch.setenv("FASTCOUNT_MAX_TYPES", "21")
    settings = load_settings()
    assert (settings.max_types, settings.max_sources) == (21, 12)
    settings = load_settings({"max_types": "31", "max_sources": None})
    assert (settings.max_types, settings.max_sources, settings.max_counters) == (31, 12, 10_000_000)


def test_which_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in (("fastcount.toml", 1), ("env.toml", 2), ("flag.toml", 3)):
        Path(name).write_text(f"max_types = {value}")
    assert load_settings().max_types == 1
    monkeypatch.setenv("FASTCOUNT_CONFIG", str(tmp_path / "env.toml"))
    assert load_settings().max_types == 2
    assert load_settings(config=Path("flag.toml")).max_types == 3
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere\.toml: No such file"):
        load_settings(config=Path("nowhere.toml"))


def test_every_setting_from_each_place(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "binary": ("[::1]:1", HostPort("::1", 1)),
        "http": ("localhost:2", HostPort("localhost", 2)),
        "data_dir": ("~/x", Path.home() / "x"),
        "udp_workers": ("0", 0),
        "udp_rcvbuf": ("1MB", 1_000_000),
        "max_counters": ("1_000", 1000),
        "max_memory": ("1.5 GiB", 3 << 29),
        "max_types": ("65535", 65_535),
        "max_sources": ("9", 9),
        "shards": ("256", 256),
        "sample_size": ("4096", 4096),
        "event_size": ("0", 0),
        "keys": ("~/keys", Path.home() / "keys"),
        "require_signature": ("true", True),
        "secret_file": ("secret", Path("secret")),
        "log_level": ("DEBUG", "debug"),
        "ready_json": ("true", True),
    }
    assert set(values) == set(Settings.model_fields)
    wanted = {name: value for name, (_, value) in values.items()}
    assert load_settings({name: text for name, (text, _) in values.items()}).model_dump() == wanted
    for name, (text, _) in values.items():
        monkeypatch.setenv(variable_of(name), text)
    assert load_settings().model_dump() == wanted
    for name in values:
        monkeypatch.delenv(variable_of(name))
    lines = (f"{name} = {text if text == 'true' else repr(text)}" for name, (text, _) in values.items())
    Path("fastcount.toml").write_text("\n".join(lines))
    assert load_settings().model_dump() == wanted


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("binary", "8128", "only a port"),
        ("udp_workers", "-1", "greater than or equal to 0"),
        ("udp_workers", "65", "less than or equal to 64"),
        ("udp_workers", "two", "valid integer"),
        ("udp_rcvbuf", "64MX", "not a size"),
        ("max_memory", "-1", "not a size"),
        ("max_memory", "1KiB", "greater than or equal to 1048576"),
        ("max_counters", "0", "greater than or equal to 1"),
        ("max_types", "65536", "less than or equal to 65535"),
        ("shards", "12", "power of two"),
        ("shards", "512", "less than or equal to 256"),
        ("shards", "x", "valid integer"),
        ("sample_size", "0", "greater than or equal to 1"),
        ("sample_size", "4097", "less than or equal to 4096"),
        ("event_size", "-1", "greater than or equal to 0"),
        ("event_size", "65537", "less than or equal to 65536"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("ready_json", "perhaps", "valid boolean"),
    ],
)
def test_a_bad_value_is_named_with_its_place(name: str, text: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as error:
        load_settings({name: text})
    assert str(error.value).startswith(f"{flag_of(name)} {text}: ")
    assert why in str(error.value)
    monkeypatch.setenv(variable_of(name), text)
    with pytest.raises(ConfigError) as error:
        load_settings()
    assert str(error.value).startswith(f"{variable_of(name)}={text}: ")
    monkeypatch.delenv(variable_of(name))
    value = "'perhaps'" if name == "ready_json" else repr(text)
    Path("fastcount.toml").write_text(f"{name} = {value}")
    with pytest.raises(ConfigError, match=re.escape("fastcount.toml: " + name)):
        load_settings()


def test_all_faults_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        load_settings({"shards": "3", "max_types": "0"})
    assert "--shards 3:" in str(error.value)
    assert "--max-types 0:" in str(error.value)


@pytest.mark.parametrize(
    ("toml", "why"),
    [
        ("max_type = 1", "unknown key 'max_type'; did you mean max_types?"),
        ("zzz = 1", "known are binary, http"),
        ("[serve]\nshards = 2", "unknown key 'serve'"),
        ("max-types = 1\nmax_types = 1", "there twice"),
        ("udp_workers = true", "wrong kind"),
        ("shards = ", "not valid TOML"),
        ("udp_workers = 1.5", "integer"),
        ("udp_workers = []", "integer"),
        ("max_memory = {}", "not a size"),
    ],
)
def test_a_bad_file(toml: str, why: str) -> None:
    Path("fastcount.toml").write_text(toml)
    with pytest.raises(ConfigError, match=r"fastcount\.toml") as error:
        load_settings()
    assert why in str(error.value)


def test_a_file_that_is_not_text() -> None:
    Path("fastcount.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_settings()


def test_unknown_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTCOUNT_MAX_MEM", "1GiB")
    with pytest.raises(ConfigError, match="FASTCOUNT_MAX_MEM; did you mean FASTCOUNT_MAX_MEMORY"):
        load_settings()


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    others = {
        "FASTCOUNT_DATA": "/x",
        "FASTCOUNT_SANITIZE": "1",
        "FASTCOUNT_SERVICE_HOST": "10.0.0.1",
        "FASTCOUNT_SERVICE_PORT": "8127",
        "FASTCOUNT_SERVICE_PORT_HTTP": "8127",
        "FASTCOUNT_PORT": "tcp://10.0.0.1:8127",
        "FASTCOUNT_PORT_8127_TCP_ADDR": "10.0.0.1",
        "FASTCOUNT_UDP_SERVICE_HOST": "10.0.0.1",
        "FASTCOUNT_UDP_PORT": "udp://10.0.0.1:8128",
        "FASTCOUNT_MAX_TYPES": "",
        "FASTCOUNT_KEY": "of `send`",
    }
    for name, value in others.items():
        monkeypatch.setenv(name, value)
    assert load_settings().model_dump() == Settings.model_construct().model_dump()
    monkeypatch.setenv("FASTCOUNT_PORT", "8127")
    with pytest.raises(ConfigError, match="FASTCOUNT_PORT"):
        load_settings()


@given(st.integers(0, 1 << 50))
def test_sizes_read_back(size: int) -> None:
    assert parse_size(format_size(size)) == size
    assert parse_size(size) == size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1GiB", 1 << 30), ("512MB", 512_000_000), ("64m", 64 << 20), ("1 kB", 1000), ("0.5K", 512), ("7", 7), ("7b", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "1 PiB", "-5", "1e9", "0x10", "1..5G", "1GiB2", True, None, "١"])
def test_no_sizes(text: object) -> None:
    with pytest.raises(ConfigError, match="not a size"):
        parse_size(text)


def shown(name: str) -> str:
    """A default, as people write it."""
    value = getattr(load_settings(), name)
    if name in ("udp_rcvbuf", "max_memory"):
        return format_size(value)
    return "none" if value is None else "false" if value is False else str(value)


def test_the_documentation_has_every_option_with_its_default() -> None:
    text = (ROOT / "docs/configuration.md").read_text()
    rows = re.findall(r"^\| `(--[a-z-]+)(?: [A-Z:]+)?` \| `(\w+)` \| `(\w+)` \| (\S+) \|", text, re.MULTILINE)
    documented = {key: (flag, variable, default.strip("`")) for flag, variable, key, default in rows}
    assert documented == {name: (flag_of(name), variable_of(name), shown(name)) for name in Settings.model_fields}


def test_the_help_of_serve_has_every_option_with_its_default() -> None:
    import typer.main

    from fastcount.cli import app

    serve = typer.main.get_command(app).commands["serve"]  # type: ignore[attr-defined]
    options = {option.name: option for option in serve.params}
    assert set(options) == set(Settings.model_fields) | {"config"}
    for name in Settings.model_fields:
        assert options[name].opts == [flag_of(name)]
        default = shown(name).replace("false", "no")
        assert f"Default {default}." in options[name].help
