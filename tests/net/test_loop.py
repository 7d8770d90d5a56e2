"""The loop that everything runs on."""

from __future__ import annotations

import asyncio
import sys

import pytest

from engine.net import loop


def test_the_fast_loop_is_used_where_there_is_one() -> None:
    uvloop = pytest.importorskip("uvloop")
    made = loop.new_event_loop()
    assert isinstance(made, uvloop.Loop)
    made.close()


def test_the_standard_loop_does_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)  # importing it fails
    made = loop.new_event_loop()
    assert isinstance(made, asyncio.SelectorEventLoop)
    made.close()


def test_run_gives_back_what_main_returns_and_raises() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    async def fail() -> None:
        raise ZeroDivisionError

    assert loop.run(answer()) == 42
    with pytest.raises(ZeroDivisionError):
        loop.run(fail())
