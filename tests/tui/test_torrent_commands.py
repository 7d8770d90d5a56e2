"""Key presses reach the engine: for the torrent under the cursor, or all that are marked."""

from __future__ import annotations

from textual.widgets import Input

from engine.errors import StorageDeniedError
from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import scene
from tui.screens.limits import LimitsScreen
from tui.screens.question import QuestionScreen
from tui.widgets.bars import TitleBar

DEBIAN = "debian-13.1.0-amd64-DVD-1.iso"
ARCH = "archlinux-2026.05.01-x86_64.iso"
BUNNY = "Big Buck Bunny (2008) 4K 60fps"


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
        await shown.until(lambda: shown.toasts() == [f"Removed {DEBIAN}"])
        # Deleting is not what Enter does.
        await shown.go_to(ARCH)
        await shown.press("D", "enter")
        assert shown.engine.calls == []
        await shown.press("D", "y")
        await shown.until(lambda: shown.table.window.total == 10)
        assert shown.engine.calls[0][2] is True
        await shown.until(lambda: shown.toasts()[1:] == [f"Removed {ARCH} with its data"])
        await shown.press("g", "space", "space", "D", "y")
        await shown.until(lambda: shown.toasts()[2:] == ["Removed 2 torrents with their data"])


async def test_a_removal_that_is_refused_is_not_called_done() -> None:
    async with scene() as shown:
        shown.engine.fail_with = StorageDeniedError("deleting /srv/a: Permission denied")
        await shown.press("D", "y")
        await shown.until(shown.toasts)
        await shown.settle()
        assert shown.toasts() == ["deleting /srv/a: Permission denied"]


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
