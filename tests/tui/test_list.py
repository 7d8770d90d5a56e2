"""What the engine does reaches the list; it is found in, ordered and drawn a screen at a time."""

from __future__ import annotations

import pytest
from textual.widgets import OptionList

from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import scene
from tui.screens.sort import SortScreen
from tui.widgets.bars import StatusLine
from tui.widgets.empty import EmptyState
from tui.widgets.filter_line import FilterLine

DEBIAN = "debian-13.1.0-amd64-DVD-1.iso"
ARCH = "archlinux-2026.05.01-x86_64.iso"


async def test_the_list_shows_every_torrent_in_order() -> None:
    async with scene(size=(120, 40)) as shown:
        names = sorted((each.name for each in shown.engine.torrents.values()), key=str.casefold)
        await shown.says(names[-1])
        lines = shown.text()
        for name, line in zip(names, lines[2:], strict=False):
            assert name[:20] in line


async def test_what_moves_in_the_engine_moves_on_the_screen() -> None:
    async with scene() as shown:
        torrent = shown.engine.named(DEBIAN)
        torrent.have = torrent.size
        shown.engine.tick(1)
        await shown.until(lambda: "100% ↑ seed" in shown.text()[5])
        assert shown.main.query_one(StatusLine).status == shown.engine.status()


@pytest.mark.parametrize(("width", "nodes"), [(120, 312), (120, None), (40, 312)])
async def test_the_nodes_of_the_dht_are_counted_where_there_is_room(
    width: int, nodes: int | None
) -> None:
    engine = FakeEngine()
    engine.dht_nodes = nodes
    async with scene(engine, size=(width, 24)) as shown:
        await shown.until(lambda: "peers" in "".join(shown.text()[-2:]))
        bottom = "".join(shown.text()[-2:])
        assert ("DHT 312 nodes" in bottom) is (nodes is not None and width > 100)
        assert "0.0.0.0:6881" in bottom or width < 100


@pytest.mark.parametrize("verdict", ["unknown", "reachable", "firewalled"])
@pytest.mark.parametrize("width", [120, 40])
async def test_whether_strangers_reach_us_is_said_when_it_is_known(
    width: int, verdict: str
) -> None:
    engine = FakeEngine()
    engine.reachability = verdict
    async with scene(engine, size=(width, 24)) as shown:
        await shown.until(lambda: "peers" in "".join(shown.text()[-2:]))
        bottom = "".join(shown.text()[-2:])
        assert (verdict in bottom) is (width > 100 and verdict != "unknown")


async def test_the_way_out_stands_where_nobody_connects_to_us() -> None:
    engine = FakeEngine()
    engine.way_out = "socks5://10.0.0.1:1080"
    async with scene(engine, size=(120, 24)) as shown:
        await shown.until(lambda: "by socks5://10.0.0.1:1080" in "".join(shown.text()[-2:]))


async def test_only_lines_that_changed_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(size=(80, 40)) as shown:
        table, drawn = shown.table, list[int]()
        render_line = table.render_line
        monkeypatch.setattr(table, "render_line", lambda y: (drawn.append(y), render_line(y))[1])
        torrent = shown.engine.named(DEBIAN)
        for rate in (123, 456):  # the first time what the start set going is drawn as well
            drawn.clear()
            torrent.down_rate = rate
            shown.engine.touch(torrent.info_hash)
            await shown.until(lambda text=f"{rate}B": text in shown.text()[5])
        assert set(drawn) == {4}


async def test_ten_thousand_torrents_are_drawn_a_screen_at_a_time() -> None:
    async with scene(FakeEngine(10_000)) as shown:
        assert len(shown.table.window.rows) < 100
        await shown.press("G")
        await shown.until(lambda: shown.table.cursor_row is not None)
        assert shown.table.cursor == 9_999
        last = max(shown.engine.torrents.values(), key=lambda each: each.name.casefold())
        await shown.until(lambda: shown.cursor_name == last.name)
        await shown.press("g", "pagedown", "down")
        await shown.until(lambda: shown.table.cursor_row is not None)
        assert shown.table.cursor == shown.table.visible_count
        assert len(shown.table.window.rows) < 100


async def test_the_cursor_stays_on_its_torrent_when_others_come_and_go() -> None:
    async with scene() as shown:
        await shown.go_to(DEBIAN)
        before = shown.table.cursor
        shown.engine.torrents.pop(gone := shown.hash_of(ARCH))
        shown.engine.log_changes.remove(gone)
        await shown.until(lambda: shown.table.window.total == 11)
        assert shown.cursor_name == DEBIAN
        assert shown.table.cursor == before - 1


async def test_an_empty_engine_says_what_to_do() -> None:
    async with scene(FakeEngine(0)) as shown:
        await shown.until(lambda: shown.main.query_one(EmptyState).has_rows)
        await shown.says("No torrents yet")
        await shown.says("seedwright add FILE")


async def test_the_filter_is_live() -> None:
    async with scene() as shown:
        await shown.press("slash", *"ubun")
        await shown.until(lambda: shown.table.window.total == 1)
        assert shown.cursor_name.startswith("ubuntu")
        await shown.press("backspace", "backspace", "backspace")
        await shown.until(lambda: shown.table.window.total > 1)
        await shown.press("enter")
        assert shown.table.has_focus
        assert not shown.main.query_one(FilterLine).display
        await shown.press("escape")
        await shown.until(lambda: shown.table.window.total == 12)


async def test_a_filter_without_matches_can_be_taken_off() -> None:
    async with scene() as shown:
        await shown.press("slash", *"xqz")
        await shown.until(lambda: shown.main.query_one(EmptyState).display)
        await shown.says("None of the 12 torrents matches")
        await shown.press("escape")
        await shown.until(lambda: shown.table.window.total == 12)
        assert shown.table.has_focus


async def test_states_are_shown_in_turn() -> None:
    async with scene() as shown:
        await shown.press("f")
        await shown.until(lambda: shown.table.window.total == 4)
        assert {row.state for row in shown.table.window.rows} == {"downloading"}
        await shown.press("escape")
        await shown.until(lambda: shown.table.window.total == 12)


async def test_sorting_by_the_list_by_a_click_and_round() -> None:
    async with scene() as shown:
        await shown.press("s")
        assert isinstance(shown.app.screen, SortScreen)
        options = shown.app.screen.query_one(OptionList)
        options.highlighted = options.get_option_index("size")
        await shown.press("enter")
        largest = max(shown.engine.torrents.values(), key=lambda each: each.size)
        await shown.until(lambda: shown.cursor_name == largest.name)
        await shown.press("S")
        await shown.until(lambda: shown.cursor_name == "an empty file")
        await shown.pilot.click("#torrents", offset=(4, 0))
        await shown.until(lambda: shown.main.asked.sort == "name")


async def test_a_click_moves_and_a_click_in_the_margin_marks() -> None:
    async with scene() as shown:
        await shown.pilot.click("#torrents", offset=(10, 4))
        assert shown.cursor_name == DEBIAN
        await shown.pilot.click("#torrents", offset=(0, 2))
        assert [each.name for each in shown.main.marks.targets(None)] == [ARCH]
