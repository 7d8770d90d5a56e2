"""What is kept for the next time: found again, and never a reason to fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.app import App

from tui.app import run
from tui.memory import keep, recall


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
    assert recall(file) == {"theme": "dracula"}
