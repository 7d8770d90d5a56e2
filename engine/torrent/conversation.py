"""What is said on a peer connection besides blocks and requests: state, interest, extensions.

Reads as the list of everything that a peer can tell (BEP 3, 6, 9, 10, 21). Legality is the business
of wire/peer_protocol.py; here stands what follows from a legal message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.compact import Endpoint
from engine.core.identifiers import VERSION, InfoHash
from engine.torrent.metadata_serving import METADATA_EXT_ID, answer_metadata
from engine.torrent.peer import Peer
from engine.wire import encoder, ut_metadata
from engine.wire.extensions import ExtensionHandshake
from engine.wire.fast_extension import allowed_fast_set
from engine.wire.messages import (
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
        if peer.protocol.is_fast and have.is_full:
            peer.send(encoder.have_all())
        elif peer.protocol.is_fast and not have.count:
            peer.send(encoder.have_none())
        elif have.count:
            peer.send(encoder.bitfield(have.to_bytes()))
        if peer.protocol.is_fast and have.count and not peer.connection.remote.is_ipv6:
            self._grant_allowed_fast(peer)

    def tell_upload_only(self) -> None:
        """Tell all peers that we want nothing more (BEP 21). Call it when we become a seed."""
        for peer in self._swarm.peers.connected:
            if peer.protocol.has_extensions:
                peer.send(encoder.extended(0, self._extension_handshake(peer).encode()))

    def _extension_handshake(self, peer: Peer) -> ExtensionHandshake:
        facilities = self._swarm.facilities
        return ExtensionHandshake(
            ids={ut_metadata.NAME: METADATA_EXT_ID},
            metadata_size=len(self._swarm.info.raw),
            client=CLIENT,
            listen_port=facilities.listen_port() or None,
            reqq=facilities.limits.max_request_queue,
            upload_only=self._swarm.have.is_full,
            your_ip=peer.connection.remote.host,
        )

    def _grant_allowed_fast(self, peer: Peer) -> None:
        swarm = self._swarm
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
        is_news = peer.protocol.received(message)
        match message:
            case Have(index):
                if is_news:
                    swarm.download.on_have(peer, index)
            case BitfieldMessage() | HaveAll() | HaveNone():
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
            case _:
                pass  # keep-alive, suggestions, a DHT port, extensions that we never offered

    def _on_extension_handshake(self, peer: Peer, payload: bytes) -> None:
        said = ExtensionHandshake.decode(payload)
        peer.extension = peer.extension.updated(said) if peer.extension else said
        if said.reqq is not None:
            peer.queue.set_peer_limit(said.reqq)
        peers = self._swarm.peers
        if said.listen_port and peer.is_incoming:
            peers.learn_listen_port(peer, Endpoint(peer.connection.remote.host, said.listen_port))
        if said.your_ip:
            peers.learn_our_address(peer, said.your_ip)
        peers.drop_if_useless(peer)
