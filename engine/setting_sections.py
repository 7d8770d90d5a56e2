"""Every setting there is: one dataclass for each section, with kind, default and unit of each."""

# ruff: noqa: RUF009 - _setting makes a dataclasses.field

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.core.proxy_address import ProxyAddress
from engine.network_kinds import (
    Address,
    Addresses,
    InterfaceName,
    Networks,
    OptionalAddress,
    ProxyUrl,
    Servers,
)
from engine.setting_kinds import (
    FileOrUrl,
    Kind,
    OneOf,
    OptionalPlace,
    Place,
    Rate,
    Seconds,
    Size,
    Switch,
    Whole,
)


def _setting(default: Any, kind: Kind) -> Any:
    return dataclasses.field(default=default, metadata={"kind": kind})


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """The process itself."""

    socket: Path | None = _setting(None, OptionalPlace())
    """Path of the control socket; None is $XDG_RUNTIME_DIR/seedwright/engine.sock, without that
    variable engine.sock in the standard state folder."""
    state_dir: Path | None = _setting(None, OptionalPlace())
    """Folder of the engine's database; None is $XDG_STATE_HOME/seedwright, without that variable
    ~/.local/state/seedwright."""
    log_level: str = _setting("info", OneOf(("debug", "info", "warning", "error")))
    """The least that is logged."""
    log_format: str = _setting("text", OneOf(("text", "json")))
    """How lines are written: text is for people, json is one object a line for programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """Metrics and health over HTTP, read-only."""

    listen: str = _setting("", OptionalAddress())
    """HOST:PORT that serves /metrics (Prometheus), /live and /ready; nothing is off. It has no
    password: keep it on loopback or in a network of your own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """Sockets and connections."""

    listen: str = _setting("*:6881", Address())
    """HOST:PORT that peers connect to; port 0 is any free one. `*` is all addresses of IPv4 and
    IPv6; a specific host is the only address that any socket of the engine uses."""
    listen_port_file: Path | None = _setting(None, OptionalPlace())
    """Path of a file that holds the port to listen on, as VPN port forwarders write one; it counts
    before that of network.listen, and is followed when it changes. None is no such file."""
    interface: str = _setting("", InterfaceName())
    """Name of the network interface, as tun0, that everything goes through, names too; while it is
    not there nothing does. Nothing is any interface."""
    dns: tuple[str, ...] = _setting((), Servers())
    """Addresses of name servers, as 10.8.0.1, with :PORT if it is not 53; nothing is what the
    system uses, but for servers that an interface to use does not lead to."""
    proxy: ProxyAddress | None = _setting(None, ProxyUrl())
    """socks5://USER:PASSWORD@HOST:PORT or http://HOST:PORT that everything goes through, names too;
    nothing leaves beside it and nobody is let in, also while it is not there. SOCKS5 carries uTP,
    the DHT and UDP trackers if it grants that; HTTP never does. None is no proxy."""
    transports: str = _setting("both", OneOf(("both", "tcp", "utp")))
    """both, tcp or utp: what carries connections to peers, those we make and those we take."""
    isolated: bool = _setting(False, Switch())
    """True or false: find peers only by the torrent's own trackers and by being told."""
    pex: bool = _setting(True, Switch())
    """True or false: peers tell each other of further ones (peer exchange); never in private
    torrents, nor while isolated."""
    lsd: bool = _setting(True, Switch())
    """True or false: find peers in the local network (local service discovery); never for private
    torrents, nor while isolated."""
    port_mapping: bool = _setting(True, Switch())
    """True or false: have the router lead our port to us, by UPnP, NAT-PMP or PCP; never while
    isolated."""
    max_connections: int = _setting(500, Whole(1, 100_000))
    """Peers that all torrents together are connected to; a number."""
    max_connections_per_torrent: int = _setting(100, Whole(1, 100_000))
    """Peers that one torrent is connected to; a number."""
    half_open: int = _setting(50, Whole(1, 10_000))
    """Connections that are being dialled at once; a number."""
    encryption: str = _setting("allowed", OneOf(("disabled", "allowed", "preferred", "required")))
    """One of four words, of connections to peers: disabled is never; allowed tries plain first, and
    encrypted with who refuses that; preferred the other way around; required refuses who speaks
    plain. It hides from networks that slow BitTorrent down, and is no secrecy."""
    encryption_level: str = _setting("automatic", OneOf(("automatic", "plaintext", "rc4")))
    """One of three words, how much of an encrypted connection is: plaintext is its handshake, and
    the rest only where the peer insists; rc4 is all of it, or no connection; automatic is plaintext
    where encryption is allowed, all of it if the peer can where preferred, rc4 where required."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferSettings:
    """What is sent and received."""

    down_limit: int = _setting(0, Rate())
    """Bytes a second that all torrents together receive at most; 0 is no limit."""
    up_limit: int = _setting(0, Rate())
    """Bytes a second that all torrents together send at most; 0 is no limit."""
    upload_slots: int = _setting(0, Whole(0, 10_000, zero="automatic"))
    """Peers that one torrent uploads to at once, a number; 0 is as many as the rate feeds."""
    super_seed: bool = _setting(False, Switch())
    """True or false: seed in disguise what is complete from the start, so that about one copy is
    sent until the peers hold it all (BEP 16). For whoever is the only one to have it."""
    max_request_queue: int = _setting(2000, Whole(1, 100_000))
    """Blocks that a peer may have asked for and not yet been sent, a number (`reqq`, BEP 10)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Disks and memory."""

    save_path: Path = _setting(Path("~/Downloads"), Place())
    """Folder that torrents are saved in when nothing else is said; `~` is the home folder."""
    watch_folder: Path | None = _setting(None, OptionalPlace())
    """Folder whose .torrent files, and .magnet files with a link each, are added as they appear;
    None is no such folder."""
    preallocate: bool = _setting(False, Switch())
    """True or false: reserve the space of new files; else they are sparse."""
    buffer_bytes: int = _setting(20 << 20, Size(1 << 20, 1 << 40))
    """Bytes of memory for the pieces being downloaded, of all torrents together."""
    open_files: int = _setting(0, Whole(0, 1_000_000, zero="automatic"))
    """Files held open, a number; 0 is a quarter of what the system allows, at most 512."""
    disk_threads: int = _setting(2, Whole(1, 64))
    """Threads that hash, write and read; a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackersSettings:
    """The trackers that are asked for peers."""

    numwant: int = _setting(80, Whole(0, 1000))
    """Peers asked for in one announce; a number."""
    min_interval_s: float = _setting(60.0, Seconds(1.0, 86_400.0))
    """Seconds between two announces to one tracker at least, whatever it allows."""
    stop_timeout_s: float = _setting(5.0, Seconds(0.0, 600.0))
    """Seconds that trackers are given to hear `stopped` when the engine ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DhtSettings:
    """The DHT, which finds peers without a tracker (BEP 5)."""

    enabled: bool = _setting(True, Switch())
    """True or false: take part in it. Private torrents never do, nor does an isolated engine."""
    bootstrap: tuple[str, ...] = _setting(
        (
            "dht.libtorrent.org:25401",
            "router.bittorrent.com:6881",
            "dht.transmissionbt.com:6881",
            "router.utorrent.com:6881",
        ),
        Addresses(),
    )
    """HOST:PORTs of nodes that are asked when no other node is known; HOST may be a name."""
    read_only: bool = _setting(False, Switch())
    """True or false: ask other nodes and answer none, as where traffic is dear (BEP 43)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterSettings:
    """Addresses that the engine does not speak with."""

    source: str = _setting("", FileOrUrl())
    """Path or http(s) address of a list of blocked addresses: eMule's DAT, PeerGuardian's P2P and
    P2B, plain ranges and networks; as it is, gzip or zip. Nothing is no filter. Until a list is
    loaded nobody is dialled and nobody let in; the last good one is kept in the state folder."""
    refresh_s: float = _setting(86_400.0, Seconds(60.0, 31_536_000.0))
    """Seconds until the list is read again."""
    allow: tuple[str, ...] = _setting((), Networks())
    """Addresses and networks that are never blocked, whatever the list says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings, a section for each room. Paths still have their `~` unless `merge` made it."""

    daemon: DaemonSettings = DaemonSettings()
    metrics: MetricsSettings = MetricsSettings()
    network: NetworkSettings = NetworkSettings()
    transfer: TransferSettings = TransferSettings()
    storage: StorageSettings = StorageSettings()
    trackers: TrackersSettings = TrackersSettings()
    dht: DhtSettings = DhtSettings()
    filter: FilterSettings = FilterSettings()
