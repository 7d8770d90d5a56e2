"""The arena: what one connection gets in a row is one piece."""

from __future__ import annotations

from engine.utp.arena import Arena


def test_what_follows_grows_the_piece() -> None:
    arena = Arena(memoryview(bytearray(10)))
    first = arena.place(b"abc", None)
    assert first == b"abc"
    assert arena.place(b"de", first) == b"abcde"
    assert arena.place(b"X", None) == b"X"
    assert arena.place(b"12345", None) is None, "it is full"
    arena.empty()
    assert arena.place(b"0123456789", None) == b"0123456789"
