"""Giving metadata: in pieces, to those who have a word for it, and not for ever."""

from __future__ import annotations

from pathlib import Path

from engine.core.metainfo import Metainfo
from tests.end_to_end.rig import endpoint_of, running, seeding
from tests.fakes.metadata_giver import (
    PIECE_BYTES,
    UT_METADATA,
    data_of,
    extended,
    hello,
    next_extended,
)
from tests.fakes.scripted_peer import FAST, ScriptedPeer
from tests.storage.torrents import sample

SMALL = sample(100_000, 16384)
LARGE = sample(1_000_000, 256, name="many pieces")
"""Its info dictionary has five metadata pieces."""


async def test_metadata_is_given_in_pieces_and_not_for_ever(tmp_path: Path) -> None:
    LARGE.store(tmp_path)
    raw = LARGE.info.raw
    async with running() as session:
        await seeding(session, Metainfo(LARGE.info), tmp_path)
        peer = await ScriptedPeer.meet(endpoint_of(session), LARGE.info.info_hash)
        ext_id, said, _ = await next_extended(peer)
        assert (ext_id, said[b"metadata_size"]) == (0, len(raw))
        ids = said[b"m"]
        assert isinstance(ids, dict)
        ours = ids[b"ut_metadata"]
        assert isinstance(ours, int)
        peer.send(hello(None))
        for piece in range(5):
            peer.send(extended(ours, {"msg_type": 0, "piece": piece}))
            assert await next_extended(peer) == (
                UT_METADATA,
                {b"msg_type": 1, b"piece": piece, b"total_size": len(raw)},
                raw[piece * PIECE_BYTES : (piece + 1) * PIECE_BYTES],
            )
        for piece in (5, 6, 1 << 30):
            peer.send(extended(ours, {"msg_type": 0, "piece": piece}))
            rejected = {b"msg_type": 2, b"piece": piece}
            assert await next_extended(peer) == (UT_METADATA, rejected, b"")
        kinds = []
        for _ in range(20):
            peer.send(extended(ours, {"msg_type": 0, "piece": 0}))
            _, answer, _ = await next_extended(peer)
            kinds.append(answer[b"msg_type"])
        assert kinds == [1] * 15 + [2] * 5
        await peer.close()


async def test_who_has_no_word_for_it_gets_no_metadata(tmp_path: Path) -> None:
    SMALL.store(tmp_path)
    async with running() as session:
        await seeding(session, Metainfo(SMALL.info), tmp_path)
        peer = await ScriptedPeer.meet(endpoint_of(session), SMALL.info.info_hash)
        await next_extended(peer)
        peer.send(extended(1, {"msg_type": 0, "piece": 0}), data_of(1, b"xyz", 0))
        assert await peer.is_alive()
        peer.send(extended(0, {"m": {"ut_metadata": 3}}))
        peer.send(extended(1, {"msg_type": 0, "piece": 0}))
        ext_id, _, data = await next_extended(peer)
        assert (ext_id, data) == (3, SMALL.info.raw)
        await peer.close()


async def test_a_client_without_extensions_is_not_told_of_them(tmp_path: Path) -> None:
    SMALL.store(tmp_path)
    async with running() as session:
        await seeding(session, Metainfo(SMALL.info), tmp_path)
        there = endpoint_of(session), SMALL.info.info_hash
        peer = await ScriptedPeer.meet(*there, reserved=FAST)
        assert await peer.is_alive()
        await peer.close()
