"""Giving the info dictionary to peers that came by a magnet link (BEP 9).

Only for torrents whose metadata is verified, which are all that have peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.net.connection import LOW_WATERMARK_BYTES
from engine.wire import encoder, ut_metadata
from engine.wire.ut_metadata import (
    METADATA_PIECE_BYTES,
    MetadataData,
    MetadataReject,
    MetadataRequest,
)

if TYPE_CHECKING:
    from engine.torrent.peer import Peer

METADATA_EXT_ID: Final = 1
"""The id that we hand out for ut_metadata, serving and fetching."""
_MOST_COPIES = 4
"""Of the whole dictionary, to one connection: it cannot be choked, so that it has to be bounded."""


def answer_metadata(peer: Peer, metadata: bytes, payload: bytes) -> None:
    """Answer a request for a piece of `metadata`. Raises ProtocolError for what is no message."""
    message = ut_metadata.decode(payload)
    if not isinstance(message, MetadataRequest):
        return  # pieces and rejects that we never asked for, and messages of the future
    ext_id = peer.extension.ids.get(ut_metadata.NAME, 0) if peer.extension else 0
    if not ext_id:
        return  # they have not said, or have taken back, what an answer would be called
    begin = message.piece * METADATA_PIECE_BYTES
    piece_count = -(-len(metadata) // METADATA_PIECE_BYTES)
    answer: MetadataData | MetadataReject = MetadataReject(message.piece)
    if (
        begin < len(metadata)
        and peer.metadata_given < _MOST_COPIES * piece_count
        and peer.connection.pending_bytes < LOW_WATERMARK_BYTES
    ):
        peer.metadata_given += 1
        data = metadata[begin : begin + METADATA_PIECE_BYTES]
        answer = MetadataData(message.piece, data, len(metadata))
    frame = encoder.extended(ext_id, ut_metadata.encode(answer))
    peer.swarm.up.take(len(frame), peer)
    peer.send(frame)
