"""Settings of the server: from flags, the environment and ``fastcount.toml``, in this order of precedence.

One name a setting, in three spellings: ``--max-memory 2GiB``, ``FASTCOUNT_MAX_MEMORY=2GiB``, ``max_memory = "2GiB"``.
An unknown key, or an unknown variable with our prefix, is an error: a setting that is silently ignored is worse than
a server that does not start. Every message names the place that the value came from.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from fastcount.address import HostPort, parse_host_port
from fastcount.errors import ConfigError

PREFIX = "FASTCOUNT_"
CONFIG_FILE = "fastcount.toml"
# Variables with our prefix that are not settings of the server: the build's switches, the tests' data, --config itself,
# the key of `send` and `load`.
OTHER_VARIABLES = frozenset(
    PREFIX + name for name in ("CONFIG", "DATA", "DEBUG", "KEY", "LINETRACE", "PURE", "SANITIZE")
)
# What Kubernetes and Docker links put into every pod beside a service called `fastcount`.
_SERVICE_LINK = re.compile(PREFIX + r"(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)")
_SERVICE_URL = re.compile(r"(tcp|udp|sctp)://")

_UNITS = {"": 1, "b": 1} | {
    prefix + unit: base**power
    for power, prefix in enumerate("kmgt", 1)
    for unit, base in (("", 1024), ("ib", 1024), ("b", 1000))
}
_SIZE = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_size(value: object) -> int:
    """Bytes: a number, or text such as ``1GiB``, ``512MB``, ``1.5 GiB``, ``64M`` (M = MiB). Raises ConfigError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.fullmatch(str(value).strip())
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ConfigError(f"{value!r} is not a size; write bytes, or a number and a unit: 512MB, 1GiB, 64MiB")
    number = match[1].replace("_", "")
    return int(float(number) * factor) if "." in number else int(number) * factor


def format_size(size: int) -> str:
    """The shortest exact spelling that `parse_size` reads back: 67108864 → ``64MiB``."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        factor = _UNITS[unit.lower()]
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def _size(value: object) -> int:
    try:
        return parse_size(value)
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _host_port(value: object) -> HostPort:
    if isinstance(value, HostPort):
        return value
    try:
        return parse_host_port(str(value))
    except ConfigError as error:
        raise ValueError(str(error)) from None


def _power_of_two(value: object) -> object:
    try:
        number = int(str(value))
    except ValueError:
        return value  # the integer check that comes next says it better
    if number < 1 or number & (number - 1):
        raise ValueError(f"{number} is not a power of two; take 1, 2, 4, … 256")
    return number


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _path(value: object) -> object:
    return Path(value).expanduser() if isinstance(value, str | Path) else value


Door = Annotated[HostPort, NoDecode, BeforeValidator(_host_port)]
Size = Annotated[int, BeforeValidator(_size)]


class Settings(BaseSettings):
    """Everything `fastcount serve` can be told. docs/configuration.md explains each; a test holds the two together."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    binary: Door = HostPort("127.0.0.1", 8128)
    http: Door = HostPort("127.0.0.1", 8127)
    data_dir: Annotated[Path | None, BeforeValidator(_path)] = None
    udp_workers: Annotated[int, Field(ge=0, le=64)] = 1
    udp_rcvbuf: Annotated[Size, Field(ge=4096, le=1 << 30)] = 64 << 20
    max_counters: Annotated[int, Field(ge=1, le=1 << 40)] = 10_000_000
    max_memory: Annotated[Size, Field(ge=1 << 20, le=1 << 46)] = 1 << 30
    max_types: Annotated[int, Field(ge=1, le=65_535)] = 4096
    max_sources: Annotated[int, Field(ge=1, le=1 << 24)] = 65_536
    shards: Annotated[int, BeforeValidator(_power_of_two), Field(le=256)] = 8
    sample_size: Annotated[int, Field(ge=1, le=4096)] = 100
    event_size: Annotated[int, Field(ge=0, le=65_536)] = 1000
    keys: Annotated[Path | None, BeforeValidator(_path)] = None
    require_signature: bool = False
    secret_file: Annotated[Path | None, BeforeValidator(_path)] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    ready_json: bool = False


def flag_of(name: str) -> str:
    """``max_memory`` → ``--max-memory``"""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """``max_memory`` → ``FASTCOUNT_MAX_MEMORY``"""
    return PREFIX + name.upper()


def load_settings(flags: Mapping[str, object] | None = None, config: Path | None = None) -> Settings:
    """Put the settings together. flags: name → value, None for what was not given. config: a file that must exist;
    without it ``$FASTCOUNT_CONFIG``, and then ``./fastcount.toml`` if there is one. Raises ConfigError."""
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    if config is None and os.environ.get(PREFIX + "CONFIG"):
        config = Path(os.environ[PREFIX + "CONFIG"])
    if config is None and Path(CONFIG_FILE).is_file():
        config = Path(CONFIG_FILE)
    file = _read_toml(config) if config is not None else {}
    _check_environment()

    class Loaded(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, InitSettingsSource(settings_cls, init_kwargs=file)

    def origin(name: str) -> str:
        if name in given:
            return f"{flag_of(name)} {given[name]}"
        for variable, value in os.environ.items():
            if variable.upper() == variable_of(name) and value:
                return f"{variable}={value}"
        return f"{config}: {name} = {file[name]!r}"

    try:
        return Loaded(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError("; ".join(f"{origin(str(e['loc'][0]))}: {_reason(e)}" for e in error.errors())) from None


def _reason(error: Any) -> str:
    cause = error.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return str(cause)
    message: str = error["msg"]
    return message[0].lower() + message[1:]


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def _read_toml(path: Path) -> dict[str, object]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    known = list(Settings.model_fields)
    settings: dict[str, object] = {}
    for key, value in raw.items():
        name = key.replace("-", "_")
        if name not in known:
            raise ConfigError(f"{path}: unknown key {key!r}{_nearest(name, known)}")
        if name in settings:
            raise ConfigError(f"{path}: {name} is there twice, spelled with - and with _")
        if isinstance(value, bool) != (Settings.model_fields[name].annotation is bool):  # else true would pass as 1
            raise ConfigError(f"{path}: {name} = {value!r} is of the wrong kind; see docs/configuration.md")
        settings[name] = value
    return settings


def _check_environment() -> None:
    known = [variable_of(name) for name in Settings.model_fields]
    for variable, value in os.environ.items():
        name = variable.upper()
        if not name.startswith(PREFIX) or name in known or name in OTHER_VARIABLES:
            continue
        if _SERVICE_LINK.fullmatch(name) or (name.endswith("_PORT") and _SERVICE_URL.match(value)):
            continue
        raise ConfigError(f"unknown environment variable {variable}{_nearest(name, known)}")
