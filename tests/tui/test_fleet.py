"""Several engines in one interface: each does what it does, whatever becomes of the others."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.strip import Strip

from engine.control.server import ControlServer
from engine.engine_address import Program
from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import Scene
from tui.app import SeedwrightApp
from tui.fleet import EngineRow, Totals, totals
from tui.link import Link
from tui.screens.fleet import FleetScreen
from tui.screens.main import MainScreen
from tui.widgets.engine_card import lines
from tui.widgets.torrent_table import TorrentTable

DEBIAN = "debian-13.1.0-amd64-DVD-1.iso"


class Fleet(Scene):
    """What a test sees of engines, by their names; they begin to answer when it says so."""

    def __init__(self, app: SeedwrightApp, folder: Path, engines: dict[str, FakeEngine]) -> None:
        self.app = app
        self.engines = engines
        self.servers: dict[str, ControlServer] = {}
        self._folder = folder

    async def begin(self, *names: str) -> None:
        for name in names:
            server = ControlServer(self.engines[name], self._folder / name)
            await server.start()
            self.servers[name] = server

    async def end(self, *names: str) -> None:
        for name in names:
            await self.servers.pop(name).stop()

    @property
    def fleet(self) -> FleetScreen:
        screen = self.app.screen_stack[0]
        assert isinstance(screen, FleetScreen)
        return screen

    def row(self, name: str) -> EngineRow:
        return next(row for row in self.fleet.rows if row.name == name)

    async def open(self, name: str) -> MainScreen:
        """Go to an engine's torrents, from wherever we are."""
        if isinstance(self.app.screen, MainScreen):
            await self.press("e")
        self.fleet.table.move_cursor([row.name for row in self.fleet.rows].index(name))
        await self.press("enter")
        screen = self.app.screen
        assert isinstance(screen, MainScreen)
        await self.until(lambda: screen.query(TorrentTable))
        return screen

    async def shows(self, name: str, count: int) -> MainScreen:
        """Open an engine and wait for its torrents."""
        screen = await self.open(name)
        table = screen.query_one(TorrentTable)
        await self.until(lambda: table.window.total == count and table.cursor_row is not None)
        return screen


@asynccontextmanager
async def fleet(
    engines: dict[str, FakeEngine],
    size: tuple[int, int] = (80, 24),
    *,
    first_delay_s: float = 0.01,
) -> AsyncIterator[Fleet]:
    with tempfile.TemporaryDirectory(prefix="seedwright-") as folder:
        links = [
            Link(
                Path(folder, name),
                name,
                interval_s=0.05,
                poll_s=0.1,
                first_delay_s=first_delay_s,
                longest_delay_s=0.02,
            )
            for name in engines
        ]
        app = SeedwrightApp(*links)
        shown = Fleet(app, Path(folder), engines)
        try:
            async with app.run_test(size=size) as pilot:
                shown.pilot = pilot
                await shown.until(lambda: app.screen._compositor.size == app.size)
                yield shown
        finally:
            await shown.end(*list(shown.servers))


async def test_a_row_an_engine() -> None:
    engines = {"box": FakeEngine(12), "other": FakeEngine(40)}
    engines["box"].reachability = "reachable"
    async with fleet(engines) as shown:
        await shown.begin("box")
        await shown.until(lambda: "2 engines" in shown.text()[0])
        await shown.until(lambda: shown.text()[2].split()[:4] == ["box", "●", "up", "12"])
        await shown.says("✗ no engine runs at")
        assert "1 not reachable" in shown.text()[0]
        assert "reachable  0.1.0" in shown.text()[2]
        assert shown.text()[2].startswith(" box ")
        await shown.says("● 1 of 2 up")
        await shown.begin("other")
        await shown.says("● all up")
        both = [engine.status() for engine in engines.values()]
        assert f"{sum(status.peers for status in both)} peers  52 torrents" in shown.text()[-2]
        assert "not reachable" not in shown.text()[0]


