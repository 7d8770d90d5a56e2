"""What is kept for the next time: found again, and never a reason to fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.app import App

from tests.tui.scene import scene
from tui.app import SeedwrightApp, run
from tui.memory import keep, recall
from tui.store import Order


def test_what_was_kept_is_recalled_beside_what_others_keep(tmp_path: Path) -> None:
    file = tmp_path / "new" / "interface.json"
    assert recall(file) == {}
    keep(file, theme="nord")
    keep(file, order="size")
    assert recall(file) == {"theme": "nord", "order": "size"}
    assert recall(None) == {}
    keep(None, theme="nord")


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff"])
def test_a_file_that_makes_no_sense_is_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "interface.json"
    file.write_text(text, encoding="latin-1")
    assert recall(file) == {}
    keep(file, theme="nord")
    assert recall(file) == {"theme": "nord"}


def test_where_nothing_can_be_kept_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keep(tmp_path / "file" / "interface.json", theme="nord")


@pytest.mark.parametrize(("kept", "shown"), [("nord", "nord"), ("gone", "seedwright-dark")])
def test_the_theme_is_that_of_the_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str, shown: str
) -> None:
    file = tmp_path / "interface.json"
    keep(file, theme=kept)
    seen: list[str] = []

    def stand_in(app: App[int]) -> int:
        seen.append(app.theme)
        app.theme = "dracula"
        return 0

    monkeypatch.setattr(App, "run", stand_in)
    assert run({}, file) == 0
    assert seen == [shown]
    assert recall(file)["theme"] == "dracula"


def test_the_order_is_that_of_the_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "interface.json"
    seen: list[Order] = []

    def stand_in(app: SeedwrightApp) -> int:
        seen.append(replace(app.order))
        app.order.sort, app.order.descending = "size", True
        return 0

    monkeypatch.setattr(SeedwrightApp, "run", stand_in)
    for _ in range(2):
        run({}, file)
    keep(file, sort="beauty")
    run({}, file)
    assert seen == [Order(), Order("size", True), Order()]


async def test_a_list_begins_in_the_order_that_was_kept() -> None:
    order = Order("size", True)
    async with scene(order=order) as shown:
        await shown.says("size ▼")
        await shown.until(lambda: shown.table.window.total)
        sizes = [row.size for row in shown.table.window.rows]
        await shown.until(lambda: (row := shown.table.window.row(0)) and row.size == max(sizes))
        await shown.press("S")
        assert order == Order("size", False)
        await shown.press("slash", *"deb", "escape")
        assert shown.main.asked == order.query()
