"""Seeding in disguise: say that we have nothing, and tell each peer of a few pieces (BEP 16).

A torrent that is complete when it wakes, and whose session says so, is a super-seed to all who
connect then. Offers follow from swarm/super_seeding.py; here they become `have` messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.swarm.super_seeding import SuperSeeding
from engine.torrent.peer import Peer
from engine.wire import encoder

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent


class Disguise:
    """The super-seeding of one torrent."""

    __slots__ = ("_is_due", "_swarm", "offers")

    def __init__(self, swarm: LiveTorrent) -> None:
        self._swarm = swarm
        self._is_due = False
        self.offers: SuperSeeding[Peer] = SuperSeeding(
            swarm.download.picker.availability, swarm.facilities.rng
        )

    def on_peer(self, peer: Peer) -> None:
        """A peer is connected, or said all that it has."""
        self.offers.peer_added(peer, peer.pieces)
        self._soon()

    def on_have(self, peer: Peer, index: int) -> None:
        self.offers.peer_gained(peer, index)
        self._soon()

    def on_closed(self, peer: Peer) -> None:
        self.offers.peer_removed(peer)
        self._soon()

    def _soon(self) -> None:
        """Offer once for all that this turn of the loop brings."""
        if not self._is_due:
            self._is_due = True
            self._swarm.facilities.loop.call_soon(self.offer)

    def offer(self) -> None:
        """Tell peers what they may ask for now. Called every second, and when something changed."""
        self._is_due = False
        swarm = self._swarm
        if swarm.is_closed:
            return
        # A peer whose interest found no slot would hold up its offers until it has one.
        able = [
            peer
            for peer in swarm.peers.connected
            if not peer.is_seed and not (peer.is_interested and peer.protocol.am_choking)
        ]
        slots = swarm.upload.slots
        for peer, index in self.offers.offers(swarm.now(), able, slots):
            peer.send(encoder.have(index))
