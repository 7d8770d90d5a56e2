"""The details of the torrent under the cursor, wherever there is room for them."""

from __future__ import annotations

from engine.control.schema import TorrentState
from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import scene
from tui.widgets.details import DetailsPane

DEBIAN = "debian-13.1.0-amd64-DVD-1.iso"


async def test_each_tab_tells_its_part() -> None:
    told = {"2": "4.59G", "3": "Transmission", "4": "✗ failing", "5": "added", "1": "/srv/torrents"}
    async with scene(size=(120, 40)) as shown:
        await shown.go_to(DEBIAN)
        top = shown.main.query_one(DetailsPane).region.y
        for key, said in told.items():
            await shown.press(key)
            await shown.says(said, top)


async def test_the_overview_says_why_nothing_moves() -> None:
    async with scene() as shown:
        await shown.go_to("OpenStreetMap planet-260504.osm.pbf")
        await shown.says("no connected peer has a piece")
        await shown.go_to("LibriVox: Der Zauberberg")
        await shown.says("No space left on device")


async def test_what_is_not_known_of_a_link_is_not_called_nothing() -> None:
    engine = FakeEngine(1)
    link = engine.named(DEBIAN)
    link.state, link.size, link.have, link.files = TorrentState.METADATA, 0, 0, []
    link.peers, link.extra_peers, link.pace = 0, [], 0
    async with scene(engine, size=(120, 40)) as shown:
        await shown.says("not known yet")
        assert not any(" 0B " in line or "0 B of 0 B" in line for line in shown.text())
        for key, said in (
            ("2", "Its files are known once the metadata is here."),
            ("3", "No peer is connected; the overview says why."),
        ):
            await shown.press(key)
            await shown.says(said)
    async with scene() as shown:
        await shown.go_to("an empty file")
        await shown.says("0 B of 0 B")


async def test_into_the_details_and_back() -> None:
    async with scene(size=(120, 40)) as shown:
        await shown.go_to(DEBIAN)
        await shown.press("3", "enter")
        pane = shown.main.query_one(DetailsPane)
        assert pane.page.has_focus
        await shown.press("right")
        assert pane.page.has_focus
        assert pane.topic.value == "trackers"
        await shown.press("escape")
        assert shown.table.has_focus
        await shown.press("v")
        assert not pane.display
        await shown.press("2")
        assert pane.display


async def test_details_stand_where_there_is_room() -> None:
    async with scene(size=(80, 24)) as shown:
        for width, height, beside in ((80, 24, False), (200, 60, True), (120, 40, False)):
            await shown.pilot.resize_terminal(width, height)
            pane = shown.main.query_one(DetailsPane).region
            table = shown.table.region
            assert (pane.x >= table.right) == beside
            assert (pane.y >= table.bottom) == (not beside)


async def test_any_size_can_be_shown() -> None:
    async with scene(size=(80, 24)) as shown:
        for width, height in ((20, 5), (1, 1), (300, 90)):
            await shown.pilot.resize_terminal(width, height)
            await shown.press("3", "G", "D", "escape", "question_mark", "escape")
            assert all(len(line) == width for line in shown.text())
