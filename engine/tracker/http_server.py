"""The tracker over HTTP: /announce, /scrape, the statistics page and /stats.json (BEP 3, 48).

Speaks aiohttp's low-level server, whose road per announce is short. Limits: open connections, the
length of a request line, idle and half-sent requests, and readers that stop reading. What a client
may say about its own address is decided by `Trust`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from engine.core.compact import Endpoint, endpoint
from engine.errors import InputError, SettingsError, TrackerFailure
from engine.tracker.announce import (
    AnnouncePolicy,
    encode_failure,
    encode_reply,
    encode_scrape,
    pack_host,
    parse_announce,
    parse_scrape,
)
from engine.tracker.statistics import Statistics
from engine.tracker.stats_page import (
    CONTENT_SECURITY_POLICY,
    TrackerStats,
    encode_json,
    render_page,
)
from engine.tracker.swarm_table import Chosen
from engine.tracker.swarms import Census, Swarms

MAX_SCRAPE = 100
"""Info-hashes named in one scrape."""
MAX_FULL_SCRAPE = 1_000
"""Torrents of a scrape that names none."""
LARGEST_SHOWN = 50
LOOPBACK = ("127.0.0.0/8", "::1")
_IDLE_S = 20.0
"""How long a connection may stay without a complete request."""
_STUCK_READER_MS = 30_000
_STATS_AGE_S = 1.0
_SHUTDOWN_S = 2.0
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_PAGE_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_log = logging.getLogger(__name__)


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Whether it is our failure: requests that are no HTTP come by the thousand and are theirs."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


_log.addFilter(_is_worth_logging)


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word about an address counts; networks as text (`10.0.0.0/8`, `::1`)."""

    ip_parameter: Sequence[str] = LOOPBACK
    """Who may announce another address with `ip` (or the field of BEP 15)."""
    forwarded: Sequence[str] = ()
    """Reverse proxies whose X-Forwarded-For names the asker."""

    def ip_parameter_check(self) -> Callable[[bytes], bool]:
        """Make the question about a packed address. Raises SettingsError."""
        return _membership(self.ip_parameter)

    def forwarded_check(self) -> Callable[[bytes], bool]:
        """Make the question about a packed address. Raises SettingsError."""
        return _membership(self.forwarded)


def _membership(networks: Sequence[str]) -> Callable[[bytes], bool]:
    try:
        parsed = [ipaddress.ip_network(network, strict=False) for network in networks]
    except ValueError as error:
        raise SettingsError(f"not a network: {error}") from error

    def contains(host: bytes) -> bool:
        if not parsed:
            return False
        address = ipaddress.ip_address(host)
        return any(address in network for network in parsed)

    return contains


