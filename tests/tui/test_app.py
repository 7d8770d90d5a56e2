"""Key presses reach the engine, and what the engine does reaches the screen: over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.message import Message
from textual.widgets import Button, Checkbox, Input, OptionList, Static

from engine.control.schema import TorrentState
from engine.control.server import ControlServer
from engine.core.metainfo import Metainfo
from engine.errors import StorageDeniedError
from tests.fakes.fake_engine import FakeEngine, FakeTorrent
from tests.tui.scene import Scene, scene
from tui.app import SeedwrightApp
from tui.link import Link
from tui.screens.add import AddScreen
from tui.screens.help import HelpScreen
from tui.screens.limits import LimitsScreen
from tui.screens.question import QuestionScreen
from tui.screens.sort import SortScreen
from tui.widgets.bars import KeyBar, StatusLine, TitleBar
from tui.widgets.details import DetailsPane
from tui.widgets.empty import EmptyState
from tui.widgets.filter_line import FilterLine

DEBIAN = "debian-13.1.0-amd64-DVD-1.iso"
ARCH = "archlinux-2026.05.01-x86_64.iso"
BUNNY = "Big Buck Bunny (2008) 4K 60fps"


# ── the list ──


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


# ── commands ──


async def test_a_key_reaches_the_torrent_under_the_cursor() -> None:
    async with scene() as shown:
        await shown.go_to(DEBIAN)
        commands = {"p": "pause", "r": "resume", "n": "announce", "c": "recheck"}
        for key, command in commands.items():
            shown.engine.calls.clear()
            await shown.press(key)
            await shown.until(lambda: shown.engine.calls)
            assert shown.engine.calls == [(command, [shown.hash_of(DEBIAN)])]


async def test_a_key_reaches_all_marked_torrents() -> None:
    async with scene() as shown:
        await shown.go_to(DEBIAN)
        await shown.press("space")
        await shown.go_to(ARCH)
        await shown.press("space")
        await shown.go_to(BUNNY)
        assert shown.main.query_one(TitleBar).marked == 2
        await shown.press("p")
        await shown.until(lambda: shown.engine.calls)
        assert shown.engine.calls == [("pause", [shown.hash_of(DEBIAN), shown.hash_of(ARCH)])]
        await shown.press("escape")
        assert not shown.main.marks


async def test_all_that_a_filter_shows_can_be_marked() -> None:
    async with scene(FakeEngine(400)) as shown:
        await shown.press("slash", *"libri", "enter", "A")
        matching = {
            each.info_hash
            for each in shown.engine.torrents.values()
            if "libri" in each.name.casefold()
        }
        await shown.until(lambda: len(shown.main.marks) == len(matching))
        await shown.press("p")
        await shown.until(lambda: shown.engine.calls)
        assert set(shown.engine.calls[0][1]) == matching


async def test_removing_names_what_goes_and_asks() -> None:
    async with scene() as shown:
        info_hash = shown.hash_of(DEBIAN)
        await shown.go_to(DEBIAN)
        await shown.press("d")
        assert isinstance(shown.app.screen, QuestionScreen)
        await shown.says(f"4.59G  {DEBIAN}")
        await shown.says("files stay")
        await shown.press("escape")
        assert not isinstance(shown.app.screen, QuestionScreen)
        assert shown.engine.calls == []
        await shown.press("d", "enter")
        await shown.until(lambda: shown.table.window.total == 11)
        assert shown.engine.calls.pop() == ("remove", [info_hash], False)
        # Deleting is not what Enter does.
        await shown.go_to(ARCH)
        await shown.press("D", "enter")
        assert shown.engine.calls == []
        await shown.press("D", "y")
        await shown.until(lambda: shown.table.window.total == 10)
        assert shown.engine.calls[0][2] is True


async def test_a_refusal_is_said_in_plain_words() -> None:
    async with scene() as shown:
        shown.engine.fail_with = StorageDeniedError("writing [/srv/a]: Permission denied")
        await shown.press("r")
        await shown.until(shown.toasts)
        assert shown.toasts() == ["writing [/srv/a]: Permission denied"]


async def test_marks_of_torrents_that_are_gone_are_forgotten() -> None:
    async with scene() as shown:
        await shown.go_to(ARCH)
        await shown.press("space")
        await shown.go_to(DEBIAN)
        await shown.press("space")
        del shown.engine.torrents[shown.hash_of(ARCH)]
        await shown.press("p")
        await shown.until(shown.toasts)
        await shown.until(lambda: len(shown.main.marks) == 1)
        assert [each.name for each in shown.main.marks.targets(None)] == [DEBIAN]


# ── adding ──


async def test_adding_a_url() -> None:
    async with scene() as shown:
        await shown.press("a")
        shown.app.screen.query_one("#source", Input).value = "http://host/new%20one.torrent"
        await shown.press("enter")
        await shown.until(lambda: shown.table.window.total == 13)
        request = shown.engine.calls[0][1]
        assert request.source == "http://host/new%20one.torrent"
        assert (request.save_path, request.paused) == (None, False)
        assert not isinstance(shown.app.screen, AddScreen)


async def test_a_new_torrent_is_under_the_cursor() -> None:
    async with scene(FakeEngine(40)) as shown:
        await shown.go_to(DEBIAN)
        await shown.press("a")
        shown.app.screen.query_one("#source", Input).value = "http://host/new.torrent"
        await shown.press("enter")
        await shown.until(lambda: shown.cursor_name == "new")
        await shown.until(lambda: shown.toasts() == ["Added new"])


async def test_a_new_torrent_that_fails_at_once_is_said() -> None:
    async with scene() as shown:
        await shown.press("a")
        shown.app.screen.query_one("#source", Input).value = "http://host/new.torrent"
        insert = shown.engine._insert

        def checking(torrent: FakeTorrent) -> None:
            torrent.state, torrent.checked = TorrentState.CHECKING, 0.0
            insert(torrent)

        shown.engine._insert = checking  # type: ignore[method-assign]
        await shown.press("enter")
        await shown.until(lambda: shown.cursor_name == "new")
        assert shown.toasts() == ["Added new"]
        torrent = shown.engine.named("new")
        torrent.state, torrent.error = TorrentState.ERROR, "preparing /srv: Permission denied"
        shown.engine.touch(torrent.info_hash)
        await shown.until(lambda: "new: preparing /srv: Permission denied" in shown.toasts())
        shown.engine.touch(torrent.info_hash)
        await shown.settle()
        assert len(shown.toasts()) == 2


async def test_a_recheck_is_said_and_its_toast_covers_no_status() -> None:
    async with scene(draws_toasts=True) as shown:
        await shown.says("connected")
        _, keys = shown.text()[-2:]
        await shown.press("c")
        await shown.says("Checking 1 torrent on the disk.")
        assert shown.text()[-1] == keys
        assert shown.text()[-2].rstrip().endswith("connected")


def _torrent(folder: Path) -> tuple[Path, str]:
    info = b"d6:lengthi5e4:name5:hello12:piece lengthi16384e6:pieces20:" + bytes(20) + b"e"
    path = folder / "a [b] c.torrent"
    path.write_bytes(b"d4:info" + info + b"e")
    return path, str(Metainfo.parse(path.read_bytes()).info.info_hash)


async def test_adding_a_file_with_a_folder_and_paused(tmp_path: Path) -> None:
    path, info_hash = _torrent(tmp_path)
    async with scene() as shown:
        await shown.press("a")
        screen = shown.app.screen
        screen.query_one("#source", Input).value = f"'{path}'"
        screen.query_one("#save-path", Input).value = str(tmp_path)
        screen.query_one("#begin", Checkbox).value = False
        screen.query_one("#ok", Button).press()
        await shown.until(lambda: shown.table.window.total == 13)
        torrent = shown.engine.torrents[info_hash]
        assert torrent.name == "hello"
        assert torrent.save_path == str(tmp_path)
        assert torrent.state is TorrentState.PAUSED


async def test_a_switch_tells_without_colour_whether_it_is_on() -> None:
    async with scene() as shown:
        await shown.press("a")
        await shown.says("■ Begin at once")
        shown.app.screen.query_one("#begin").focus()
        await shown.press("space")
        await shown.says("□ Begin at once")
        await shown.says("■ Choose files first")


async def test_what_cannot_be_added_is_said_where_it_was_typed() -> None:
    said = {
        "": "name a .torrent file",
        "/nowhere/at/all.torrent": "No such file",
        "http://host/missing.torrent": "404 Not Found",
    }
    async with scene() as shown:
        await shown.press("a")
        wrong = shown.app.screen.query_one(".wrong", Static)
        for source, reason in said.items():
            shown.app.screen.query_one("#source", Input).value = source
            await shown.settle()
            await shown.press("enter")
            await shown.says(reason)
            assert wrong.display
            assert isinstance(shown.app.screen, AddScreen)
        await shown.press("escape")
        assert not isinstance(shown.app.screen, AddScreen)


# ── limits ──


async def test_limiting_the_engine() -> None:
    async with scene() as shown:
        await shown.press("L")
        shown.app.screen.query_one("#down", Input).value = "1.5M"
        await shown.press("enter")
        await shown.until(lambda: shown.engine.calls)
        assert shown.engine.calls == [("set_limits", None, 1536 * 1024, 0)]
        await shown.until(lambda: "≤ 1.50M" in shown.text()[-2])


async def test_limiting_a_torrent_begins_with_its_limits() -> None:
    async with scene() as shown:
        shown.engine.named(DEBIAN).up_limit = 3 * 1024
        await shown.go_to(DEBIAN)
        await shown.press("l")
        up = shown.app.screen.query_one("#up", Input)
        await shown.until(lambda: up.value == "3K")
        shown.app.screen.query_one("#down", Input).value = "nonsense"
        await shown.press("enter")
        await shown.until(lambda: shown.app.screen.query_one(".wrong").display)
        assert isinstance(shown.app.screen, LimitsScreen)
        shown.app.screen.query_one("#down", Input).value = "7"
        await shown.press("enter")
        await shown.until(lambda: shown.engine.calls)
        assert shown.engine.calls == [("set_limits", shown.hash_of(DEBIAN), 7 * 1024, 3 * 1024)]


# ── finding ──


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


# ── details ──


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


# ── program ──


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


# ── the link on the screen ──


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
