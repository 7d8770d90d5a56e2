"""Dialogues in a terminal of a few lines: what they ask for and what is wrong must be seen."""

from __future__ import annotations

import pytest
from textual.widget import Widget
from textual.widgets import Button, Input, OptionList, Static

from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import Scene, scene
from tui.screens.choose import ChooseScreen
from tui.screens.dialogue import Dialogue
from tui.screens.help import HelpScreen
from tui.screens.question import STOP_THE_ENGINE, QuestionScreen
from tui.screens.sort import SortScreen
from tui.widgets.details import DetailsPane
from tui.widgets.file_table import FileTable

TINY, LOW = (20, 5), (40, 10)
SINTEL = "Sintel – Durian Open Movie Project"
DIALOGUES = {"a": "#source", "l": "#down", "L": "#down", "P": "#peer"}
"""Keys that open a dialogue, and the line that has the focus then."""


def _opened(shown: Scene, key: str) -> tuple[Dialogue, Input]:
    """The dialogue that the key has opened, and its line that has the focus."""
    screen = shown.app.screen
    assert isinstance(screen, Dialogue)
    return screen, screen.query_one(DIALOGUES[key], Input)


def _is_seen(shown: Scene, widget: Widget) -> bool:
    """Its lines are all on the screen, in front."""
    x, y, _, height = widget.region
    return height > 0 and all(
        shown.app.screen.region.contains(x, line)
        and shown.app.screen.get_widget_at(x, line)[0] in (widget, *widget.walk_children())
        for line in (y, y + height - 1)
    )


@pytest.mark.parametrize("size", [TINY, LOW])
@pytest.mark.parametrize("key", DIALOGUES)
async def test_a_dialogue_shows_its_line_and_what_is_wrong_with_it(
    key: str, size: tuple[int, int]
) -> None:
    async with scene(size=size) as shown:
        await shown.press(key)
        screen, line = _opened(shown, key)
        await shown.until(lambda: _is_seen(shown, line))
        line.value = "http://[" + "no address at all " * 20
        await shown.press("enter")
        wrong = screen.query_one(".wrong")
        await shown.until(lambda: wrong.display and _is_seen(shown, wrong))
        await shown.until(lambda: _is_seen(shown, line))


@pytest.mark.parametrize("size", [(80, 20), (60, 16), (47, 24), (47, 20), (40, 12), (30, 24)])
@pytest.mark.parametrize("key", DIALOGUES)
async def test_what_is_wrong_is_cut_to_the_room_that_the_buttons_leave(
    key: str, size: tuple[int, int]
) -> None:
    async with scene(size=size) as shown:
        await shown.press(key)
        screen, line = _opened(shown, key)
        wrong = screen.query_one(".wrong", Static)
        line.value = "/" + "no address at all " * 300
        await shown.press("enter")
        await shown.until(lambda: wrong.display and _is_seen(shown, wrong))
        for widget in (screen.query_one("#ok"), screen.query_one("#cancel"), line):
            await shown.until(lambda: _is_seen(shown, widget))  # noqa: B023
        assert key == "P" or "…" in str(wrong.content)
        await shown.pilot.resize_terminal(40, 10)
        await shown.until(lambda: shown.app.screen._compositor.size == (40, 10))
        for widget in (screen.query_one("#ok"), wrong, line):
            await shown.until(lambda: _is_seen(shown, widget))  # noqa: B023


async def test_a_toast_covers_no_dialogue_of_a_few_lines() -> None:
    async with scene(size=TINY, draws_toasts=True) as shown:
        shown.app.notify("one two three four five", timeout=600)
        await shown.says("▌ three")
        await shown.press("a")
        screen = shown.app.screen
        await shown.until(lambda: [toast.display for toast in screen.query("Toast")] == [False])
        await shown.says("Add a torrent")
        assert "▌ three" not in "\n".join(shown.text())
        await shown.press("escape")
        await shown.says("▌ three")


@pytest.mark.parametrize("size", [TINY, LOW])
async def test_every_line_of_a_dialogue_comes_into_sight_with_the_focus(
    size: tuple[int, int],
) -> None:
    async with scene(size=size) as shown:
        await shown.press("a")
        for name in ("#save-path", "#choose", "#begin"):
            await shown.press("tab")
            focused = shown.app.screen.query_one(name)
            assert shown.app.focused is focused
            await shown.until(lambda: _is_seen(shown, focused))  # noqa: B023


