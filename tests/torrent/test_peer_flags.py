from __future__ import annotations

from pathlib import Path

from engine.torrent.peer_flags import peer_flags
from tests.fakes import scripted_peer as wire
from tests.torrent.one_torrent import ALL, bits, one_torrent


async def test_flags_tell_the_state_of_both_sides(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=bits(1))
        await visitor.until(wire.INTERESTED)
        peer = one.known()
        assert peer_flags(peer) == "dIX"
        visitor.send(wire.frame(wire.UNCHOKE), wire.frame(wire.INTERESTED))
        await visitor.until(wire.UNCHOKE)
        assert peer_flags(peer) == "DUIX"
        assert not peer.is_seed
        assert peer.is_interested
        assert not peer.is_choked
        plain = await one.visitor(1, has=ALL, reserved=wire.PLAIN)
        await plain.until(wire.INTERESTED)
        assert peer_flags(one.known(1)) == "dIH"
        assert one.known(1).is_seed
