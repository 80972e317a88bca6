"""The server's life: start → run → drain → stop.

Start opens every door before anything is announced; one that cannot be opened ends the start with a message that says
which and why. A first SIGTERM or SIGINT closes the doors, counts what the sockets still hold, and exits 0; a second
SIGINT exits at once. A UDP worker that dies takes the server down with a non-zero status: half-deaf is worse than down.
"""

import asyncio
import contextlib
import errno
import gc
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

import uvicorn
import uvloop

from fastcount._core import Store
from fastcount.address import HostPort, format_sockaddr
from fastcount.config import Settings, flag_of, format_size
from fastcount.datadir import DataDir
from fastcount.errors import ConfigError, FastcountError
from fastcount.ingest.udp import UdpDoor, open_sockets, rcvbuf_of
from fastcount.keyring import read_keys, read_secret
from fastcount.version import VERSION

log = logging.getLogger("fastcount")

DRAIN_SECONDS = 10.0  # for what is in flight when the server is told to stop
BACKLOG = 2048
KEEP_ALIVE = 75  # seconds; longer than the 60 after which proxies let go of an idle connection
NOFILE = 1 << 20
SPARE_FILES = 128  # that connections must leave for everything else
_T = TypeVar("_T")


def run(settings: Settings, on_ready: Callable[[dict[str, object]], None] | None = None) -> int:
    """Serve until a signal; returns the exit status. on_ready: called once, when all doors are open, with the card
    that `--ready-json` prints: http, binary, pid, version (and data_dir if there is one). Raises FastcountError."""
    _set_up_logging(settings.log_level)
    _raise_nofile()
    with contextlib.ExitStack() as stack:
        data_dir = None
        if settings.data_dir is not None:
            data_dir = DataDir(settings.data_dir)
            stack.callback(data_dir.close)
        secrets = _secrets(settings, data_dir)
        udp = _open("binary", settings.binary, lambda door: _open_udp(door, settings))
        stack.callback(_close, udp)
        http = _open("http", settings.http, _open_http)
        stack.callback(_close, [http])
        try:
            store = Store(
                max_counters=settings.max_counters,
                max_memory=settings.max_memory,
                max_types=settings.max_types,
                max_sources=settings.max_sources,
                shards=settings.shards,
                sample_size=settings.sample_size,
                event_size=settings.event_size,
                require_signature=settings.require_signature,
                **secrets,
            )
        except (ValueError, MemoryError) as error:
            raise FastcountError(f"the store cannot be made: {error}") from None
        server = Server(settings, store, udp, http, data_dir)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(server.serve(on_ready or (lambda card: None)))


class Server:
    """What runs on the loop between start and stop."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        udp: list[socket.socket],
        http: socket.socket,
        data_dir: DataDir | None,
    ) -> None:
        self._http_socket = http
        self._data_dir = data_dir
        self._failure: str | None = None
        self._told_to_stop = asyncio.Event()
        self._udp = UdpDoor(store, udp, workers=settings.udp_workers, on_death=self._fail)
        self._card: dict[str, object] = {
            "http": format_sockaddr(http.getsockname()),
            "binary": format_sockaddr(self._udp.sockname),
            "pid": os.getpid(),
            "version": VERSION,
        }
        if data_dir is not None:
            self._card["data_dir"] = str(data_dir.path)
        self._uvicorn = uvicorn.Server(self._http_config(store))

    def _http_config(self, store: Store) -> uvicorn.Config:
        from fastcount.api.hot import protocol_class
        from fastcount.api.http import create_app

        app = create_app(store, started=time.time(), udp_stats=self._udp.stats, clock=time.time)
        return uvicorn.Config(
            app,
            http=protocol_class(app.state),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE,
            limit_concurrency=max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES),
            timeout_graceful_shutdown=int(DRAIN_SECONDS),
        )

    async def serve(self, on_ready: Callable[[dict[str, object]], None]) -> int:
        """Run until told to stop, drain, and return the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._on_signal, number)
        # uvicorn's own serve() would take the signals; these are its steps (the version is pinned)
        self._uvicorn.config.load()
        self._uvicorn.lifespan = self._uvicorn.config.lifespan_class(self._uvicorn.config)
        await self._uvicorn.startup(sockets=[self._http_socket])
        ticking = asyncio.create_task(self._uvicorn.main_loop())
        ticking.add_done_callback(self._http_ended)
        self._udp.start()
        # what was loaded so far stays: a large body of JSON must not make the collector walk over it again and again,
        # since the loop stands still meanwhile (measured: 1.0 s against 0.4 s for 8 MiB of empty lists)
        gc.freeze()
        gc.set_threshold(100_000, 50, 50)
        if self._data_dir is not None:
            self._data_dir.announce(self._card)
        log.info("serving http on %s, binary on %s/udp", self._card["http"], self._card["binary"])
        on_ready(self._card)
        await self._told_to_stop.wait()
        self._uvicorn.should_exit = True
        drained = await self._drain(ticking)
        if self._failure is not None:
            log.critical("stopped: %s", self._failure)
            return 1
        return 0 if drained else 1

    async def _drain(self, ticking: asyncio.Task[None]) -> bool:
        """Close the doors and finish what came through them."""
        drained, *_ = await asyncio.gather(self._udp.stop(DRAIN_SECONDS), ticking)
        await self._uvicorn.shutdown(sockets=[self._http_socket])
        if not drained:
            log.error("UDP could not be drained within %.0f s; what its sockets still held is lost", DRAIN_SECONDS)
        totals = {key: sum(row[key] for row in self._udp.stats()) for key in ("datagrams", "frames", "kernel_drops")}
        log.info(
            "drained: %d datagrams, %d frames, %d dropped by the kernel",
            totals["datagrams"],
            totals["frames"],
            totals["kernel_drops"],
        )
        return drained

    def _on_signal(self, number: signal.Signals) -> None:
        if self._told_to_stop.is_set() and number == signal.SIGINT:
            log.warning("second SIGINT: exiting at once, without draining")
            logging.shutdown()
            os._exit(128 + number)
        if not self._told_to_stop.is_set():
            log.info("%s: draining", number.name)
        self._told_to_stop.set()

    def _fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._told_to_stop.set()

    def _http_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or not self._told_to_stop.is_set():
            self._fail("the HTTP server ended by itself")
        elif error := task.exception():
            self._fail(f"the HTTP server failed: {error}")


