"""What every torrent is given by its session: threads, buffers, sockets, clocks, limits.

Passed by constructor and shared by all torrents; nothing in it knows a torrent.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from engine.core.compact import Endpoint
from engine.core.identifiers import PeerId
from engine.core.ip_gate import IpGate
from engine.core.rates import RateEstimate
from engine.core.reachability import Reachability
from engine.net.dialer import Dialer
from engine.net.frame_pipes import FramePipes
from engine.net.route import Route
from engine.net.tracker_client import TrackerClient
from engine.storage.disk import Disk
from engine.storage.file_pool import FilePool
from engine.storage.piece_buffers import PieceBuffers
from engine.swarm.peer_list import PeerList
from engine.swarm.places import Shortage
from engine.torrent.dht_door import DhtDoor, NoDht
from engine.torrent.slabs import Slabs
from engine.torrent.throttle import SharedLimit
from engine.torrent.turn import Turn
from engine.wire.encryption_policy import EncryptionPolicy


@dataclass(frozen=True, slots=True)
class Limits:
    """The settings that a torrent works by."""

    max_connections: int = 500
    """Connected peers of the whole session."""
    max_connections_per_torrent: int = 100
    half_open: int = 50
    """Connections of the session that are being dialled."""
    upload_slots: int = 0
    """Unchoked peers of a torrent; 0 = as many as the upload rate feeds."""
    max_request_queue: int = 2000
    """Requests that a peer may have waiting with us; told as `reqq` (BEP 10)."""
    numwant: int = 80
    """Peers asked of a tracker."""
    min_announce_interval_s: float = 60.0
    """No tracker is asked more often, whatever it says."""
    encryption: EncryptionPolicy = field(default_factory=EncryptionPolicy)
    """Of connections to peers."""
    is_isolated: bool = False
    """Only explicit peers and the torrent's own trackers are used."""
    super_seed: bool = False
    """Begin to seed in disguise (BEP 16)."""
    pex: bool = True
    """Tell peers of each other, and hear of others from them (BEP 11)."""

    @property
    def exchanges_peers(self) -> bool:
        return self.pex and not self.is_isolated


@dataclass(slots=True)
class ConnectionCount:
    """Connections of the session, in use and being dialled."""

    open: int = 0
    dialling: int = 0
    shortage: Shortage = field(default_factory=Shortage)
    """Of places of the whole session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facilities:
    loop: asyncio.AbstractEventLoop
    rng: random.Random
    wall_clock: Callable[[], float]
    """Seconds since the epoch; `loop.time` is for everything that is measured."""
    peer_id: PeerId
    limits: Limits
    connections: ConnectionCount
    disk: Disk
    buffers: PieceBuffers
    slabs: Slabs
    pipes: FramePipes
    file_pool: FilePool
    dialer: Dialer
    trackers: TrackerClient
    route: Route
    """By which way everything leaves; also names are looked up by it."""
    receive_buffer: memoryview
    """Shared by all connections; see net/peer_connection.py."""
    down: SharedLimit
    up: SharedLimit
    """The session's own rate limits."""
    down_rate: RateEstimate
    up_rate: RateEstimate
    """Payload of all torrents."""
    turn: Turn = field(default_factory=Turn)
    """Of the loop."""
    listen_port: Callable[[], int]
    gate: IpGate
    """Whom we speak with at all."""
    reachability: Reachability = field(default_factory=Reachability)
    is_own_host: Callable[[str], bool]
    """True if the address is one that we listen on."""
    dht: DhtDoor = field(default_factory=NoDht)
    spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]
    """Start a task that the session owns and ends."""

    def new_peer_list(self) -> PeerList:
        """An empty list of addresses, for one torrent."""
        return PeerList(self.rng, ours=self.our_endpoints(), forbids=self.gate.forbids_learning)

    def our_endpoints(self) -> list[Endpoint]:
        """Where others see us."""
        port = self.listen_port()
        return [Endpoint(host, port) for host in self.reachability.hosts] if port else []
