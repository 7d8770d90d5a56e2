"""An app on a real socket, with a fake engine behind it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot

from engine.control.server import ControlServer
from tests.fakes.fake_engine import FakeEngine
from tui.app import SeedwrightApp
from tui.link import Link
from tui.screens.main import MainScreen
from tui.store import Order
from tui.widgets.torrent_table import TorrentTable

PATIENCE_S = 20.0
QUIET_ROUNDS = 20
"""Rounds of the event loop without a message before an app counts as settled."""


class Scene:
    """What a test sees and does."""

    def __init__(self, app: SeedwrightApp, pilot: Pilot[int], engine: FakeEngine) -> None:
        self.app = app
        self.pilot = pilot
        self.engine = engine

    @property
    def main(self) -> MainScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, MainScreen)
        return screen

    @property
    def table(self) -> TorrentTable:
        return self.main.query_one(TorrentTable)

    @property
    def cursor_name(self) -> str:
        row = self.table.cursor_row
        return row.name if row else ""

    async def press(self, *keys: str) -> None:
        """Press keys, each after all that the one before has set going. Pilot's own `press` waits
        for a processor that has nothing to do, which takes long and guesses on a busy machine."""
        for key in keys:
            self.send(key)
            await self.settle()

    def send(self, *keys: str) -> None:
        """Press keys all at once, and wait for nothing."""
        driver = self.app._driver
        assert driver is not None
        for key in keys:
            char = key if len(key) == 1 else {"space": " ", "slash": "/", "colon": ":"}.get(key)
            name = _character_to_key(key) if len(key) == 1 else key
            event = events.Key(name, char)
            event.set_sender(self.app)
            driver.send_message(event)

    async def settle(self) -> None:
        """Let the app handle every message that waits, and those that these bring about."""
        quiet = 0
        async with asyncio.timeout(PATIENCE_S):
            while quiet < QUIET_ROUNDS:
                await asyncio.sleep(0)
                pumps = [self.app, *self.app.screen_stack, *self.app.screen.walk_children()]
                is_busy = any(pump._message_queue.qsize() for pump in pumps if pump._running)
                quiet = 0 if is_busy else quiet + 1

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the app run until something holds."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await self.pilot.pause(0.005)

    async def says(self, text: str, top: int = 0) -> None:
        """Wait until a text is on the screen, at or below the line `top`."""
        await self.until(lambda: text in "\n".join(self.text()[top:]))

    async def ready(self) -> None:
        """Wait until the screen has been laid out."""
        await self.until(
            lambda: (
                self.app.screen_stack
                and self.main.query(TorrentTable)
                and self.app.screen._compositor.size == self.app.size
            )
        )

    async def go_to(self, name: str) -> None:
        """Put the cursor on the torrent of that name, once it is among the held rows."""
        info_hash = self.hash_of(name)
        await self.until(lambda: self.table.window.find(info_hash))
        index = self.table.window.index_of(info_hash)
        assert index is not None
        self.table.move_cursor(index)
        await self.settle()

    def hash_of(self, name: str) -> str:
        return self.engine.named(name).info_hash

    def text(self) -> list[str]:
        """The lines on the screen."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        assert len(strips) == height
        return [strip.text.ljust(width) for strip in strips]

    def toasts(self) -> list[str]:
        return [note.message for note in self.app._notifications]


@asynccontextmanager
async def scene(
    engine: FakeEngine | None = None,
    size: tuple[int, int] = (80, 24),
    *,
    wait: bool = True,
    draws_toasts: bool = False,
    order: Order | None = None,
) -> AsyncIterator[Scene]:
    engine = engine or FakeEngine()
    with tempfile.TemporaryDirectory(prefix="seedwright-") as folder:
        server = ControlServer(engine, Path(folder, "engine.sock"))
        await server.start()
        link = Link(server.path, interval_s=0.05, poll_s=0.3, first_delay_s=0.01)
        app = SeedwrightApp(link, order=order)
        try:
            async with app.run_test(size=size, notifications=draws_toasts) as pilot:
                shown = Scene(app, pilot, engine)
                if wait:
                    await shown.until(lambda: shown.table.window.total == len(engine.torrents))
                yield shown
        finally:
            await server.stop()
