"""Hole punching for one torrent: as who asks, who introduces, and who is asked for (BEP 55).

    a call failed ─► ask a peer that told us of the address (PEX)      rendezvous ─►
    ─► rendezvous: name both to each other, or say why not             ◄─ connect ─►, or error
    ─► connect: dial at once, by uTP, as the other side does; of two connections one is dropped

It rides on peer exchange, and is not there where that is not: in private torrents, or isolated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.core.compact import Endpoint
from engine.net.connection import Transport
from engine.swarm.hole_punching import Acquaintance, Introductions, Party, Refusal, introduce
from engine.wire import encoder, ut_holepunch
from engine.wire.ut_holepunch import ErrorCode, HolepunchMessage, Kind
from engine.wire.ut_pex import PexMessage

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent
    from engine.torrent.peer import Peer

HOLEPUNCH_EXT_ID: Final = 3
"""The id that we hand out for ut_holepunch."""


class HolePunching:
    """The introductions of one torrent. It exists only if we dial by uTP."""

    __slots__ = ("_introductions", "_swarm")

    def __init__(self, swarm: LiveTorrent) -> None:
        self._swarm = swarm
        self._introductions = Introductions(swarm.now())

    def on_handshake(self, peer: Peer) -> None:
        """A peer said which extensions it takes."""
        if peer.acquaintance is None and can_punch(peer):
            peer.acquaintance = Acquaintance(self._swarm.now())

    def on_told(self, peer: Peer, message: PexMessage) -> None:
        """A peer told us whom it is connected to."""
        if peer.acquaintance is not None:
            able = (each.endpoint for each in message.added if each.punches)
            peer.acquaintance.told(able, message.dropped)

    def on_unreachable(self, address: Endpoint) -> None:
        """A call did not come through: have us introduced, by one who can."""
        swarm = self._swarm
        if not swarm.facilities.dialer.can_punch(address):
            return
        now = swarm.now()
        for peer in swarm.peers.connected:
            acquaintance = peer.acquaintance
            if acquaintance is not None and can_punch(peer) and acquaintance.ask(address, now):
                _send(peer, HolepunchMessage(Kind.RENDEZVOUS, address))
                return

    def on_message(self, peer: Peer, payload: bytes) -> None:
        """React to a message. Raises ProtocolError: it is none."""
        message = ut_holepunch.decode(payload)
        acquaintance = peer.acquaintance
        if message is None or acquaintance is None or not can_punch(peer):
            return
        match message.kind:
            case Kind.RENDEZVOUS:
                self._on_rendezvous(peer, acquaintance, message.address)
            case Kind.CONNECT:
                self._on_connect(peer, acquaintance, message.address)
            case Kind.ERROR:
                if acquaintance.refused(message.address):
                    self.on_unreachable(message.address)

    def _on_rendezvous(self, asker: Peer, acquaintance: Acquaintance, wanted: Endpoint) -> None:
        now = self._swarm.now()
        if not acquaintance.granted.take(now):
            return
        target = self._swarm.peers.find(wanted)
        answer = introduce(
            _party(asker),
            None if target is None else _party(target),
            wanted,
            now,
            is_ours=self._is_ours(wanted),
        )
        if isinstance(answer, Refusal):
            code = ErrorCode[answer.name]
            _send(asker, HolepunchMessage(Kind.ERROR, wanted, code))
        elif target is not None:
            _send(asker, HolepunchMessage(Kind.CONNECT, answer.to_asker))
            _send(target, HolepunchMessage(Kind.CONNECT, answer.to_target))
            target.connection.flush()

    def _on_connect(self, relay: Peer, acquaintance: Acquaintance, address: Endpoint) -> None:
        swarm = self._swarm
        peers, facilities = swarm.peers, swarm.facilities
        if (
            swarm.is_running
            and facilities.dialer.can_punch(address)
            and not self._is_ours(address)
            and peers.find(address) is None
            and not peers.known.is_banned(address)
            and self._introductions.heeds(
                acquaintance, relay.connection.remote.host, address, swarm.now()
            )
        ):
            peers.punch(address)

    def _is_ours(self, address: Endpoint) -> bool:
        facilities = self._swarm.facilities
        return address.port == facilities.listen_port() and facilities.is_own_host(address.host)


def can_punch(peer: Peer) -> bool:
    """Say whether a peer speaks the extension."""
    return bool(_ext_id(peer))


def _ext_id(peer: Peer) -> int:
    return peer.extension.ids.get(ut_holepunch.NAME, 0) if peer.extension else 0


def _party(peer: Peer) -> Party:
    remote = peer.connection.remote
    # A port of TCP that was dialled from leads nowhere.
    is_dialable = peer.connection.transport is Transport.UTP or not peer.is_incoming
    address = remote if is_dialable else peer.listens_at
    return Party(remote.host, address, peer.acquaintance if can_punch(peer) else None)


def _send(peer: Peer, message: HolepunchMessage) -> None:
    peer.send(encoder.extended(_ext_id(peer), ut_holepunch.encode(message)))