async def test_what_moves_in_each_engine_moves_in_its_row() -> None:
    async with fleet({"box": FakeEngine(12), "other": FakeEngine(40)}) as shown:
        await shown.begin("box", "other")
        await shown.says("● all up")
        for engine in shown.engines.values():
            for _ in range(2):
                engine.tick(1)
                await shown.until(
                    lambda: (
                        [row.status for row in shown.fleet.rows]
                        == [each.status() for each in shown.engines.values()]
                    )
                )


async def test_an_engine_that_dies_and_comes_back_disturbs_no_other() -> None:
    async with fleet({"box": FakeEngine(12), "other": FakeEngine(40)}) as shown:
        await shown.begin("box", "other")
        screen = await shown.shows("box", 12)
        for _ in range(3):
            await shown.end("other")
            await shown.until(lambda: shown.row("other").trouble)
            assert shown.row("other").status is None
            assert shown.row("box").status is not None
            assert "not reachable" not in shown.text()[0]
            shown.engines["box"].named(DEBIAN).have += 1 << 20
            shown.engines["box"].tick(1)
            await shown.until(lambda: shown.row("box").status == shown.engines["box"].status())
            await shown.begin("other")
            await shown.until(lambda: shown.row("other").status)
        await shown.end("box")
        await shown.until(lambda: "engine not reachable – retrying" in shown.text()[0])
        assert shown.text()[0].startswith(" seedwright › box ")
        assert shown.row("other").status is not None
        await shown.begin("box")
        await shown.until(lambda: "12 torrents" in shown.text()[0])
        assert screen.query_one(TorrentTable).row_count == 12


async def test_commands_go_to_the_engine_that_is_shown() -> None:
    engines = {name: FakeEngine(12) for name in ("box", "other", "third")}
    async with fleet(engines) as shown:
        await shown.begin(*engines)
        for name in ("other", "box", "third", "other"):
            screen = await shown.shows(name, 12)
            assert shown.text()[0].startswith(f" seedwright › {name} ")
            row = screen.query_one(TorrentTable).cursor_row
            assert row is not None
            await shown.press("p")
            await shown.until(lambda each=name: engines[each].calls)
            assert engines[name].calls.pop() == ("pause", [row.info_hash])
            assert not any(engine.calls for engine in engines.values())


async def test_the_engine_that_is_stopped_is_named() -> None:
    async with fleet({"box": FakeEngine(12), "other": FakeEngine(12)}) as shown:
        await shown.begin("box", "other")
        await shown.shows("other", 12)
        await shown.press("Q")
        await shown.says("Stop other?")
        await shown.press("y")
        await shown.until(lambda: shown.engines["other"].is_shut_down)
        assert not shown.engines["box"].is_shut_down


async def test_an_engine_that_nobody_looks_into_sends_no_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with fleet({"box": FakeEngine(400), "other": FakeEngine(400)}) as shown:
        held: dict[str, int] = {}
        told = FleetScreen.on_engine_told

        def count(self: FleetScreen, message: object) -> None:
            window = getattr(message.told, "window", None)  # type: ignore[attr-defined]
            if window is not None:
                held[shown.fleet.rows[message.place].name] = len(window.rows)  # type: ignore[attr-defined]
            told(self, message)  # type: ignore[arg-type]

        monkeypatch.setattr(FleetScreen, "on_engine_told", count)
        await shown.begin("box", "other")
        await shown.says("● all up")
        assert held == {"box": 0, "other": 0}
        await shown.shows("other", 400)
        assert held["box"] == 0
        assert held["other"] >= 64
        await shown.press("e")
        await shown.until(lambda: held["other"] == 0)
        assert isinstance(shown.app.screen, FleetScreen)
        assert len(shown.app.screen_stack) == 1


async def test_an_engine_that_was_left_is_forgotten() -> None:
    async with fleet({"box": FakeEngine(40), "other": FakeEngine(40)}) as shown:
        await shown.begin("box", "other")

        async def held_after(rounds: int) -> tuple[int, int]:
            for _ in range(rounds):
                for name in shown.engines:
                    await shown.shows(name, 40)
            await shown.press("e")
            gc.collect()
            known = gc.get_objects()
            screens = sum(isinstance(each, MainScreen) for each in known)
            return screens, sum(isinstance(each, Strip) for each in known)

        _, strips = await held_after(2)
        screens, strips_later = await held_after(4)
        assert screens <= 1
        assert strips_later < strips + 400  # of one screen; eight were left


