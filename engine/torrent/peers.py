"""Who one torrent is connected to: dialling, accepting, dropping, and what every second brings."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address
from typing import TYPE_CHECKING

from engine.core.compact import Endpoint
from engine.core.scope import household_of, is_local
from engine.errors import PeerError, PeerTimeoutError
from engine.net.connection import Connection, Encryption
from engine.swarm.peer_list import PeerList, PeerSource
from engine.swarm.places import LONG_PATIENCE_S, Shortage, least_useful
from engine.torrent.calling import Calling
from engine.torrent.peer import SILENCE_LIMIT_S, Peer
from engine.torrent.slabs import FIRST_BATCH
from engine.wire.handshake import Handshake

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent

log = logging.getLogger(__name__)

FEW_PEERS = 5
"""With fewer than this, and nobody left to dial, the tracker is asked for more."""
_MAX_PARTED = 1000
_SLOW_BYTES_PER_S = 1024 * 1024
_JUDGED_AFTER_S = 10.0
"""A peer is not called slow before it had this long to show what it gives."""
_SIMULTANEOUS_S = 5.0
_OFFENCES_OF_A_HOST = 3
_MOST_OF_A_HOST = 8
"""Connections that come from one public address, or /64 of IPv6, to one torrent."""


class Peers:
    """The connected peers of one torrent and the addresses of those that could be."""

    __slots__ = (
        "_calling",
        "_offences",
        "_shortage",
        "_swarm",
        "connected",
        "known",
        "parted_seeds",
    )

    def __init__(self, swarm: LiveTorrent, known: PeerList) -> None:
        self._swarm = swarm
        self.known = known
        self.connected: dict[Peer, None] = {}
        self._calling = Calling(
            swarm.facilities,
            known,
            swarm.info_hash,
            greeted=self._on_greeted,
            is_connected=self._is_connected,
            is_private=swarm.info.is_private,
            unreachable=self._on_unreachable,
        )
        self.parted_seeds: set[str] = set()
        """Hosts of those that had everything when they or we hung up."""
        self._shortage = Shortage()
        self._offences: Counter[str] = Counter()
        """Bans of each host, whatever the port."""

    # ── finding and dialling ────────────────────────────────────────────────────────────────────

    def found(self, endpoints: Iterable[Endpoint], source: PeerSource) -> int:
        """Learn addresses, and dial the best at once. Returns how many were new."""
        now = self._swarm.now()
        new = sum(self.known.add(endpoint, source, now) for endpoint in endpoints)
        self.dial_more()
        return new

    def dial_more(self) -> None:
        """Dial as many known addresses as the limits allow."""
        swarm = self._swarm
        if swarm.is_running:
            self._calling.call_more(
                self._limit() - len(self.connected), seeding=swarm.wants_nothing
            )

    def _on_greeted(self, connection: Connection, handshake: Handshake, rest: bytes) -> None:
        self.attach(connection, handshake, rest, is_incoming=False)

    def _on_unreachable(self, endpoint: Endpoint) -> None:
        punching = self._swarm.punching
        if punching is not None and self._swarm.is_running and self.find(endpoint) is None:
            punching.on_unreachable(endpoint)

    def punch(self, endpoint: Endpoint) -> None:
        """Dial an address by uTP while it dials us (BEP 55), if there is a place."""
        self._calling.punch(endpoint, self._limit() - len(self.connected))

    def find(self, endpoint: Endpoint) -> Peer | None:
        """The connected peer that is known under an address, or speaks from it."""
        for peer in self.connected:
            if endpoint in (peer.dial_address, peer.connection.remote):
                return peer
        return None

    def _is_connected(self, endpoint: Endpoint) -> bool:
        return any(peer.dial_address == endpoint for peer in self.connected)

    # ── connected ───────────────────────────────────────────────────────────────────────────────

    def attach(
        self, connection: Connection, handshake: Handshake, rest: bytes, *, is_incoming: bool
    ) -> None:
        """Take over a connection whose handshakes are done. Raises PeerError if it is not wanted;
        the caller then closes it. The session counts a connection as open before and until its end.
        """
        swarm = self._swarm
        remote, now = connection.remote, swarm.now()
        if handshake.peer_id == swarm.facilities.peer_id:
            self.known.ban(remote)
            raise PeerError(f"{remote} is ourselves")
        for other in self.connected:
            if other.peer_id == handshake.peer_id and other.connection.remote.host == remote.host:
                self._settle_double(other, remote, is_incoming=is_incoming)
                break
        if self.known.is_banned(remote):
            raise PeerError(f"{remote} is banned")
        if is_incoming and len(self.connected) >= self._limit():
            self._shortage.felt(now)
            raise PeerError(f"{remote} came when all places were taken")
        if is_incoming and self._crowds_out_others(remote.host):
            raise PeerError(f"{remote} comes from where too many are connected already")
        source = PeerSource.INCOMING if is_incoming else self.known.source_of(remote)
        peer = Peer(
            swarm,
            connection,
            handshake,
            swarm.geometry,
            source=source,
            is_incoming=is_incoming,
            now=now,
        )
        self.connected[peer] = None
        self.parted_seeds.discard(peer.dial_address.host)  # it is counted where it is connected
        if is_incoming:
            if remote not in self.known:  # else what we sent may have opened the router for it
                swarm.facilities.reachability.came(remote.host)
        else:
            swarm.facilities.reachability.dialled(remote.host, now)
            self.known.connected(remote, now)
        swarm.download.picker.peer_added(peer, peer.pieces)
        connection.start(peer)
        swarm.conversation.open(peer)
        if rest:
            peer.on_data(memoryview(rest))
        swarm.on_peers_changed()

    def _crowds_out_others(self, host: str) -> bool:
        """Several may share an address; one host must not take the places of all."""
        if is_local(host):
            return False
        household = household_of(host)
        hosts = [peer.connection.remote.host for peer in self.connected]
        return sum(household_of(other) == household for other in hosts) >= _MOST_OF_A_HOST

    def _settle_double(self, other: Peer, remote: Endpoint, *, is_incoming: bool) -> None:
        """Keep one of two connections with the same peer: raise PeerError, or close the `other`.

        When both sides dial at once, both keep what the one with the larger peer id has made; if
        each refused what came second, both would be lost.
        """
        has_dialled_both_ways = other.is_incoming is not is_incoming
        is_young = self._swarm.now() - other.connected_at < _SIMULTANEOUS_S
        is_theirs_kept = other.peer_id > self._swarm.facilities.peer_id
        if has_dialled_both_ways and is_young and is_incoming is is_theirs_kept:
            other.connection.close(PeerError(f"{remote} is connected twice"))
            return
        if other.is_incoming and not is_incoming:
            self.learn_listen_port(other, remote)
        raise PeerError(f"{remote} is connected already")

    def _limit(self) -> int:
        return self._swarm.facilities.limits.max_connections_per_torrent

    @property
    def are_few(self) -> bool:
        """True if more addresses are needed to fill our places."""
        return len(self.connected) + self._calling.count < min(FEW_PEERS, self._limit()) and (
            self.known.next_try_at() > self._swarm.now()
        )

    def learn_listen_port(self, peer: Peer, endpoint: Endpoint) -> None:
        """An incoming peer said where it listens: it can be dialled when it is lost.

        Said twice it is not believed: one peer could fill the list of addresses.
        """
        if peer.listens_at is not None:
            return
        self.known.add(endpoint, PeerSource.INCOMING, self._swarm.now())
        self.known.connected(endpoint, self._swarm.now())
        encrypts = peer.connection.encryption is not Encryption.NONE
        self.known.speaks(endpoint, encrypted=encrypts)
        peer.listens_at = endpoint
        if self._swarm.exchange is not None:
            self._swarm.exchange.peers_changed()

    def drop_if_useless(self, peer: Peer) -> bool:
        """Close a connection between two who want nothing of each other (BEP 21)."""
        if not peer.pieces.is_full and peer.protocol.is_opening:
            return False  # `upload_only` may come before the pieces, which are worth knowing
        if self._swarm.wants_nothing and peer.is_seed and self._swarm.drops_seeds:
            self.known.seen_as_seed(peer.dial_address)
            peer.connection.flush()  # a super-seed waits for the haves that say we are done
            peer.connection.close(None)
            return True
        return False

    def drop_seeds(self) -> None:
        """Part from all who want nothing. Must be called when we want nothing any more."""
        for peer in list(self.connected):
            self.drop_if_useless(peer)

    def drop_forbidden(self) -> None:
        """Part from those that a new filter forbids."""
        gate = self._swarm.facilities.gate
        self._calling.drop_forbidden()
        for peer in list(self.connected):
            if gate.forbids(peer.connection.remote.host):
                gate.closed += 1
                peer.connection.close(PeerError(f"{peer.connection.remote} is filtered"))

    def ban(self, peer: Peer, error: PeerError) -> None:
        """Close a connection and never open it again."""
        self.known.ban(peer.dial_address)
        self.known.ban(peer.connection.remote)
        host = peer.connection.remote.host
        self._offences[host] += 1
        # Behind a private address there may be many; a public one that lies again and again is
        # left for good, whatever port it comes from.
        if self._offences[host] >= _OFFENCES_OF_A_HOST and ip_address(host).is_global:
            self.known.ban_host(host)
        self._swarm.note("warning", f"banned: {error}")
        peer.connection.close(error)

    def on_closed(self, peer: Peer, error: Exception | None) -> None:
        swarm = self._swarm
        swarm.facilities.connections.open -= 1
        self.connected.pop(peer, None)
        if self._has_all_now(peer, error) and len(self.parted_seeds) < _MAX_PARTED:
            self.parted_seeds.add(peer.dial_address.host)
        was_unchoked = not peer.protocol.am_choking
        failed = error is not None and not isinstance(error, PeerTimeoutError)
        if swarm.facilities.route.waiting:
            self.known.set_aside(peer.dial_address, swarm.now())  # the way is gone, not the peer
        elif peer.place.is_given_up:
            # Else it would wait for a place itself the next moment, and have another one go.
            self.known.set_aside(peer.dial_address, swarm.now() + LONG_PATIENCE_S)
        else:
            self.known.disconnected(
                peer.dial_address, swarm.now(), failed=failed and not peer.down.total
            )
        swarm.download.forget(peer)
        swarm.upload.spreading.removed(peer)
        if swarm.disguise is not None:
            swarm.disguise.on_closed(peer)
        peer.uploads.clear()
        if error is not None:
            log.debug("%s: lost %s: %s", swarm.name, peer.connection.remote, error)
        if swarm.is_closed:
            return
        if was_unchoked:
            swarm.upload.rechoke_soon()
        self.dial_more()
        swarm.on_peers_changed()

    def _has_all_now(self, peer: Peer, error: Exception | None) -> bool:
        """Some hang up on a seed in the moment they are complete, before they say so."""
        if peer.pieces.is_full:
            return True
        geometry = self._swarm.geometry
        lacked = geometry.total_length - peer.had_at_first * geometry.piece_length
        return error is None and peer.up.total >= lacked > 0

    # ── every second ────────────────────────────────────────────────────────────────────────────

    def tick(self, now: float) -> None:
        """Update rates, keep connections alive, drop the silent, dial more."""
        total_rate = sum(peer.down.update(now) for peer in self.connected)
        mean_rate = total_rate / max(1, len(self.connected))
        for peer in list(self.connected):
            peer.place.look(peer.down.total + peer.up.total, now)
            if peer.up.update(now) < _SLOW_BYTES_PER_S:
                peer.batch = FIRST_BATCH
            peer.is_slow = (
                peer.down.rate < mean_rate / 4 and now - peer.connected_at > _JUDGED_AFTER_S
            )
            peer.keep_alive(now)
            if now - peer.heard_at > SILENCE_LIMIT_S:
                peer.connection.close(PeerTimeoutError(f"{peer.connection.remote} fell silent"))
            else:
                self._swarm.download.tick(peer, now)
        self._make_room(now)
        self.dial_more()

    def _make_room(self, now: float) -> None:
        """Part from who is of no use while somebody waits for its place."""
        shortage = self._shortage_of_places(now)
        if shortage is None:
            return
        peer = least_useful(self.connected, now, seeding=self._swarm.wants_nothing)
        if peer is not None:
            shortage.eased(now)
            peer.place.is_given_up = True
            remote = peer.connection.remote
            peer.connection.close(PeerError(f"{remote} was of no use, and others wait"))

    def _shortage_of_places(self, now: float) -> Shortage | None:
        """What somebody waits for: any place of the session, or one of ours."""
        connections, limits = self._swarm.facilities.connections, self._swarm.facilities.limits
        if connections.open >= limits.max_connections and connections.shortage.is_due(now):
            return connections.shortage
        if len(self.connected) >= self._limit():
            if self.known.next_try_at(seeding=self._swarm.wants_nothing) <= now:
                self._shortage.felt(now)
            if self._shortage.is_due(now):
                return self._shortage
        return None

    def close(self) -> None:
        self._calling.close()
        for peer in list(self.connected):
            peer.connection.close(None)
