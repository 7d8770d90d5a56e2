"""The program around the screens, and an engine that comes and goes: over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from engine.control.server import ControlServer
from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import Scene, scene
from tui.app import SeedwrightApp
from tui.link import Link
from tui.screens.help import HelpScreen
from tui.widgets.bars import KeyBar

DEBIAN = "debian-13.1.0-amd64-DVD-1.iso"


async def test_help_and_palette_open() -> None:
    async with scene() as shown:
        await shown.press("question_mark")
        assert isinstance(shown.app.screen, HelpScreen)
        await shown.press("escape", "colon", *"recheck")
        await shown.says("Recheck")
        await shown.press("enter")
        await shown.until(lambda: shown.engine.calls)
        assert shown.engine.calls[0][0] == "recheck"


async def test_quitting_leaves_the_engine_alone() -> None:
    async with scene() as shown:
        await shown.press("q")
        await shown.until(lambda: not shown.app.is_running or shown.app._exit)
        assert shown.app.return_value == 0
        assert not shown.engine.is_shut_down


async def test_stopping_the_engine_asks_first() -> None:
    async with scene() as shown:
        await shown.press("Q", "enter")
        assert not shown.engine.is_shut_down
        await shown.press("Q", "y")
        await shown.until(lambda: shown.engine.is_shut_down)


async def test_both_themes_and_the_others() -> None:
    async with scene() as shown:
        await shown.press("t")
        assert shown.app.theme == "seedwright-light"
        await shown.press("t")
        assert shown.app.theme == "seedwright-dark"
        for theme in ("nord", "textual-light", "ansi-dark"):
            shown.app.theme = theme
            await shown.says(DEBIAN[:10])


async def test_an_engine_that_goes_and_comes_back(tmp_path: Path) -> None:
    engine = FakeEngine()
    path = tmp_path / "s"
    app = SeedwrightApp(Link(path, interval_s=0.05, first_delay_s=0.01))
    async with app.run_test(size=(80, 24)) as pilot:
        shown = Scene(app, pilot, engine)
        await shown.until(lambda: "not reachable – retrying" in shown.text()[0])
        assert not shown.main.query_one(KeyBar).has_engine
        await shown.press("p", "r", "d", "enter", "n")
        for _ in range(2):
            server = ControlServer(engine, path)
            await server.start()
            await shown.until(lambda: shown.table.window.total == 12 and shown.table.display)
            await shown.until(lambda: "12 torrents" in shown.text()[0])
            await server.stop()
            await shown.until(lambda: "not reachable – retrying" in shown.text()[0])
            await shown.says(DEBIAN[:10])
        await shown.press("p")
        await shown.until(lambda: "the engine is not reachable" in shown.toasts())


async def test_it_is_calm_until_a_try_to_connect_has_failed(tmp_path: Path) -> None:
    class Slow(Link):
        async def run(self, post: Callable[[Message], object]) -> None:
            await may_try.wait()
            await super().run(post)

    may_try = asyncio.Event()
    app = SeedwrightApp(Slow(tmp_path / "s"))
    async with app.run_test(size=(80, 24)) as pilot:
        shown = Scene(app, pilot, FakeEngine())
        await shown.ready()
        await shown.says("connecting …", top=22)
        assert "not" not in "\n".join(shown.text())
        may_try.set()
        await shown.says("✗ not connected")
        assert "not reachable" in shown.text()[0]


async def test_an_unanswering_engine_never_holds_up_a_key(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(silent, tmp_path / "s")
    app = SeedwrightApp(Link(tmp_path / "s"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
    server.close()
    await server.wait_closed()