async def test_the_figures_under_the_cursor() -> None:
    engines = {"box": FakeEngine(12), "other": FakeEngine(3)}
    engines["other"].reachability, engines["other"].dht_nodes = "firewalled", 77
    async with fleet(engines) as shown:
        await shown.begin("box")
        await shown.says("● 1 of 2 up")
        await shown.says("Listens at 0.0.0.0:6881", top=12)
        await shown.press("down")
        await shown.says("it is tried again by itself; ^R does it now", top=12)
        await shown.begin("other")
        await shown.says("77 nodes", top=12)
        await shown.pilot.resize_terminal(80, 12)
        await shown.until(lambda: "77 nodes" not in "\n".join(shown.text()))
        assert shown.text()[-1].startswith(" Enter Open  ^R Connect now  ? Help")


async def test_any_size_can_be_shown() -> None:
    async with fleet({"box": FakeEngine(12), "away": FakeEngine(3)}) as shown:
        await shown.begin("box")
        await shown.says("● 1 of 2 up")
        for width, height in ((20, 5), (1, 1), (300, 90), (50, 20)):
            await shown.pilot.resize_terminal(width, height)
            await shown.press("down", "up", "question_mark", "escape")
            assert all(len(line) == width for line in shown.text())


async def test_help_begins_with_what_can_be_done_here() -> None:
    async with fleet({"one": FakeEngine(1), "two": FakeEngine(1)}) as shown:
        await shown.press("question_mark")
        await shown.says("In the list of engines: show this one's torrents.")
        await shown.press("escape")
        await shown.open("one")
        await shown.press("question_mark")
        await shown.says("Add a torrent by its file")


async def test_connecting_at_once() -> None:
    engines = {"box": FakeEngine(), "other": FakeEngine()}
    async with fleet(engines, first_delay_s=3600.0) as shown:
        await shown.until(lambda: all(row.trouble for row in shown.fleet.rows))
        await shown.begin(*engines)
        await shown.press("ctrl+r")
        await shown.says("● all up")


async def test_one_engine_has_no_list_of_engines() -> None:
    with tempfile.TemporaryDirectory(prefix="seedwright-") as folder:
        server = ControlServer(FakeEngine(), Path(folder, "s"))
        await server.start()
        app = SeedwrightApp(Link(server.path, "box"))
        async with app.run_test(size=(200, 40)) as pilot:
            shown = Scene(app, pilot, FakeEngine())
            await shown.until(lambda: shown.table.window.total == 12)
            await shown.press("e")
            assert isinstance(app.screen, MainScreen)
            screen = "\n".join(shown.text())
            assert "Engines" not in screen
            assert "box" not in screen
        await server.stop()


def test_totals_count_those_who_answer() -> None:
    status = FakeEngine(12).status()
    rows = [
        EngineRow("a", "/a").up("seedwright 1").told(status),
        EngineRow("b", "/b").up("seedwright 1").told(status).down("gone"),
        EngineRow("c", "/c"),
    ]
    counted = totals(rows)
    assert (counted.engines, counted.up, counted.down) == (3, 1, 1)
    assert (counted.torrents, counted.down_rate) == (12, status.down_rate)
    assert totals([]) == Totals()


@pytest.mark.parametrize("width", [20, 60, 80, 200])
@pytest.mark.parametrize(
    "change",
    [
        lambda row: row,
        lambda row: row.down("ssh: connect to host \x1b[31mbox: Connection refused"),
        lambda row: row.up("seedwright 0.1.0").told(FakeEngine().status()),
    ],
)
def test_the_card_fits_and_is_clean(change: Callable[[EngineRow], EngineRow], width: int) -> None:
    row = change(EngineRow("日本 box", str(Program("ssh://me@box", ("ssh",), "box"))))
    for line in lines(row, width):
        assert line.cell_length <= width
        assert "\x1b" not in line.plain
