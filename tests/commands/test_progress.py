"""Progress: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys

import pytest

from engine.commands import progress
from engine.commands.progress import Display, transfer_text


def test_what_is_said_of_a_transfer() -> None:
    half = transfer_text(512 << 20, 1 << 30, 1 << 20, 1)
    assert half.split() == ["50.0%", "512M/1.00G", "1.00", "MiB/s", "1", "peer", "8m32s", "left"]
    assert transfer_text(0, 0, 0.0, 3).split()[0] == "100.0%"
    assert "left" not in transfer_text(5, 5, 9.0, 1)
    assert "left" not in transfer_text(5, 100, 9.0, 0), "nobody is there to send"


def test_the_columns_stay_where_they_are() -> None:
    texts = [transfer_text(done, 10**9, 1e6, 10) for done in (0, 10**6, 5 * 10**8, 10**9 - 1)]
    assert len({text.index("peers") for text in texts}) == 1


def test_lines_come_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with Display() as display:
        display.show(0.1, "too early")
        now += progress.LINE_EVERY_S
        display.show(0.2, "one \x1b[31m")
        display.show(0.3, "too early")
        now += progress.LINE_EVERY_S
        display.show(None, "two")
    assert capsys.readouterr().out == "one �[31m\ntwo\n"


def test_a_terminal_has_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    with Display() as display:
        display.show(0.5, "half [bold]of it")
        shown = capsys.readouterr().out
    assert "━━━" in shown
    assert "half [bold]of it" in shown
