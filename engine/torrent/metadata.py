"""A torrent of which only the info-hash is known: fetches its info dictionary from peers (BEP 9).

It takes part in the swarm without pieces: it dials, says that it has nothing, and asks for metadata
only. What is asked of whom is the business of swarm/metadata_fetch.py.

Other peers are heard of by peer exchange, too (BEP 11).

Invariant: what is handed on has the right hash. Peers found on the way are handed on with it.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from engine.core.compact import Endpoint, endpoint
from engine.core.magnet import Magnet
from engine.core.metainfo import Info, Metainfo
from engine.errors import InputError, PeerError, PeerTimeoutError
from engine.net.connection import Connection
from engine.swarm.metadata_fetch import MetadataFetch
from engine.swarm.peer_list import UNFIT_FOR_PRIVATE, PeerSource
from engine.torrent.calling import Calling
from engine.torrent.facilities import Facilities
from engine.torrent.metadata_peer import MetadataPeer
from engine.torrent.owner import Owner
from engine.torrent.peer_exchange import believed, heard
from engine.torrent.throttle import Throttle
from engine.wire.extensions import MAX_METADATA_BYTES
from engine.wire.handshake import Handshake

if TYPE_CHECKING:
    from engine.torrent.torrent import Torrent

log = logging.getLogger(__name__)

_MAX_PEERS: Final = 30
"""A dictionary is small: more peers would only be more to part from."""
_FEW_PEERS: Final = 3
_USELESS_S: Final = 30.0
"""Who has given nothing for so long makes room for somebody else."""
_LEAST_BYTES_PER_S: Final = 16 * 1024
"""So does who is slower than this with all that it promised: nobody keeps a place for hours."""
_ASIDE_S: Final = 60.0
"""For so long they are not dialled again."""


class MetadataSwarm:
    """The part of a torrent that exists in the state METADATA."""

    def __init__(self, torrent: Torrent, facilities: Facilities, owner: Owner) -> None:
        self.torrent = torrent
        self.facilities = facilities
        self.known = facilities.new_peer_list()
        self.connected: dict[MetadataPeer, None] = {}
        self.fetch: MetadataFetch[MetadataPeer] = MetadataFetch(
            torrent.info_hash, max_bytes=MAX_METADATA_BYTES
        )
        self.down = Throttle(facilities.loop, torrent.down_bucket, facilities.down)
        self.is_closed = False
        self._owner = owner
        self._magnet = torrent.magnet or Magnet(torrent.info_hash)
        self._calling = Calling(
            facilities,
            self.known,
            torrent.info_hash,
            greeted=self._on_greeted,
            is_connected=lambda address: any(
                peer.connection.remote == address for peer in self.connected
            ),
        )

    def now(self) -> float:
        return self.facilities.loop.time()

    # ── finding peers ───────────────────────────────────────────────────────────────────────────

    def begin(self) -> None:
        """Dial who is known already: the peers that the user and the link name."""
        self.found(self.torrent.explicit_peers, PeerSource.MANUAL)
        names = []
        for host, port in self._magnet.peers:
            try:
                self.torrent.add_peer(endpoint(host, port))
            except InputError:
                names.append((host, port))
        if names:
            self.facilities.spawn(self._look_up(names))

    async def _look_up(self, names: list[tuple[str, int]]) -> None:
        """Turn the names of peers that the link gives into addresses."""
        for host, port in names:
            try:
                found = await self.facilities.route.look_up(host, port, socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                reason = getattr(error, "strerror", None) or error
                self.torrent.note("warning", f"cannot look up the peer {host}: {reason}")
                continue
            for address in found:
                self.torrent.add_peer(endpoint(str(address.sockaddr[0]), port))

    def found(self, endpoints: Iterable[Endpoint], source: PeerSource) -> None:
        """Learn addresses, and dial the best at once."""
        now = self.now()
        for address in endpoints:
            self.known.add(address, source, now)
        self._dial_more()

    def _dial_more(self) -> None:
        most = min(_MAX_PEERS, self.facilities.limits.max_connections_per_torrent)
        self._calling.call_more(most - len(self.connected))

    def _on_greeted(self, connection: Connection, handshake: Handshake, rest: bytes) -> None:
        if handshake.peer_id == self.facilities.peer_id:
            self.known.ban(connection.remote)
            raise PeerError(f"{connection.remote} is ourselves")
        now = self.now()
        if not handshake.supports_extensions:
            # Of no use now, and as good as any other once we know what to ask it for.
            raise PeerError(f"{connection.remote} cannot give metadata")
        peer = MetadataPeer(self, connection, handshake, self.known.source_of(connection.remote))
        self.connected[peer] = None
        self.known.connected(connection.remote, now)
        connection.start(peer)
        peer.open()
        if rest:
            peer.on_data(memoryview(rest))
        self.torrent.changed()

    # ── what peers tell ─────────────────────────────────────────────────────────────────────────

    def on_offer(self, peer: MetadataPeer, size: int | None) -> None:
        """A peer said whether it has the dictionary, and how large it is."""
        self.fetch.offered(peer, size)
        self.ask(peer)
        self.torrent.changed()

    def ask(self, peer: MetadataPeer) -> None:
        """Ask a peer for what it should be asked for now."""
        for index in self.fetch.requests(peer, self.now()):
            peer.ask(index)

    def on_piece(self, peer: MetadataPeer, index: int, data: bytes) -> None:
        """Take a piece. Raises ProtocolError if it cannot be one."""
        if self.fetch.owes(peer, index):
            peer.useful_at = self.now()
            peer.received_bytes += len(data)
        for guilty in self.fetch.received(peer, index, data):
            self._ban(guilty)
        if self.fetch.metadata is not None and not self.is_closed:
            self._on_metadata(self.fetch.metadata)
        elif not peer.connection.is_closed:
            self.ask(peer)
        self.torrent.changed()

    def on_reject(self, peer: MetadataPeer, index: int) -> None:
        self.fetch.rejected(peer, index, self.now())

    def on_exchange(self, peer: MetadataPeer, payload: bytes) -> None:
        """Learn of further peers. They are told nothing: the torrent may turn out to be private.
        Raises ProtocolError."""
        remote = peer.connection.remote
        message = heard(peer.hearing, payload, self.facilities)
        if message is None:
            return
        told = believed(peer.hearing, message, remote, self.known, self.facilities)
        self.found((each.endpoint for each in told), PeerSource.PEX)

    def _ban(self, peer: MetadataPeer) -> None:
        remote = peer.connection.remote
        self.known.ban(remote)
        self.torrent.note("warning", f"banned: {remote} sent false metadata")
        peer.connection.close(None)

    def on_closed(self, peer: MetadataPeer, error: Exception | None) -> None:
        self.facilities.connections.open -= 1
        self.connected.pop(peer, None)
        self.fetch.removed(peer)
        remote, now = peer.connection.remote, self.now()
        if self.is_closed or self.facilities.route.waiting:
            self.known.set_aside(remote, now)
        elif peer.is_set_aside:
            self.known.set_aside(remote, now + _ASIDE_S)
        else:
            self.known.disconnected(remote, now, failed=True)
        if error is not None:
            log.debug("%s: lost %s: %s", self.torrent.name, remote, error)
        if not self.is_closed:
            self._dial_more()
            for other in self.connected:
                self.ask(other)  # what it was asked for is to be had from them
            self.torrent.changed()

    def drop_forbidden(self) -> None:
        """Part from those that a new filter forbids."""
        gate = self.facilities.gate
        self._calling.drop_forbidden()
        for peer in list(self.connected):
            if gate.forbids(peer.connection.remote.host):
                gate.closed += 1
                peer.connection.close(PeerError(f"{peer.connection.remote} is filtered"))

    # ── the end ─────────────────────────────────────────────────────────────────────────────────

    def _on_metadata(self, raw: bytes) -> None:
        self.close()
        self.facilities.spawn(self._hand_on(raw))

    async def _hand_on(self, raw: bytes) -> None:
        torrent, magnet = self.torrent, self._magnet
        try:
            # Off the loop: a dictionary of many files takes its time.
            info = await self.facilities.disk.run(lambda: Info.parse(raw))
            metainfo = Metainfo(info, trackers=magnet.tiers, web_seeds=magnet.web_seeds)
            await self._owner.keep_metainfo(torrent, metainfo)
        except Exception as error:
            torrent.fail(error)
            return
        if torrent.has_info:  # paused, resumed and fetched a second time meanwhile
            return
        torrent.note("info", f"metadata is here: {len(raw)} bytes")
        if metainfo.info.is_private:
            self.known.forget_sources(UNFIT_FOR_PRIVATE)
        self.known.recall()
        torrent.learned(metainfo, self.known)

    def tick(self, now: float) -> None:
        """Once a second: give up on the silent, ask again, dial more."""
        if self.is_closed:
            return
        self.fetch.expire(now)
        for peer in list(self.connected):
            peer.keep_alive(now)
            if self.fetch.is_unasked(peer):
                peer.useful_at = peer.tried_since = now
            patience_s = _USELESS_S + peer.promised_bytes / _LEAST_BYTES_PER_S
            if now - peer.useful_at > _USELESS_S or now - peer.tried_since > patience_s:
                peer.is_set_aside = True
                peer.connection.close(
                    PeerTimeoutError(f"{peer.connection.remote} gave no metadata")
                )
            else:
                self.ask(peer)
        self._dial_more()
        if self.fetch.source_count < _FEW_PEERS and self.known.next_try_at() > now:
            self.torrent.announcer.want_more()

    def close(self) -> None:
        """Leave the swarm. What is known of it stays in `known`."""
        if self.is_closed:
            return
        self.is_closed = True
        self._calling.close()
        for peer in list(self.connected):
            peer.connection.close(None)
        self.down.close()
