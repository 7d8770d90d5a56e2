"""What a session is told once, when it is made."""

from __future__ import annotations

import resource
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.core.proxy_address import ProxyAddress
from engine.net.connection import Transport
from engine.net.proxied_route import ProxiedRoute
from engine.net.route import Route
from engine.session.filtering import FilterOptions
from engine.storage.piece_buffers import LIMIT_BYTES
from engine.torrent.facilities import Limits

_OWN_DESCRIPTORS = 24
"""State file, control socket and its clients, listeners, trackers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DhtOptions:
    """Off unless somebody says otherwise: what is made without settings asks no stranger."""

    is_enabled: bool = False
    bootstrap: tuple[str, ...] = ()
    """HOST:PORT of nodes to join by; HOST may be a name."""
    is_read_only: bool = False
    """Ask, and never answer (BEP 43)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Plain values; engine/settings.py is where they come from."""

    listen_host: str = ""
    """Empty or 0.0.0.0: all addresses of both families. A specific one is the only address that
    any socket of the session uses."""
    interface: str = ""
    """Name of the network interface that everything goes through; empty is any."""
    name_servers: tuple[str, ...] = ()
    """ADDRESS or ADDRESS:PORT of whom to ask for names; none: whom the system asks."""
    proxy: ProxyAddress | None = None
    """Everything goes through it, and nobody is let in."""
    listen_port: int = 0
    """0 = any free one."""
    listen_port_file: Path | None = None
    """See session/port_file.py; its port counts before `listen_port`."""
    transports: frozenset[Transport] = frozenset(Transport)
    """What carries connections to peers, in both directions."""
    save_path: Path = field(default_factory=Path.cwd)
    watch_folder: Path | None = None
    """See session/watch_folder.py."""
    preallocate: bool = False
    down_limit: int = 0
    up_limit: int = 0
    """Bytes a second; 0 = none."""
    limits: Limits = field(default_factory=Limits)
    dht: DhtOptions = DhtOptions()
    lsd: bool = False
    """Find peers in the local network, by multicast; not while isolated. Off unless somebody says
    otherwise, as the DHT is."""
    port_mapping: bool = False
    """Have the router lead our port to us; not while isolated. Off unless somebody says otherwise,
    as the DHT is."""
    buffer_bytes: int = LIMIT_BYTES
    """Piece buffers of the whole session."""
    open_files: int = 0
    """Descriptors for files; 0 = a quarter of what the system allows, at most 512."""
    disk_threads: int = 2
    filter: FilterOptions = field(default_factory=FilterOptions)
    stop_timeout_s: float = 5.0
    """How long trackers are given to hear `stopped`."""

    @property
    def fitting_limits(self) -> Limits:
        """The limits, with no more connections than leave descriptors for files and for control:
        else peers could keep the user out of the engine."""
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if allowed == resource.RLIM_INFINITY:
            return self.limits
        most = max(4, (allowed - _OWN_DESCRIPTORS) // 2)
        return replace(self.limits, max_connections=min(self.limits.max_connections, most))

    def route(self) -> Route:
        """Make the way by which everything leaves. Raises SettingsError."""
        is_any = self.listen_host in ("", "0.0.0.0", "::", "*")
        host = None if is_any else self.listen_host
        if self.proxy is not None:
            return ProxiedRoute(
                self.proxy, host, interface=self.interface, name_servers=self.name_servers
            )
        return Route(host, interface=self.interface, name_servers=self.name_servers)
