"""The dialogue that adds a torrent, and what becomes of that."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from textual.events import Paste
from textual.widgets import Button, Checkbox, Input, Static

from engine.control.schema import TorrentState
from engine.core.metainfo import Metainfo
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.fake_torrent import FakeTorrent
from tests.tui.scene import scene
from tui.screens.add import LONGEST, AddScreen, Line

DEBIAN = "debian-13.1.0-amd64-DVD-1.iso"


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


async def test_what_was_pasted_by_mistake_leaves_the_buttons_in_sight() -> None:
    async with scene() as shown:
        await shown.press("a")
        screen = shown.app.screen
        screen.query_one("#source", Input).value = "/" + "x" * 100_000
        await shown.press("enter")
        wrong = screen.query_one(".wrong", Static)
        await shown.until(lambda: "File name too long" in str(wrong.content))
        await shown.until(lambda: screen.query_one("#ok", Button).region.bottom < 24)


async def test_what_is_longer_than_any_link_is_not_taken_in() -> None:
    async with scene() as shown:
        await shown.press("a")
        source = shown.app.screen.query_one("#source", Input)
        source.value = "x" * LONGEST
        await shown.press("x", "y")
        source.post_message(Paste("z" * 100_000))
        await shown.until(lambda: len(shown.app._notifications) == 1)
        assert source.value == "x" * LONGEST


async def test_what_is_no_address_is_said() -> None:
    async with scene() as shown:
        await shown.press("a")
        screen = shown.app.screen
        screen.query_one("#source", Input).value = "http://[::1/new.torrent"
        await shown.press("enter")
        wrong = screen.query_one(".wrong", Static)
        await shown.until(lambda: "Invalid IPv6 URL" in str(wrong.content))


async def test_typing_the_home_of_nobody_suggests_nothing() -> None:
    async with scene() as shown:
        await shown.press("a", *"~nobody-x", "slash", "a")
        source = shown.app.screen.query_one("#source", Input)
        await shown.until(lambda: source.value == "~nobody-x/a")
        await shown.press("enter")
        wrong = shown.app.screen.query_one(".wrong", Static)
        await shown.until(lambda: "no such user" in str(wrong.content))


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


@given(st.text(st.sampled_from("ab/ \t日本é́\x1b🇩🇪"), max_size=12) | st.text(max_size=12))
def test_a_line_counts_cells_as_textual_does(text: str) -> None:
    ours, theirs = Line(), Input()
    ours.set_reactive(Input.value, text)
    theirs.set_reactive(Input.value, text)
    assert ours.content_width == theirs.content_width
    for position in range(len(text) + 1):
        assert ours._position_to_cell(position) == theirs._position_to_cell(position)
