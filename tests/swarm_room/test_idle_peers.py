"""Which pieces those could send who have nothing left to be asked for."""

from __future__ import annotations

from engine.core.bitfield import Bitfield
from engine.swarm.idle_peers import IdlePeers


class Counted(Bitfield):
    """Counts how often somebody looks."""

    looks = 0

    def __getitem__(self, index: int) -> bool:
        self.looks += 1
        return super().__getitem__(index)


def test_each_is_looked_at_once_a_tick_for_each_piece() -> None:
    idle, pieces = IdlePeers(), Counted(10)
    pieces.add(3)
    for _ in range(200):
        assert idle.see([pieces], 1.0)
        assert idle.could_send(3)
        assert not idle.could_send(4)
    assert pieces.looks == 2


def test_the_next_tick_finds_others() -> None:
    idle = IdlePeers()
    assert not idle.see([], 1.0)
    assert not idle.see([Bitfield.full(2)], 1.0)
    assert not idle.could_send(0)
    assert idle.see([Bitfield.full(2)], 2.0)
    assert idle.could_send(0)
    assert not idle.see([], 3.0)
    assert not idle.could_send(0)
