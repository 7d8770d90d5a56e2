"""The client's window: a gap is noticed, changes nothing, and only a snapshot heals it."""

from __future__ import annotations

from engine.control.schema import Delta, Snapshot
from engine.control.window import Window
from tests.fakes.fake_engine import FakeEngine


def test_a_gap_is_refused_until_the_next_snapshot() -> None:
    engine = FakeEngine(3)
    rows = [torrent.row() for torrent in engine.torrents.values()]
    first = Snapshot(id=1, seq=4, total=3, rows=rows, status=engine.status())
    window = Window()
    assert not window.apply(Delta(id=1, seq=1, total=9, rows=[]))
    assert window.apply(first)
    assert window.apply(Delta(id=1, seq=5, total=3, rows=[], order=[rows[2].info_hash]))
    assert window.rows == [rows[2]]
    assert not window.apply(Delta(id=1, seq=7, total=9, rows=[], order=[]))
    assert window.rows == [rows[2]]
    assert not window.apply(Delta(id=1, seq=8, total=9, rows=[], order=[]))
    assert window.apply(first)
    assert window.rows == rows
    assert window.total == 3
