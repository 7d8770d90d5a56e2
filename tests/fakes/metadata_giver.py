"""The side of a scripted peer that gives metadata (BEP 9, 10): honest, false, too much, or none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from engine.core import bencode
from tests.fakes.scripted_peer import ALL, EXTENSION, PROTOCOL, ScriptedPeer, frame

PIECE_BYTES = 16 * 1024
UT_METADATA = 7
"""The id that the scripted side hands out."""

Script = Callable[[ScriptedPeer], Awaitable[None]]


def extended(ext_id: int, message: bencode.Encodable, data: bytes = b"") -> bytes:
    return frame(EXTENSION, bytes([ext_id]) + bencode.encode(message) + data)


def hello(size: int | None, *, name: str = "ut_metadata") -> bytes:
    """An extension handshake."""
    said: dict[str, bencode.Encodable] = {"m": {name: UT_METADATA}}
    return extended(0, said if size is None else {**said, "metadata_size": size})


def data_of(ext_id: int, metadata: bytes, piece: int) -> bytes:
    data = metadata[piece * PIECE_BYTES : (piece + 1) * PIECE_BYTES]
    head = {"msg_type": 1, "piece": piece, "total_size": len(metadata)}
    return extended(ext_id, head, data)


def reject_of(ext_id: int, piece: int) -> bytes:
    return extended(ext_id, {"msg_type": 2, "piece": piece})


async def answer_handshake(peer: ScriptedPeer, *, peer_id: bytes = b"-XX0000-metadatagivr") -> None:
    """Greet as the side that was called."""
    received = await peer.read(68)
    peer.send(PROTOCOL + ALL + received[28:48] + peer_id)


async def next_extended(peer: ScriptedPeer) -> tuple[int, dict[bytes, bencode.Value], bytes]:
    """The next extension message: its id, its dictionary, and what stands behind that."""
    said = await peer.until(EXTENSION)
    value, end = bencode.decode_prefix(said.payload[1:])
    assert isinstance(value, dict)
    return said.payload[0], value, said.payload[1 + end :]


def giving(
    metadata: bytes,
    *,
    size: int | None = None,
    answer: Callable[[int, bytes, int], bytes] = data_of,
    peer_id: bytes = b"-XX0000-metadatagivr",
) -> Script:
    """A peer that promises `size` bytes and answers requests; it has no pieces of the torrent."""

    async def script(peer: ScriptedPeer) -> None:
        await answer_handshake(peer, peer_id=peer_id)
        peer.send(hello(len(metadata) if size is None else size))
        theirs = 0
        while True:
            ext_id, said, _ = await next_extended(peer)
            if ext_id == 0:
                ids = said[b"m"]
                assert isinstance(ids, dict)
                number = ids[b"ut_metadata"]
                assert isinstance(number, int)
                theirs = number
            elif ext_id == UT_METADATA and said[b"msg_type"] == 0:
                piece = said[b"piece"]
                assert isinstance(piece, int)
                peer.send(answer(theirs, metadata, piece))

    return script
