"""The bundled tracker as a whole: settings, sockets, servers, allow-list (BEP 3, 15, 48).

Runs alone or inside another program's loop. Owns its sockets and one task; all it knows is in
memory, since peers announce themselves again after a restart, or in a Valkey that it shares.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from engine.core.compact import Endpoint, endpoint, split_host_port
from engine.core.identifiers import InfoHash
from engine.errors import InputError, SettingsError
from engine.tracker.announce import AnnouncePolicy
from engine.tracker.http_server import LOOPBACK, HttpServer, Trust
from engine.tracker.shared_swarms import SharedSwarms
from engine.tracker.statistics import Statistics
from engine.tracker.swarm_table import Limits, SwarmTable
from engine.tracker.swarms import OwnSwarms, Swarms
from engine.tracker.udp_protocol import UdpProtocol
from engine.tracker.udp_server import UdpServer

_SWEEP_S = 15.0
_MAX_ALLOW_LIST_BYTES = 64 * 1024 * 1024
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrackerSettings:
    """What a tracker can be told."""

    http: str | None = "127.0.0.1:6969"
    """HOST:PORT of announces over HTTP and of the statistics page; None is off, port 0 any port,
    `[::]` IPv4 as well."""
    udp: str | None = "127.0.0.1:6969"
    """HOST:PORT of announces over UDP; None is off."""
    interval_s: int = 1800
    """Seconds between a peer's announces."""
    min_interval_s: int = 60
    """Seconds before which a peer must not announce again."""
    expiry_s: float | None = None
    """Seconds of silence after which a peer is forgotten; None is two intervals and two minutes."""
    default_numwant: int = 50
    """Peers in a reply to who does not say how many."""
    max_numwant: int = 200
    """Most peers in a reply."""
    allow_list: Path | None = None
    """File of the torrents served: an info-hash in hex a line, comments after `#`; None is any."""
    show_torrents: bool = True
    """Whether the page and a scrape without info-hash say which torrents are served."""
    trust_ip_from: tuple[str, ...] = LOOPBACK
    """Networks that may announce another address than their own; loopback unless changed."""
    trust_forwarded_from: tuple[str, ...] = ()
    """Networks of reverse proxies whose X-Forwarded-For is believed."""
    max_connections: int = 1_000
    """HTTP connections open at once."""
    limits: Limits = field(default_factory=Limits)
    shared: str | None = None
    """URL of the Valkey or Redis that keeps the swarms for several trackers; None keeps them in
    memory."""

    def check(self) -> None:
        """Raise SettingsError for values that make no tracker."""
        if self.http is None and self.udp is None:
            raise SettingsError("a tracker needs an HTTP or a UDP address")
        if not 0 < self.min_interval_s <= self.interval_s <= 86_400:
            raise SettingsError("0 < min_interval_s <= interval_s <= 86400 is required")
        if not 0 <= self.default_numwant <= self.max_numwant <= 1_000:
            raise SettingsError("0 <= default_numwant <= max_numwant <= 1000 is required")
        if self.expiry_s is not None and self.expiry_s <= 0:
            raise SettingsError("expiry_s must be more than 0")

    @property
    def effective_expiry_s(self) -> float:
        return 2 * self.interval_s + 120 if self.expiry_s is None else self.expiry_s


class TrackerAddresses(NamedTuple):
    """Where a started tracker listens."""

    http: Endpoint | None
    udp: Endpoint | None

    @property
    def announce_urls(self) -> list[str]:
        urls = []
        if self.http is not None:
            urls.append(f"http://{self.http}/announce")
        if self.udp is not None:
            urls.append(f"udp://{self.udp}/announce")
        return urls