class Secrets(TypedDict):
    """What `Store` takes of them."""

    keys: dict[int, bytes] | None
    secret: bytes | None


def _secrets(settings: Settings, data_dir: DataDir | None) -> Secrets:
    """Those of the files that the settings name, or of the data directory. Raises ConfigError, FastcountError."""
    keys = read_keys(settings.keys, log.warning) if settings.keys is not None else None
    if settings.require_signature and keys is None:
        raise ConfigError("--require-signature without --keys would refuse every frame; say which keys are good")
    secret: bytes | None
    if settings.secret_file is not None:
        secret = read_secret(settings.secret_file, log.warning)
    else:
        secret = data_dir.secret(log.warning) if data_dir is not None else None
    return {"keys": keys, "secret": secret}


def ready_line(card: dict[str, object]) -> None:
    """`--ready-json`: the card as one line on standard output."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(card), flush=True)


def _open_udp(door: HostPort, settings: Settings) -> list[socket.socket]:
    workers = settings.udp_workers
    sockets = open_sockets(door, max(workers, 1), settings.udp_rcvbuf, gro=workers > 0)
    granted = rcvbuf_of(sockets[0])
    if granted < settings.udp_rcvbuf:
        log.warning(
            "the UDP receive buffer is %s, not the %s asked for: bursts may be dropped (they are counted); "
            "raise it with `sysctl -w net.core.rmem_max=%d`, or lower --udp-rcvbuf",
            format_size(granted),
            format_size(settings.udp_rcvbuf),
            settings.udp_rcvbuf,
        )
    else:
        log.debug("UDP receive buffer: %s a socket", format_size(granted))
    return sockets


def _open_http(door: HostPort) -> socket.socket:
    family, _, _, _, sockaddr = socket.getaddrinfo(door.host, door.port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier run may linger
        sock.bind(sockaddr)
        sock.listen(BACKLOG)  # at once: two that are only bound may share a port
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def _open(name: str, door: HostPort, opener: Callable[[HostPort], _T]) -> _T:
    flag = flag_of(name)
    try:
        return opener(door)
    except socket.gaierror as error:
        raise FastcountError(f"{flag} {door}: no such host: {error.strerror}") from None
    except PermissionError:
        raise FastcountError(f"{flag} {door}: not permitted; ports below 1024 need root, choose a higher one") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise FastcountError(
                f"{flag} {door}: the address is taken by another program; stop that one, choose another port, "
                f"or let the system choose: {flag} {HostPort(door.host, 0)}"
            ) from None
        raise FastcountError(f"{flag} {door}: {error.strerror}") from None


def _close(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def _raise_nofile() -> None:
    """A connection is a file: take as many as the hard limit lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = NOFILE if hard == resource.RLIM_INFINITY else min(hard, NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _set_up_logging(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root: Any = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    if level != "debug":
        logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its "Shutting down" is said by us
        logging.getLogger("asyncio").setLevel(logging.WARNING)
