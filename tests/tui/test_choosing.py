"""Choosing files in the interface: of a torrent that is there, and before a new one begins."""

from __future__ import annotations

from pathlib import Path

from textual.widgets import Checkbox, Input

from engine.control.schema import FilePriority, FileRow, TorrentState
from engine.core.metainfo import Metainfo
from tests.fakes.fake_torrent import FakeTorrent
from tests.storage.torrents import Layout, sample
from tests.tui.scene import Scene, scene
from tui.screens.add import AddScreen
from tui.screens.choose import ChooseScreen
from tui.widgets.file_table import FileTable

SINTEL = "Sintel – Durian Open Movie Project"


def levels(torrent: FakeTorrent) -> list[str]:
    return [row.priority.value for row in torrent.files]


async def test_keys_in_the_tree_choose_at_once() -> None:
    async with scene() as shown:
        await shown.go_to(SINTEL)
        torrent = shown.engine.named(SINTEL)
        await shown.press("2", "enter")
        table = shown.main.query_one(FileTable)
        await shown.until(lambda: table.row_count == 7)
        await shown.says("▾ ■ media/")
        await shown.press("down", "space")
        await shown.until(lambda: levels(torrent) == ["skip", "normal", "normal", "normal"])
        await shown.says("□ README.txt")
        await shown.press("down", "plus")
        await shown.until(lambda: levels(torrent) == ["skip", "high", "high", "normal"])
        await shown.says("▲ high")
        await shown.press("enter")
        await shown.until(lambda: table.row_count == 5)
        await shown.says("▸ ■ media/")
        await shown.press("g", "space")
        await shown.until(lambda: levels(torrent) == ["normal"] * 4)
        assert shown.main.marks.targets(None) == [], "no torrent was marked by it"
        await shown.press("escape")
        await shown.until(lambda: "Resume" in shown.text()[-1])


async def _add(shown: Scene, source: str, *, begins: bool = True) -> ChooseScreen:
    await shown.press("a")
    screen = shown.app.screen
    assert isinstance(screen, AddScreen)
    screen.query_one("#source", Input).value = source
    screen.query_one("#begin", Checkbox).value = begins
    await shown.press("enter")
    await shown.until(lambda: isinstance(shown.app.screen, ChooseScreen))
    await shown.until(lambda: shown.app.screen.query("#choice"))
    chooser = shown.app.screen
    assert isinstance(chooser, ChooseScreen)
    return chooser


def _torrent(folder: Path) -> str:
    content = sample([Layout("a", 10), Layout("sub/b", 20)], 16)
    path = folder / "two.torrent"
    path.write_bytes(Metainfo(content.info).encode())
    return str(path)


async def test_a_new_torrent_begins_with_what_is_chosen(tmp_path: Path) -> None:
    async with scene() as shown:
        chooser = await _add(shown, _torrent(tmp_path))
        torrent = shown.engine.named("t")
        assert torrent.state is TorrentState.PAUSED, "nothing begins before"
        await shown.until(lambda: chooser.query_one(FileTable).row_count == 4)
        await shown.says("2 of 2 files, 30 B")
        await shown.press("down", "space")
        await shown.says("1 of 2 files, 20 B")
        await shown.press("enter")
        await shown.until(lambda: torrent.state is TorrentState.DOWNLOADING)
        assert levels(torrent) == ["skip", "normal"]
        await shown.until(lambda: not isinstance(shown.app.screen, ChooseScreen))


async def test_enter_twice_adds_and_escape_takes_it_back(tmp_path: Path) -> None:
    async with scene() as shown:
        chooser = await _add(shown, _torrent(tmp_path), begins=False)
        await shown.until(lambda: chooser.query_one(FileTable).row_count == 4)
        await shown.press("enter")
        await shown.until(lambda: not isinstance(shown.app.screen, ChooseScreen))
        assert shown.engine.named("t").state is TorrentState.PAUSED
        assert [call[0] for call in shown.engine.calls] == ["add"]
    async with scene() as shown:
        await _add(shown, _torrent(tmp_path))
        await shown.press("escape")
        await shown.until(lambda: len(shown.engine.torrents) == 12)
        assert shown.engine.calls[-1][0] == "remove"


async def test_a_link_shows_its_files_when_they_are_known() -> None:
    async with scene() as shown:
        chooser = await _add(shown, "magnet:?xt=urn:btih:" + "ab" * 20)
        await shown.says("once they are known")
        (torrent,) = [
            each for each in shown.engine.torrents.values() if each.state == TorrentState.METADATA
        ]
        torrent.files = [
            FileRow(path=f"t/{name}", size=5, have=0, index=number)
            for number, name in enumerate("abc")
        ]
        torrent.size, torrent.state = 15, TorrentState.PAUSED
        shown.engine.touch(torrent.info_hash)
        await shown.until(lambda: chooser.query_one(FileTable).row_count == 4)
        await shown.press("down", "minus", "enter")
        await shown.until(lambda: torrent.state is TorrentState.DOWNLOADING)
        assert torrent.files[0].priority is FilePriority.SKIP