class TrackerApp:
    """A tracker: `start`, look at `addresses`, `stop`; or `async with`."""

    def __init__(
        self,
        settings: TrackerSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """Raises SettingsError. `clock` is monotonic seconds."""
        settings.check()
        self._settings = settings
        self._clock = clock
        policy = AnnouncePolicy(
            settings.interval_s,
            settings.min_interval_s,
            settings.default_numwant,
            settings.max_numwant,
        )
        self.statistics = Statistics(clock())
        rng = rng or random.Random()
        expiry_s = settings.effective_expiry_s
        self.table = SwarmTable(rng, expiry_s=expiry_s, limits=settings.limits)
        """What is in memory; empty where swarms are shared."""
        self._shared: SharedSwarms | None = None
        if settings.shared is not None:
            self._shared = SharedSwarms(
                settings.shared, rng, expiry_s=expiry_s, limits=settings.limits
            )
        self._swarms: Swarms = self._shared or OwnSwarms(self.table)
        trust = Trust(settings.trust_ip_from, settings.trust_forwarded_from)
        self._http = HttpServer(
            self._swarms,
            policy,
            self.statistics,
            clock,
            trust=trust,
            show_torrents=settings.show_torrents,
            max_connections=settings.max_connections,
        )
        self._secret = os.urandom(32)
        self._protocol = UdpProtocol(
            self._swarms,
            policy,
            self.statistics,
            self._secret,
            may_name_ip=trust.ip_parameter_check(),
        )
        self._udp = UdpServer(self._protocol, clock)
        self._sweeper: asyncio.Task[None] | None = None
        self._addresses = TrackerAddresses(None, None)

    @property
    def addresses(self) -> TrackerAddresses:
        """Where it listens, with the ports that the system chose; empty before `start`."""
        return self._addresses

    async def start(self) -> None:
        """Read the allow-list and listen. Raises InputError, and leaves nothing open then; also
        when shared swarms cannot be reached."""
        await self.reload_allow_list()
        settings = self._settings
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            if self._shared is not None:
                await self._shared.open()
                await self._agree(self._shared)
            http_socket = udp_socket = http = udp = None
            if settings.udp is not None:
                udp_socket, udp = await _bind(settings.udp, socket.SOCK_DGRAM)
                undo.callback(udp_socket.close)
            if settings.http is not None:
                http_socket, http = await _bind(settings.http, socket.SOCK_STREAM)
                undo.callback(http_socket.close)
            if udp_socket is not None:
                await self._udp.start(udp_socket)
            if http_socket is not None:
                await self._http.start(http_socket, udp=udp)
            self._sweeper = asyncio.create_task(self._sweep(), name="tracker-sweep")
            self._addresses = TrackerAddresses(http, udp)
            undo.pop_all()

    async def stop(self) -> None:
        """Close every socket and end the task; a second call does nothing."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None
        await self._udp.stop()
        await self._http.stop()
        if self._shared is not None:
            await self._shared.close()

    async def reload_allow_list(self) -> None:
        """Read the allow-list again. Raises InputError, and the list in force stays."""
        if self._settings.allow_list is not None:
            self._swarms.allow(await read_allow_list(self._settings.allow_list))

    async def __aenter__(self) -> TrackerApp:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.table.expire(self._clock())
            if self._shared is not None:
                await self._agree(self._shared)

    async def _agree(self, shared: SharedSwarms) -> None:
        secret = await shared.agree(self._secret)
        if secret != self._secret:
            self._secret = secret
            self._protocol.use_secret(secret)


async def run_tracker(
    settings: TrackerSettings, *, started: Callable[[TrackerApp], None] | None = None
) -> None:
    """Run a tracker until SIGINT or SIGTERM; SIGHUP reads the allow-list again.

    `started` is called once it listens. Raises SettingsError or InputError.
    """
    loop = asyncio.get_running_loop()
    stop, reload = asyncio.Event(), asyncio.Event()
    async with TrackerApp(settings) as app, asyncio.TaskGroup() as tasks:
        reloading = tasks.create_task(_reload_when_told(app, reload))
        wanted = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: reload}
        for number, event in wanted.items():
            loop.add_signal_handler(number, event.set)
        try:
            if started is not None:
                started(app)
            await stop.wait()
        finally:
            for number in wanted:
                loop.remove_signal_handler(number)
            reloading.cancel()


async def _reload_when_told(app: TrackerApp, told: asyncio.Event) -> None:
    while True:
        await told.wait()
        told.clear()
        try:
            await app.reload_allow_list()
        except InputError as error:
            _log.warning("allow-list unchanged: %s", error)
        else:
            _log.info("allow-list read again")


async def read_allow_list(path: Path) -> frozenset[bytes]:
    """Read info-hashes in hex, one a line; a v2 hash counts by its first 20 bytes, as on the wire.

    Raises InputError that names the line.
    """
    try:
        text = await asyncio.to_thread(_read, path)
    except OSError as error:
        raise InputError(f"allow-list {path}: {error.strerror}") from error
    if len(text) > _MAX_ALLOW_LIST_BYTES:
        raise InputError(f"allow-list {path}: more than {_MAX_ALLOW_LIST_BYTES} bytes")
    hashes = set()
    for number, line in enumerate(text.splitlines(), 1):
        if entry := line.partition("#")[0].strip():
            try:
                hashes.add(bytes(InfoHash.parse(entry)[:20]))
            except InputError as error:
                raise InputError(f"allow-list {path}, line {number}: {error}") from error
    return frozenset(hashes)


def _read(path: Path) -> str:
    """For a thread, which closes the file whatever becomes of who waits for it."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(_MAX_ALLOW_LIST_BYTES + 1)


async def _bind(address: str, kind: socket.SocketKind) -> tuple[socket.socket, Endpoint]:
    """Bind HOST:PORT; `[::]` takes IPv4 too. Raises SettingsError."""
    host, port = split_host_port(address)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)
        family, _, _, _, resolved = min(found, key=lambda entry: entry[0] != socket.AF_INET)
        sock = socket.socket(family, kind)
        try:
            sock.setblocking(False)
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
            sock.bind(resolved)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise SettingsError(f"cannot listen on {address}: {error.strerror or error}") from error
    bound = sock.getsockname()
    return sock, endpoint(bound[0], bound[1])
