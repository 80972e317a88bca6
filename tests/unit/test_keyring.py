"""Secrets in files: what is read back, and messages that name file and line but never the secret."""

import re
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastcount.datadir import DataDir
from fastcount.errors import ConfigError, FastcountError
from fastcount.keyring import MAX_FILE, create_secret, read_key, read_keys, read_secret

KEY = "0123456789abcdefABCDEF0123456789"
same_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def silent(message: str) -> None:
    raise AssertionError(message)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Only its owner can read it."""
    path = tmp_path / "keys"
    path.touch(0o600)
    return path


blanks = st.text(" \t", min_size=1, max_size=3)
comments = st.sampled_from(["", " # web servers", "\t#", " # 1 00ff", "\r", " #é"])


@same_file
@given(st.dictionaries(st.integers(0, 255), st.binary(min_size=16, max_size=64), min_size=1), st.data())
def test_keys_read_back(file: Path, keys: dict[int, bytes], data: st.DataObject) -> None:
    lines = []
    for key_id, key in keys.items():
        lines += data.draw(st.lists(st.sampled_from(["", "  ", "# 1 00", "\t# x"]), max_size=2))
        text = data.draw(st.sampled_from([key.hex(), key.hex().upper()]))
        lines.append(f"{data.draw(st.sampled_from(['', ' ']))}{key_id}{data.draw(blanks)}{text}{data.draw(comments)}")
    file.write_text("\n".join(lines) + data.draw(st.sampled_from(["", "\n"])), encoding="utf-8")
    assert read_keys(file, silent) == keys
    some_id = data.draw(st.sampled_from(sorted(keys)))
    assert read_key(f"{some_id}:{file}", silent) == (some_id, keys[some_id])
    if len(keys) == 1:
        assert read_key(str(file), silent) == (some_id, keys[some_id])


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (KEY, 1, "a key id and a key in hex are wanted"),
        (f"1 {KEY} {KEY}", 1, "a key id and a key in hex are wanted"),
        (f"# one\n\n256 {KEY}", 3, "from 0 to 255"),
        (f"-1 {KEY}", 1, "from 0 to 255"),
        (f"٣ {KEY}", 1, "from 0 to 255"),
        (f"{'9' * 5000} {KEY}", 1, "from 0 to 255"),
        (f"{KEY} 1", 1, "from 0 to 255"),
        (f"1 {KEY}\n01 {KEY}", 2, "key 1 is there already"),
        (f"1 {KEY[:-2]}", 1, "32 to 128 hex digits, an even number of them, not 30"),
        (f"1 {KEY}f", 1, "an even number of them, not 33"),
        (f"1 {KEY * 4}ff", 1, "not 130"),
        (f"1 {KEY[:-1]}g", 1, "something in it is none"),
        (f"1 0x{KEY}", 1, "something in it is none"),
        (f"1 {KEY}#", 1, "something in it is none"),
        (f"1 {KEY}\n2 \udcff{KEY}", 2, "something in it is none"),
    ],
)
def test_a_bad_line_is_named_and_not_shown(file: Path, text: str, line: int, why: str) -> None:
    file.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as error:
        read_keys(file, silent)
    assert str(error.value).startswith(f"{file}, line {line}: ")
    assert why in str(error.value)
    assert KEY[16:28] not in str(error.value)


def test_files_that_hold_nothing(file: Path, tmp_path: Path) -> None:
    for text in ("", "\n \n# 1 00\n"):
        file.write_text(text)
        with pytest.raises(ConfigError, match="there is no key in it"):
            read_keys(file, silent)
        with pytest.raises(ConfigError, match="it is empty"):
            read_secret(file, silent)
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        for read in (read_keys, read_secret):
            with pytest.raises(ConfigError, match=f"cannot read {re.escape(str(path))}: {why}"):
                read(path, silent)
    file.write_bytes(b"\n" * (MAX_FILE + 1))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        read_keys(file, silent)


@pytest.mark.parametrize(
    ("mode", "open_"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True), (0o620, True)]
)
def test_others_may_not_read_it(file: Path, mode: int, open_: bool) -> None:
    file.write_text(f"1 {KEY}")
    file.chmod(mode)
    said: list[str] = []
    assert read_keys(file, said.append) == {1: bytes.fromhex(KEY)}
    assert said == ([f"{file} is open to other users of this machine; close it: chmod 600 {file}"] if open_ else [])


def test_which_key(file: Path) -> None:
    file.write_text(f"1 {KEY}\n7 {KEY}")
    with pytest.raises(ConfigError, match=rf"holds the keys 1, 7; say which: 1:{re.escape(str(file))}"):
        read_key(str(file), silent)
    with pytest.raises(ConfigError, match="there is no key 2 in it, but 1, 7"):
        read_key(f"2:{file}", silent)


def test_secrets(file: Path) -> None:
    for text in (KEY, f"# ours\n  {KEY} # not theirs\n\n"):
        file.write_text(text)
        assert read_secret(file, silent) == bytes.fromhex(KEY)
    for text, line, why in (
        (KEY + "00", 1, "32 hex digits"),
        (f"\n{KEY[:-1]}", 2, "not 31"),
        ("x" * 32, 1, "is none"),
        (f"{KEY}\n\n{KEY}", 3, "nothing after it"),
        (f"{KEY} {KEY}", 1, "is none"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError) as error:
            read_secret(file, silent)
        assert str(error.value).startswith(f"{file}, line {line}: ")
        assert why in str(error.value)
        assert KEY[16:28] not in str(error.value)


def test_a_new_secret_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    (tmp_path / "secret.new").write_text("of a start that was killed")
    secret = create_secret(path)
    assert len(secret) == 16
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_secret(path, silent) == secret
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]
    assert create_secret(tmp_path / "other") != secret


def test_a_data_directory_keeps_its_secret(tmp_path: Path) -> None:
    for _ in range(2):
        directory = DataDir(tmp_path / "data")
        try:
            first, second = directory.secret(silent), directory.secret(silent)
        finally:
            directory.close()
        assert first == second == read_secret(tmp_path / "data" / "secret", silent)
    (tmp_path / "data" / "secret").write_text("")  # damaged: samples made under it would be lost by a new one
    directory = DataDir(tmp_path / "data")
    try:
        with pytest.raises(FastcountError, match="secret: it is empty"):
            directory.secret(silent)
    finally:
        directory.close()
