"""Pictures of the scenes that people see; renewed only on purpose, and then looked at."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.control.server import ControlServer
from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import Scene
from tui.app import SeedwrightApp
from tui.link import Link
from tui.screens.choose import ChooseScreen
from tui.widgets.details import DetailsPane
from tui.widgets.file_table import FileTable
from tui.widgets.table import ListTable

SMALL, MEDIUM, LARGE = (80, 24), (120, 40), (200, 60)
DEBIAN = "debian-13.1.0-amd64-DVD-1.iso"

Play = Callable[[Scene], Awaitable[None]]
SnapCompare = Callable[..., bool]


class ServedApp(SeedwrightApp):
    """Brings its engine along, on its own event loop."""

    def __init__(self, engine: FakeEngine, path: Path, theme: str) -> None:
        super().__init__(Link(path, interval_s=0.05, poll_s=0.3), theme=theme)
        self.engine = engine
        self.server = ControlServer(engine, path)

    async def on_load(self) -> None:
        await self.server.start()

    async def on_unmount(self) -> None:
        await self.server.stop()


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(os.environ, "TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def picture(snap_compare: SnapCompare) -> Callable[..., bool]:
    def compare(
        play: Play,
        size: tuple[int, int],
        *,
        count: int = 12,
        theme: str = "seedwright-dark",
    ) -> bool:
        engine = FakeEngine(count)

        async def run(pilot: Pilot[Any]) -> None:
            app = pilot.app
            assert isinstance(app, ServedApp)
            shown = Scene(app, pilot, engine)
            await shown.ready()
            await shown.until(lambda: shown.table.window.total == count)
            await play(shown)
            await shown.until(lambda: not count or _is_complete(shown))

        with tempfile.TemporaryDirectory(prefix="seedwright-") as folder:
            app = ServedApp(engine, Path(folder, "engine.sock"), theme)
            return snap_compare(app, terminal_size=size, run_before=run)

    return compare


def _is_complete(shown: Scene) -> bool:
    """The details are those of the torrent under the cursor, and all there."""
    page = shown.main.query_one(DetailsPane).page
    if isinstance(page, ListTable):
        return page.row_count > 0
    info = shown.main.query_one(DetailsPane).info
    return info is not None and info.row.name == shown.cursor_name


async def _overview(shown: Scene) -> None:
    await shown.go_to(DEBIAN)


async def _marked_and_peers(shown: Scene) -> None:
    for name in ("Sintel – Durian Open Movie Project", DEBIAN):
        await shown.go_to(name)
        await shown.press("space")
    await shown.go_to(DEBIAN)
    await shown.press("3")


async def _deleting(shown: Scene) -> None:
    await shown.press("space", "space", "space", "D")


async def _filtering(shown: Scene) -> None:
    await shown.press("slash")
    shown.main.query_one("FilterLine", Input).value = "blender"
    await shown.until(lambda: shown.table.window.total < 20)


async def _help(shown: Scene) -> None:
    await shown.press("question_mark")


async def _nothing(shown: Scene) -> None:
    await shown.until(lambda: "No torrents yet" in "\n".join(shown.text()))


SINTEL = "Sintel – Durian Open Movie Project"


async def _files(shown: Scene) -> None:
    await shown.go_to(SINTEL)
    await shown.press("2", "enter", "down")
    table = shown.main.query_one(FileTable)
    await shown.until(lambda: table.row_count > 3)
    await shown.press("space", "down", "down", "plus")
    await shown.until(lambda: len(shown.engine.calls) == 2)
    await shown.settle()


async def _choosing(shown: Scene) -> None:
    row = shown.engine.named(SINTEL).row()
    await shown.app.push_screen(ChooseScreen(shown.main.link, row, begins=True))
    table = shown.app.screen.query_one(FileTable)
    await shown.until(lambda: table.row_count > 3)
    await shown.press("down", "down", "down", "space")


async def _adding(shown: Scene) -> None:
    await shown.press("a")


def test_the_files_and_which_are_wanted(picture: Callable[..., bool]) -> None:
    assert picture(_files, SMALL)


def test_choosing_files_before_the_start(picture: Callable[..., bool]) -> None:
    assert picture(_choosing, SMALL)


def test_adding(picture: Callable[..., bool]) -> None:
    assert picture(_adding, SMALL)


def test_the_list_and_the_overview_in_a_small_terminal(picture: Callable[..., bool]) -> None:
    assert picture(_overview, SMALL)


def test_marks_and_peers(picture: Callable[..., bool]) -> None:
    assert picture(_marked_and_peers, MEDIUM)


def test_the_light_theme(picture: Callable[..., bool]) -> None:
    assert picture(_overview, MEDIUM, theme="seedwright-light")


def test_details_beside_a_long_list(picture: Callable[..., bool]) -> None:
    assert picture(_overview, LARGE, count=300)


def test_a_live_filter(picture: Callable[..., bool]) -> None:
    assert picture(_filtering, SMALL, count=200)


def test_deleting_data_names_what_goes(picture: Callable[..., bool]) -> None:
    assert picture(_deleting, SMALL)


def test_help(picture: Callable[..., bool]) -> None:
    assert picture(_help, SMALL)


def test_an_empty_engine(picture: Callable[..., bool]) -> None:
    assert picture(_nothing, SMALL, count=0)


def test_no_engine(snap_compare: SnapCompare) -> None:
    async def wait(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, SeedwrightApp)
        shown = Scene(app, pilot, FakeEngine(0))
        await shown.ready()
        await shown.until(lambda: "not reachable" in shown.text()[0])

    app = SeedwrightApp(Link(Path("/nowhere/seedwright/engine.sock")))
    assert snap_compare(app, terminal_size=SMALL, run_before=wait)


class ServedFleet(SeedwrightApp):
    """Brings its engines along; one that has none does not answer."""

    def __init__(self, engines: dict[str, FakeEngine | None]) -> None:
        super().__init__(
            *(Link(Path(f"{name}.sock"), name, interval_s=0.05, poll_s=0.3) for name in engines)
        )
        self.engines = engines
        self.servers = [
            ControlServer(engine, Path(f"{name}.sock"))
            for name, engine in engines.items()
            if engine
        ]

    async def on_load(self) -> None:
        for server in self.servers:
            await server.start()

    async def on_unmount(self) -> None:
        for server in self.servers:
            await server.stop()


@pytest.mark.parametrize("size", [SMALL, (140, 40)], ids=["small", "wide"])
@pytest.mark.parametrize("key", ["up", "enter"], ids=["all", "one"])
def test_several_engines(
    snap_compare: SnapCompare,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    key: str,
) -> None:
    engines: dict[str, FakeEngine | None] = {
        "seedbox-0": FakeEngine(12),
        "seedbox-1": FakeEngine(300, seed=3),
        "attic": None,
        "an engine with a name that is long": FakeEngine(0),
    }
    first, second = list(engines.values())[:2]
    assert first is not None
    assert second is not None
    first.reachability, first.dht_nodes = "reachable", 312
    second.reachability = "firewalled"

    async def run(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, ServedFleet)
        shown = Scene(app, pilot, FakeEngine(0))
        await shown.until(lambda: app.screen._compositor.size == app.size)
        await shown.says("● 3 of 4 up")
        await shown.says("no engine runs at attic.sock")
        await shown.press(key)
        if key == "enter":
            await shown.says("Info-hash" if size[1] > 30 else "Ratio")
            await shown.says("312 nodes")

    with tempfile.TemporaryDirectory(prefix="seedwright-") as folder:
        monkeypatch.chdir(folder)
        assert snap_compare(ServedFleet(engines), terminal_size=size, run_before=run)