class HttpServer:
    """Serves one listening socket."""

    def __init__(
        self,
        swarms: Swarms,
        policy: AnnouncePolicy,
        statistics: Statistics,
        clock: Callable[[], float],
        *,
        trust: Trust | None = None,
        show_torrents: bool = True,
        max_connections: int = 1_000,
    ) -> None:
        self._swarms = swarms
        self._policy = policy
        self._statistics = statistics
        self._clock = clock
        trust = trust or Trust()
        self._may_name_ip = trust.ip_parameter_check()
        self._is_proxy = trust.forwarded_check()
        self._trusts_proxies = bool(trust.forwarded)
        self._show_torrents = show_torrents
        self._max_connections = max_connections
        self._udp: Endpoint | None = None
        self._server: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._stats: TrackerStats | None = None
        self._stats_at = 0.0

    async def start(self, sock: socket.socket, *, udp: Endpoint | None = None) -> None:
        """Serve the listening socket; `udp` is where the UDP tracker is, for the page to say."""
        self._udp = udp
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # Inherited by accepted connections: the kernel cuts off who stops reading.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK_READER_MS)
        self._server = web.Server(
            self._handle,
            access_log=None,
            logger=_log,
            keepalive_timeout=_IDLE_S,
            lingering_time=0,
            max_line_size=8190,
            max_field_size=4096,
            max_headers=64,
            read_bufsize=16 * 1024,
        )
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._accept, sock=sock, backlog=1024)

    async def stop(self) -> None:
        """Stop listening and end all connections; takes two seconds at most."""
        if self._listener is not None:
            self._listener.close()
            await self._listener.wait_closed()
        if self._server is not None:
            self._server.pre_shutdown()
            await self._server.shutdown(_SHUTDOWN_S)
        self._listener = self._server = None

    async def statistics(self) -> TrackerStats:
        """Gather the figures of this moment, at most once a second however often they are asked.
        Raises TrackerFailure."""
        now = self._clock()
        if self._stats is None or now - self._stats_at >= _STATS_AGE_S:
            self._stats_at = now
            self._stats = await self._gather(now)
        return self._stats

    def _accept(self) -> asyncio.Protocol:
        assert self._server is not None
        if len(self._server.connections) >= self._max_connections:
            self._statistics.failed_connections += 1
            return _Refusal()
        return self._server()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405, text="GET only\n", headers={"Allow": "GET, HEAD"})
        match path:
            case "/announce":
                return await self._bencoded(self._announce(request, query))
            case "/scrape":
                return await self._bencoded(self._scrape(query))
            case "/":
                try:
                    page = render_page(await self.statistics(), self._announce_urls(request))
                except TrackerFailure as failure:
                    return web.Response(status=503, text=f"{failure}\n")
                return web.Response(
                    body=page, content_type="text/html", charset="utf-8", headers=_PAGE_HEADERS
                )
            case "/stats.json":
                try:
                    found = encode_json(await self.statistics())
                except TrackerFailure as failure:
                    return web.Response(status=503, text=f"{failure}\n")
                return web.Response(
                    body=found,
                    content_type="application/json",
                    headers={"Cache-Control": "no-store"},
                )
        return web.Response(status=404, text="not here: try /announce, /scrape or /\n")

    async def _bencoded(self, answer: Awaitable[bytes]) -> web.Response:
        """Answer with 200 even when refusing: clients read `failure reason` only there (BEP 3)."""
        try:
            body = await answer
        except TrackerFailure as failure:
            self._statistics.refused += 1
            body = encode_failure(failure)
        return web.Response(body=body, content_type="text/plain")

    async def _announce(self, request: web.BaseRequest, query: str) -> bytes:
        host = self._asker(request)
        now = self._clock()
        parsed = parse_announce(
            query,
            host,
            self._policy,
            may_name_ip="&ip=" in "&" + query and self._may_name_ip(host),
        )
        chosen = self._swarms.announce(parsed.announce, now)
        if not isinstance(chosen, Chosen):
            chosen = await chosen
        self._statistics.count_announce(now, is_udp=False)
        return encode_reply(chosen, parsed, self._policy)

    async def _scrape(self, query: str) -> bytes:
        hashes = parse_scrape(query, MAX_SCRAPE)
        now = self._clock()
        if hashes:
            counts = self._swarms.counts(hashes, now)
            if not isinstance(counts, list):
                counts = await counts
        elif not self._show_torrents:
            raise TrackerFailure("name the torrents to scrape", retry_in_s=None)
        else:
            census = await self._census(MAX_FULL_SCRAPE, now)
            if census.torrents > MAX_FULL_SCRAPE or census.largest is None:
                raise TrackerFailure("too many torrents to scrape all: name some", retry_in_s=None)
            counts = census.largest
        self._statistics.http_scrapes += 1
        return encode_scrape(counts)

    async def _census(self, most: int, now: float) -> Census:
        census = self._swarms.census(most, now)
        return census if isinstance(census, Census) else await census

    def _asker(self, request: web.BaseRequest) -> bytes:
        """Find who asks, packed; behind a trusted proxy, the last that it vouches for."""
        transport = request.transport
        peername = None if transport is None else transport.get_extra_info("peername")
        if not peername:
            raise TrackerFailure("the connection is gone", retry_in_s=None)
        host = pack_host(peername[0])
        if self._trusts_proxies and self._is_proxy(host):
            # Each proxy appends who it heard from: read from the back until an unknown hand.
            hops = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
            for hop in reversed(hops):
                try:
                    host = endpoint(hop.strip().strip("[]"), 1).packed_host()
                except InputError:
                    break
                if not self._is_proxy(host):
                    break
        return host

    def _announce_urls(self, request: web.BaseRequest) -> list[str]:
        """Say where the tracker is under the name by which this reader reached it."""
        named = request.headers.get("Host", "")
        if not _HOST.fullmatch(named):
            sockname = request.transport and request.transport.get_extra_info("sockname")
            if not sockname:
                return []
            named = str(Endpoint(sockname[0], sockname[1]))
        scheme = "http"
        if self._trusts_proxies and self._is_proxy(self._socket_host(request)):
            forwarded = request.headers.get("X-Forwarded-Proto", "")
            scheme = "https" if forwarded == "https" else "http"
        urls = [f"{scheme}://{named}/announce"]
        if self._udp is not None:
            name = re.sub(r":\d+$", "", named)
            urls.append(f"udp://{name}:{self._udp.port}/announce")
        return urls

    def _socket_host(self, request: web.BaseRequest) -> bytes:
        peername = request.transport and request.transport.get_extra_info("peername")
        return pack_host(peername[0]) if peername else b"\0\0\0\0"

    async def _gather(self, now: float) -> TrackerStats:
        counted = self._statistics
        census = await self._census(LARGEST_SHOWN, now)
        return TrackerStats(
            uptime_s=int(now - counted.started_at),
            torrents=census.torrents,
            peers=census.peers,
            seeds=census.seeds,
            leechers=census.leechers,
            ipv6_peers=census.ipv6_peers,
            downloads=census.downloads,
            http_announces=counted.http_announces,
            udp_announces=counted.udp_announces,
            http_scrapes=counted.http_scrapes,
            udp_scrapes=counted.udp_scrapes,
            refused=counted.refused,
            ignored=counted.ignored,
            announces_per_minute=counted.per_minute(now),
            interval_s=self._policy.interval_s,
            is_open=self._swarms.is_open,
            largest=census.largest if self._show_torrents else None,
        )


class _Refusal(asyncio.Protocol):
    """Closes a connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, whatever they promise.
        cast(asyncio.WriteTransport, transport).abort()
