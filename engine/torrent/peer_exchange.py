"""Peer exchange of one torrent: who is connected, told to the peers, and what they tell (BEP 11).

It rides on the torrent's tick and has no timer of its own. A private torrent has none (BEP 27).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.core.compact import Endpoint
from engine.net.connection import Encryption, Transport
from engine.swarm.peer_list import PeerList, PeerSource
from engine.swarm.pex_exchange import Hearing, Telling, may_know
from engine.torrent.facilities import Facilities
from engine.torrent.hole_punching import can_punch
from engine.wire import encoder, ut_pex
from engine.wire.ut_pex import PexFlags, PexMessage, PexPeer

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent
    from engine.torrent.peer import Peer

PEX_EXT_ID: Final = 2
"""The id that we hand out for ut_pex."""


class PeerExchange:
    """What one torrent tells its peers of each other, and learns from them."""

    __slots__ = ("_revision", "_swarm")

    def __init__(self, swarm: LiveTorrent) -> None:
        self._swarm = swarm
        self._revision = 0

    def peers_changed(self) -> None:
        """Somebody came or went, or said where it can be reached."""
        self._revision += 1

    def on_handshake(self, peer: Peer) -> None:
        """A peer said which extensions it takes."""
        if peer.telling is None and _ext_id(peer):
            peer.telling = Telling(self._swarm.now())

    def on_message(self, peer: Peer, payload: bytes) -> None:
        """Learn from a message. Raises ProtocolError: it is none, or they come in floods."""
        swarm = self._swarm
        if peer.hearing is None:
            peer.hearing = Hearing(peer.connected_at)
        known, is_seed = swarm.peers.known, swarm.wants_nothing
        message = heard(peer.hearing, payload, swarm.facilities)
        if message is None:
            return
        if swarm.punching is not None:
            swarm.punching.on_told(peer, message)
        told = believed(peer.hearing, message, peer.connection.remote, known, swarm.facilities)
        # Two who want nothing more want nothing of each other.
        wanted = [each for each in told if not (is_seed and each.flags & PexFlags.SEED)]
        swarm.peers.found((each.endpoint for each in wanted), PeerSource.PEX)
        for each in wanted:
            if each.flags & PexFlags.SEED:
                known.seen_as_seed(each.endpoint)

    def tick(self, now: float) -> None:
        """Once a second: tell those whose turn it is."""
        everybody: dict[Endpoint, PexPeer] | None = None
        for peer in self._swarm.peers.connected:
            telling = peer.telling
            if telling is None or not telling.is_due(now, self._revision) or not _ext_id(peer):
                continue
            if everybody is None:
                everybody = {
                    each.dial_address: PexPeer(each.dial_address, _flags(each))
                    for each in self._swarm.peers.connected
                    if each.listens_at or not each.is_incoming
                }
            self._tell(peer, telling, everybody, now)

    def _tell(
        self, peer: Peer, telling: Telling, everybody: dict[Endpoint, PexPeer], now: float
    ) -> None:
        host, own = peer.connection.remote.host, peer.dial_address
        others = {
            address: other
            for address, other in everybody.items()
            if address != own and may_know(host, address.host)
        }
        change = telling.change(others, now, self._revision)
        if change is None:
            return
        added = tuple(others[address] for address in change.added)
        payload = ut_pex.encode(PexMessage(added, tuple(change.dropped)))
        peer.send(encoder.extended(_ext_id(peer), payload))


def heard(hearing: Hearing, payload: bytes, facilities: Facilities) -> PexMessage | None:
    """Read a message; None: it came too soon. Raises ProtocolError."""
    return ut_pex.decode(payload) if hearing.is_welcome(facilities.loop.time()) else None


def believed(
    hearing: Hearing,
    message: PexMessage,
    teller: Endpoint,
    known: PeerList,
    facilities: Facilities,
) -> list[PexPeer]:
    """Return what to learn from a message of the peer at `teller`."""
    own_port = facilities.listen_port()
    # In a crowd nearly all are known: that is asked first, and costs least.
    added = {
        address: flags
        for address, flags in message.added
        if address not in known
        and not (address.port == own_port and facilities.is_own_host(address.host))
    }
    return [
        PexPeer(address, added[address]) for address in hearing.believe(added, teller.host, known)
    ]


def _ext_id(peer: Peer) -> int:
    """What they call ut_pex; 0 = they do not speak it."""
    return peer.extension.ids.get(ut_pex.NAME, 0) if peer.extension else 0


def _flags(peer: Peer) -> PexFlags:
    flags = PexFlags(0)
    if peer.is_seed:
        flags |= PexFlags.SEED
    if peer.connection.transport is Transport.UTP:
        flags |= PexFlags.UTP
    if can_punch(peer):
        flags |= PexFlags.HOLEPUNCH
    if not peer.is_incoming:
        flags |= PexFlags.REACHABLE
    if peer.connection.encryption is not Encryption.NONE:
        flags |= PexFlags.PREFERS_ENCRYPTION
    return flags
