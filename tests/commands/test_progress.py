"""Progress: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from engine.commands import progress
from engine.commands.progress import Display, transfer_text
from tests.commands.rig import ROOT


def test_what_is_said_of_a_transfer() -> None:
    half = transfer_text(512 << 20, 1 << 30, 1 << 20, 1)
    assert half.split() == ["50.0%", "512M/1.00G", "1.00", "MiB/s", "1", "peer", "8m32s", "left"]
    assert transfer_text(0, 0, 0.0, 3).split()[0] == "100.0%"
    assert "left" not in transfer_text(5, 5, 9.0, 1)
    assert "left" not in transfer_text(5, 100, 9.0, 0), "nobody is there to send"
    assert transfer_text(1, 100, 9.0, 2, "nobody has it") == "  1.0%  nobody has it"


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


def test_a_line_that_says_nothing_new_comes_once_a_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that waits for peers would fill a log with it."""
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with Display() as display:
        for _ in range(25):
            now += progress.LINE_EVERY_S
            display.show(0.0, "no peers")
        now += progress.LINE_EVERY_S
        display.show(0.1, "one peer")
    assert capsys.readouterr().out == "no peers\n" * 3 + "one peer\n"


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


def test_what_is_said_meanwhile_stands_above_the_bar_and_the_bar_goes() -> None:
    """In a real terminal: only there standard output has a buffer that can be written past Rich."""
    code = (
        "from engine.commands.progress import Display\n"
        "with Display() as display:\n"
        "    display.show(0.1, 'checking 10.0%')\n"
        "    display.say('checked [all] \\x1b of it, ' + 'and all of that is true ' * 3)\n"
        "    display.show(0.98, '98.0%')\n"
        "display.say('complete')\n"
    )
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environ = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, env=environ)
    os.close(theirs)
    written = b""
    with contextlib.suppress(OSError):  # the end of a terminal is an error
        while data := os.read(ours, 4096):
            written += data
    os.close(ours)
    assert process.wait(30) == 0
    first, *rest = on_screen(written.decode(), 60)
    assert first == "checked [all] � of it, and all of that is true and all of th"
    assert rest == ["at is true and all of that is true", "complete"]


def on_screen(written: str, width: int) -> list[str]:
    """The lines of a terminal after `written`: the little of its language that a bar speaks."""
    lines, row, column = [""], 0, 0
    for found in re.finditer(r"\x1b\[(?:\?)?([\d;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]", written):
        match found[0], found[2]:
            case "\n", _:
                row += 1
            case "\r", _:
                column = 0
            case _, "A":
                row -= int(found[1] or 1)
            case _, "K":
                lines[row] = ""
            case char, None:
                if column == width:
                    row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
                lines[row] = lines[row][:column].ljust(column) + char + lines[row][column + 1 :]
                column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines if line.strip()]