@pytest.mark.parametrize("size", [TINY, LOW])
async def test_a_question_shows_what_is_asked_and_its_answers(size: tuple[int, int]) -> None:
    async with scene(size=size) as shown:
        await shown.press("D")
        screen = shown.app.screen
        assert isinstance(screen, QuestionScreen)
        await shown.until(lambda: _is_seen(shown, screen.query_one(".title")))
        for button in screen.query(Button):
            await shown.until(lambda: _is_seen(shown, button))  # noqa: B023
        said = " ".join(shown.text())
        assert "files?" in said
        assert "Delete the files" in said
        screen.dismiss(False)
        question = QuestionScreen(STOP_THE_ENGINE)
        await shown.app.push_screen(question)
        await shown.says("Leave it running")
        await shown.says("Stop the engine?")
        assert all(_is_seen(shown, button) for button in question.query(Button))


@pytest.mark.parametrize("size", [TINY, LOW])
async def test_the_tree_of_files_and_the_orders_have_some_lines(size: tuple[int, int]) -> None:
    async with scene(FakeEngine(), size=size) as shown:
        await shown.press("s")
        assert isinstance(shown.app.screen, SortScreen)
        orders = shown.app.screen.query_one(OptionList)
        await shown.until(lambda: orders.region.height >= 3 and _is_seen(shown, orders))
        await shown.press("escape")
        row = shown.engine.named(SINTEL).row()
        await shown.app.push_screen(ChooseScreen(shown.main.link, row, begins=True))
        table = shown.app.screen.query_one(FileTable)
        await shown.until(lambda: table.row_count > 3)
        await shown.until(lambda: table.region.height >= 3 and _is_seen(shown, table))
        await shown.says("■ README")


async def test_the_help_of_a_narrow_screen_has_its_keys_above_their_meaning() -> None:
    async with scene(size=LOW) as shown:
        await shown.press("question_mark")
        assert isinstance(shown.app.screen, HelpScreen)
        await shown.says("Add a torrent by its file, its")
        lines = [line.strip(" ▌▁") for line in shown.text()]
        assert lines[lines.index("a") + 1] == "Add a torrent by its file, its"


def _rows_of_the_list(shown: Scene) -> list[str]:
    """The lines with a torrent of the list."""
    names = [each.name[:6] for each in shown.engine.torrents.values()]
    return [line for line in shown.text() if any(f"  {name}" in line for name in names)]


@pytest.mark.parametrize("size", [(80, 14), (80, 12), (80, 10), (80, 8), (40, 12), (40, 10)])
@pytest.mark.parametrize("key", ["enter", "3"])
async def test_the_details_leave_the_list_three_rows(key: str, size: tuple[int, int]) -> None:
    async with scene(size=size) as shown:
        await shown.press("G", key)
        await shown.until(lambda: len(_rows_of_the_list(shown)) >= 3)
        await shown.until(lambda: shown.table.scroll_offset.y)
        pane = shown.main.query_one(DetailsPane)
        assert pane.display == (size[1] >= 10)
        await shown.until(lambda: not pane.display or pane.region.height >= 3)
        assert bool(shown.toasts()) == (size[1] < 10)
        await shown.press("slash")
        await shown.until(lambda: len(_rows_of_the_list(shown)) >= 3)


async def test_details_with_the_focus_give_it_back_when_the_screen_gets_low() -> None:
    async with scene() as shown:
        await shown.press("G", "3", "enter")
        last = shown.cursor_name
        assert shown.main.query_one(DetailsPane).page.has_focus
        await shown.pilot.resize_terminal(80, 8)
        await shown.until(lambda: shown.table.has_focus)
        await shown.until(lambda: any(last[:12] in line for line in shown.text()))
        await shown.pilot.resize_terminal(80, 24)
        await shown.until(lambda: shown.main.query_one(DetailsPane).region.height >= 8)


@pytest.mark.parametrize("size", [(20, 5), (20, 4), (10, 3), (10, 2)])
@pytest.mark.parametrize("key", ["enter", "down", "slash"])
async def test_the_row_under_the_cursor_is_seen_on_a_few_lines(
    key: str, size: tuple[int, int]
) -> None:
    async with scene(size=size) as shown:
        await shown.press("G", key)
        if key == "slash" and size[1] < 3:
            return  # what is typed is all that has room
        name = shown.cursor_name[:3]
        await shown.until(lambda: any(f"  {name}" in line for line in shown.text()))


@pytest.mark.parametrize("size", [(80, 12), (80, 8), (40, 10)])
async def test_an_empty_list_shows_the_hints_that_fit(size: tuple[int, int]) -> None:
    hints = ("No torrents yet", "a  adds a .torrent", "?  shows all keys", "seedwright add FILE")
    async with scene(FakeEngine(0)) as shown:
        await shown.says(hints[-1])
        await shown.press("v", "v")
        await shown.pilot.resize_terminal(*size)
        for hint in hints:
            await shown.says(hint)


async def test_an_empty_list_on_a_few_lines_says_how_to_add() -> None:
    async with scene(FakeEngine(0), size=(80, 5)) as shown:
        for hint in ("No torrents yet", "a  adds a .torrent", "?  shows all keys"):
            await shown.says(hint)
