"""Addresses as people type them, and as the ledger keeps them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastcount.address import (
    HostPort,
    format_packed,
    format_sockaddr,
    pack_address,
    pack_http_address,
    parse_host_port,
)
from fastcount.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8128", "127.0.0.1", 8128),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
        (" 0.0.0.0:1 ", "0.0.0.0", 1),
    ],
)
def test_parse(text: str, host: str, port: int) -> None:
    parsed = parse_host_port(text)
    assert parsed == HostPort(host, port)
    assert str(parsed) == text.strip()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("8128", "127.0.0.1:8128"),
        ("localhost", "localhost:8128"),
        ("", "127.0.0.1:8128"),
        (":8128", "0.0.0.0:8128"),
        ("::1:8128", "brackets"),
        ("[::1]", "brackets"),
        ("[hello]:1", "not an IPv6 address"),
        ("a:65536", "0 (the system chooses one) to 65535"),
        ("a:-1", "65535"),
        ("a:", "65535"),
        ("a:1٣", "65535"),
        ("http://127.0.0.1:8127", "brackets"),
        ("a b:1", "blanks"),
    ],
)
def test_parse_refuses_and_says_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint.replace("[", r"\[").replace("(", r"\(").replace(")", r"\)")):
        parse_host_port(text)


@given(st.ip_addresses(v=4), st.integers(0, 65535))
def test_pack_ipv4(ip: ipaddress.IPv4Address, port: int) -> None:
    packed = b"4" + ip.packed + port.to_bytes(2, "big")
    assert pack_address((str(ip), port)) == packed
    assert pack_address((f"::ffff:{ip}", port, 0, 0)) == packed
    assert pack_http_address(str(ip)) == b"h4" + ip.packed
    assert format_packed(packed) == f"{ip}:{port}"
    assert format_packed(b"h4" + ip.packed) == f"http {ip}"


@given(st.ip_addresses(v=6).filter(lambda ip: ip.ipv4_mapped is None), st.integers(0, 65535))
def test_pack_ipv6(ip: ipaddress.IPv6Address, port: int) -> None:
    assert pack_address((str(ip), port, 0, 0)) == b"6" + ip.packed + port.to_bytes(2, "big")
    assert pack_http_address(str(ip)) == b"h6" + ip.packed
    assert ipaddress.ip_address(format_packed(b"h6" + ip.packed).removeprefix("http ")) == ip
    shown = parse_host_port(format_packed(pack_address((str(ip), port, 0, 0))))
    assert (ipaddress.ip_address(shown.host), shown.port) == (ip, port)


@given(st.binary(max_size=23))
def test_any_bytes_can_be_shown(packed: bytes) -> None:
    assert format_packed(packed).isascii()


def test_scope_is_left_out_and_a_peer_without_address_is_empty() -> None:
    assert pack_address(("fe80::1%lo", 1, 0, 1)) == pack_address(("fe80::1", 1, 0, 0))
    assert pack_http_address("testclient") == b""


def test_the_ledger_shows_what_was_packed() -> None:
    from fastcount import wire
    from fastcount._core import Store

    store = Store()
    frame = wire.build([wire.Record(wire.INC, b"t", b"a")])
    for address in (pack_address(("127.0.0.1", 40123)), pack_address(("::1", 7, 0, 0)), pack_http_address("127.0.0.1")):
        store.apply(frame, address)
    assert {row["address"] for row in store.sources()} == {"127.0.0.1:40123", "[::1]:7", "http 127.0.0.1"}


def test_format_sockaddr() -> None:
    assert format_sockaddr(("::1", 8128, 0, 0)) == "[::1]:8128"
    assert format_sockaddr(("127.0.0.1", 8128)) == "127.0.0.1:8128"
