"""Requests about the engine itself: who it is, how it does, what it may use, its end."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from engine.control.schema_request import Empty, Request

VERSION = 1


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    started_at: float
    listen: list[str]
    """HOST:PORT of each listening socket."""
    torrents: int
    peers: int
    down_rate: int
    up_rate: int
    downloaded: int
    uploaded: int
    down_limit: int
    up_limit: int
    disk_queue: int
    """Jobs that wait for a disk thread."""
    is_isolated: bool
    way_out: str = ""
    """By what everything must leave, as "tun0" or "socks5://10.0.0.1:1080", without user names and
    passwords; empty: as the system likes."""
    waiting: str = ""
    """Why nothing can leave now, as "waiting for tun0" or "waiting for the proxy 10.0.0.1:1080:
    Connection refused"; empty while it can."""
    dht_nodes: int | None = None
    """Nodes in the tables of our DHT nodes; None = the DHT is off."""
    reachability: str = "unknown"
    """reachable: strangers have connected to us; firewalled: none does, though many know us."""
    external: list[str] = []
    """HOST:PORT at which others see us, as far as that is known."""
    port_mapping: str = ""
    """How the router leads our port to us, or why it does not; empty when it is not asked."""


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """loop, ports, disk, storage, state."""
    is_ok: bool
    text: str
    """What was found."""


class Hello(Request, frozen=True, kw_only=True):
    """First request of a connection."""

    METHOD = "hello"
    version: int = VERSION
    client: str = ""

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        version: int
        engine: str
        """Name and version, as "seedwright 0.1.0"."""
        pid: int

    reply: ClassVar[Any] = Reply


class Status(Request, frozen=True, kw_only=True):
    METHOD = "session.status"
    reply: ClassVar[Any] = SessionStatus


class GetHealth(Request, frozen=True, kw_only=True):
    """Look whether the engine can do its work; it can if all checks are ok."""

    METHOD = "session.health"
    reply: ClassVar[Any] = list[HealthCheck]


class SetLimits(Request, frozen=True, kw_only=True):
    """Set rate limits, of the session or of one torrent; None leaves one as it is, 0 lifts it."""

    METHOD = "session.limits"
    torrent: str | None = None
    down: int | None = None
    up: int | None = None

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        down: int
        up: int

    reply: ClassVar[Any] = Reply


class Shutdown(Request, frozen=True, kw_only=True):
    METHOD = "session.shutdown"
    reply: ClassVar[Any] = Empty
