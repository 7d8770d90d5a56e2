"""When a turn of the loop takes long, and that it ends."""

from __future__ import annotations

import asyncio

import pytest

from engine.torrent import turn as turn_module
from engine.torrent.turn import Turn


async def test_a_turn_is_long_once_so_much_of_it_has_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(turn_module, "monotonic", lambda: now)
    loop, turn = asyncio.get_running_loop(), Turn()
    assert not turn.is_long(loop)
    now += turn_module.LONG_S / 2
    assert not turn.is_long(loop)
    now += turn_module.LONG_S
    assert turn.is_long(loop)
    assert turn.is_long(loop)
    await asyncio.sleep(0)
    assert not turn.is_long(loop)
