"""What is said on a peer connection besides blocks and requests: state, interest, extensions.

Reads as the list of everything that a peer can tell (BEP 3, 5, 6, 9, 10, 11, 21, 55). Legality is
the business of wire/peer_protocol.py; here stands what follows from a legal message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.compact import Endpoint
from engine.core.geometry import BLOCK_LENGTH
from engine.core.identifiers import VERSION, InfoHash
from engine.torrent.hole_punching import HOLEPUNCH_EXT_ID
from engine.torrent.metadata_serving import METADATA_EXT_ID, answer_metadata
from engine.torrent.peer import Peer
from engine.torrent.peer_exchange import PEX_EXT_ID
from engine.wire import encoder, ut_holepunch, ut_metadata, ut_pex
from engine.wire.extensions import ExtensionHandshake
from engine.wire.fast_extension import allowed_fast_set
from engine.wire.messages import (
    MAX_JOINED_BYTES,
    AllowedFast,
    BitfieldMessage,
    Cancel,
    Choke,
    Extended,
    Have,
    HaveAll,
    HaveNone,
    Interested,
    Message,
    NotInterested,
    Port,
    Reject,
    Unchoke,
)

if TYPE_CHECKING:
    from engine.torrent.live import LiveTorrent

CLIENT = f"seedwright {VERSION}"
_TALK_BYTES = 64
"""Of an extension handshake that count as a message: parsing a long one takes milliseconds."""
_ALLOWED_FAST_COUNT = 10
_ALLOWED_FAST_UNTIL = 10
"""A peer that has fewer pieces than this is let ask for a few while it is choked (BEP 6)."""
_ALLOWED_FAST_PEERS = 2
"""And so many of them at a time: were all of a crowd let ask, all would get the same pieces, and
none of them soon; nobody has anything to pass on until then."""


class Conversation:
    """The small talk of one torrent with its peers."""

    __slots__ = ("_swarm",)

    def __init__(self, swarm: LiveTorrent) -> None:
        self._swarm = swarm

    def open(self, peer: Peer) -> None:
        """Say what stands behind the handshake: extensions, then what we have."""
        swarm = self._swarm
        if peer.protocol.has_extensions:
            peer.send(encoder.extended(0, self._extension_handshake(peer).encode()))
        have = swarm.have
        if swarm.disguise is not None:
            if peer.protocol.is_fast:
                peer.send(encoder.have_none())
            swarm.disguise.on_peer(peer)
        elif peer.protocol.is_fast and have.is_full:
            peer.send(encoder.have_all())
        elif peer.protocol.is_fast and not have.count:
            peer.send(encoder.have_none())
        elif have.count:
            peer.send(encoder.bitfield(have.to_bytes()))
        if peer.has_dht and self._dht_port:
            peer.send(encoder.port(self._dht_port))

    @property
    def _dht_port(self) -> int:
        """0 = of the DHT we do not speak in this swarm (BEP 27)."""
        return 0 if self._swarm.info.is_private else self._swarm.facilities.dht.port

    def tell_upload_only(self) -> None:
        """Tell all peers whether we want anything (BEP 21). Call it when that has changed."""
        for peer in self._swarm.peers.connected:
            if peer.protocol.has_extensions:
                peer.send(encoder.extended(0, self._extension_handshake(peer).encode()))

    def _extension_handshake(self, peer: Peer) -> ExtensionHandshake:
        facilities = self._swarm.facilities
        ids = {ut_metadata.NAME: METADATA_EXT_ID}
        if self._swarm.exchange is not None:
            ids[ut_pex.NAME] = PEX_EXT_ID
        if self._swarm.punching is not None:
            ids[ut_holepunch.NAME] = HOLEPUNCH_EXT_ID
        return ExtensionHandshake(
            ids=ids,
            metadata_size=len(self._swarm.info.raw),
            client=CLIENT,
            listen_port=facilities.listen_port() or None,
            reqq=facilities.limits.max_request_queue,
            max_joined=MAX_JOINED_BYTES if self._swarm.geometry.is_even else None,
            upload_only=self._swarm.wants_nothing and self._swarm.disguise is None,
            your_ip=peer.connection.remote.host,
        )

    def grant_allowed_fast(self, peer: Peer) -> None:
        """Let a peer that wants something, and finds no place, ask for a few pieces all the same.

        Not sooner: peers of one network are all granted the same pieces, and who is let ask for any
        should take one that others do not have.
        """
        swarm = self._swarm
        is_one = peer.protocol.is_fast and not peer.connection.remote.is_ipv6
        has_few = peer.pieces.count < _ALLOWED_FAST_UNTIL and not peer.owes
        if not is_one or not has_few or peer.granted_fast or swarm.disguise is not None:
            return
        others = sum(
            bool(other.granted_fast) and other.pieces.count < _ALLOWED_FAST_UNTIL
            for other in swarm.peers.connected
        )
        if others >= _ALLOWED_FAST_PEERS:
            return
        granted = [
            index
            for index in allowed_fast_set(
                peer.connection.remote.host,
                InfoHash(swarm.info_hash[:20]),
                swarm.geometry.piece_count,
                _ALLOWED_FAST_COUNT,
            )
            if swarm.have[index]
        ]
        peer.granted_fast = frozenset(granted)
        for index in granted:
            peer.send(encoder.allowed_fast(index))

    def on_message(self, peer: Peer, message: Message) -> None:
        """React to anything but a block or a request. Raises ProtocolError where it is illegal."""
        swarm = self._swarm
        is_first = peer.protocol.is_opening
        is_news = peer.protocol.received(message)
        match message:
            case Have(index):
                if is_news:
                    peer.gained.append(index)
            case BitfieldMessage() | HaveAll() | HaveNone():
                if is_news or is_first:
                    swarm.download.on_pieces(peer)
            case Choke():
                swarm.download.on_choked(peer)
            case Unchoke():
                swarm.download.on_unchoked(peer)
            case Interested():
                swarm.upload.on_interested(peer)
            case NotInterested():
                swarm.upload.on_not_interested(peer)
            case Cancel(index, begin, length):
                swarm.upload.on_cancel(peer, index, begin, length)
            case Reject(index, begin, length):
                swarm.download.on_reject(peer, index, begin, length)
            case AllowedFast(index):
                if is_news:
                    swarm.download.on_allowed_fast(peer, index)
            case Extended(0, payload):
                peer.count_talk(len(payload) // _TALK_BYTES)
                self._on_extension_handshake(peer, payload)
            case Extended(ext_id, payload) if ext_id == METADATA_EXT_ID:
                answer_metadata(peer, swarm.info.raw, payload)
            case Extended(ext_id, payload) if ext_id == PEX_EXT_ID and swarm.exchange is not None:
                swarm.exchange.on_message(peer, payload)
            case Extended(ext_id, payload) if (
                ext_id == HOLEPUNCH_EXT_ID and swarm.punching is not None
            ):
                swarm.punching.on_message(peer, payload)
            case Port(port):
                if port and self._dht_port:
                    swarm.facilities.dht.met(Endpoint(peer.connection.remote.host, port))
            case _:
                pass  # keep-alive, suggestions, extensions that we never offered

    def _on_extension_handshake(self, peer: Peer, payload: bytes) -> None:
        said = ExtensionHandshake.decode(payload)
        peer.extension = peer.extension.updated(said) if peer.extension else said
        if said.reqq is not None:
            peer.queue.set_peer_limit(said.reqq)
        if said.max_joined is not None and self._swarm.geometry.is_even:
            peer.joined = max(1, min(said.max_joined, MAX_JOINED_BYTES) // BLOCK_LENGTH)
        peers, exchange = self._swarm.peers, self._swarm.exchange
        if exchange is not None:
            exchange.on_handshake(peer)
        if self._swarm.punching is not None:
            self._swarm.punching.on_handshake(peer)
        if said.listen_port and peer.is_incoming:
            peers.learn_listen_port(peer, Endpoint(peer.connection.remote.host, said.listen_port))
        if said.your_ip:
            self._swarm.facilities.reachability.seen_at(peer.connection.remote.host, said.your_ip)
        peers.drop_if_useless(peer)
