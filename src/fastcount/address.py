"""Addresses in two forms: what a person types (``[::1]:8128``), and the bytes under which the loss ledger keeps books.

Packed, at most 19 bytes, integers big-endian:

    UDP     b"4"  + 4 bytes of IPv4 + port u16        b"6"  + 16 bytes of IPv6 + port u16
    HTTP    b"h4" + 4 bytes of IPv4                   b"h6" + 16 bytes of IPv6   (no port: it changes by connection)

IPv4 seen through an IPv6 socket (``::ffff:192.0.2.1``) is packed as the IPv4 address it is.
"""

import socket
from functools import lru_cache
from typing import Any, NamedTuple

from fastcount.errors import ConfigError

_MAPPED = b"\0" * 10 + b"\xff\xff"


class HostPort(NamedTuple):
    """host: a name or an IP address without brackets. port: 0..65535, 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(text: str) -> HostPort:
    """``127.0.0.1:8128``, ``localhost:0``, ``[::1]:8128`` → HostPort. Raises ConfigError saying what to write."""
    text = text.strip()
    if text.isdigit():
        raise ConfigError(f"{text!r} is only a port; write HOST:PORT, for example 127.0.0.1:{text}")
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ConfigError(f"{text!r} has no port; write HOST:PORT, for example {text or '127.0.0.1'}:8128")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        except OSError:
            raise ConfigError(f"{host!r} between the brackets is not an IPv6 address; write [::1]:8128") from None
    elif ":" in host or "[" in host or "]" in host:
        raise ConfigError(f"{text!r}: an IPv6 address goes in brackets, for example [::1]:8128")
    if not host:
        raise ConfigError(
            f"{text!r} has no host; write 127.0.0.1:{port} for this machine only, or 0.0.0.0:{port} for every interface"
        )
    if any(c.isspace() or c == "/" for c in host):
        raise ConfigError(f"{text!r} is not HOST:PORT; leave out scheme, path and blanks")
    if not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ConfigError(f"{port!r} is not a port; it is a number from 0 (the system chooses one) to 65535")
    return HostPort(host, int(port))


def format_sockaddr(sockaddr: tuple[Any, ...]) -> str:
    """What `getsockname` gives, as HOST:PORT."""
    return str(HostPort(str(sockaddr[0]), int(sockaddr[1])))


def _pack_ip(host: str) -> bytes:
    if ":" not in host:
        return socket.inet_pton(socket.AF_INET, host)
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return packed[12:] if packed.startswith(_MAPPED) else packed


@lru_cache(maxsize=4096)  # the loop's UDP reader asks once a datagram, nearly always for the same few senders
def pack_address(sockaddr: tuple[Any, ...]) -> bytes:
    """The address of a UDP sender, as `socket.recvmsg` gives it → the bytes that `Store.apply` takes.

    Raises OSError if its host is not an IP address.
    """
    packed = _pack_ip(sockaddr[0])
    return (b"4" if len(packed) == 4 else b"6") + packed + int(sockaddr[1]).to_bytes(2, "big")


@lru_cache(maxsize=4096)
def pack_http_address(host: str) -> bytes:
    """The IP address of an HTTP peer → the bytes that `Store.apply` takes. Empty if it has none (a Unix socket)."""
    try:
        packed = _pack_ip(host)
    except OSError:
        return b""
    return (b"h4" if len(packed) == 4 else b"h6") + packed


def format_packed(packed: bytes) -> str:
    """What `pack_address` and `pack_http_address` gave, as a person writes it: ``127.0.0.1:40123``, ``[::1]:7``,
    ``http 127.0.0.1``. Other bytes are shown as ASCII, with escapes."""
    door, size = packed[:1], len(packed)
    if (door, size) == (b"4", 7):
        return f"{socket.inet_ntop(socket.AF_INET, packed[1:5])}:{int.from_bytes(packed[5:], 'big')}"
    if (door, size) == (b"6", 19):
        return f"[{socket.inet_ntop(socket.AF_INET6, packed[1:17])}]:{int.from_bytes(packed[17:], 'big')}"
    if (packed[:2], size) == (b"h4", 6):
        return "http " + socket.inet_ntop(socket.AF_INET, packed[2:])
    if (packed[:2], size) == (b"h6", 18):
        return "http " + socket.inet_ntop(socket.AF_INET6, packed[2:])
    return packed.decode("ascii", "backslashreplace")
