"""Tables that fit, JSON that parses, names that steer nothing."""

from __future__ import annotations

import json
import os
import shutil
import sys

import pytest
import rich_click as click

from engine.commands import output
from engine.commands.output import Column, Styled
from engine.control.schema import Accepted

COLUMNS = (Column("ID"), Column("NAME", grows=True), Column("SIZE", right=True, from_width=50))


def _terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(
        shutil, "get_terminal_size", lambda *_, **__: os.terminal_size((columns, 24))
    )


def test_tables_fit_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [("a1", "雪" * 20, "5 B"), ("b2", Styled("short", "red"), "70 KiB")]
    output.say_table(COLUMNS, rows)
    plain = capsys.readouterr().out.splitlines()
    assert plain[1] == f"a1  {'雪' * 20}     5 B"
    assert plain[2] == f"b2  short{' ' * 35}  70 KiB"

    _terminal(monkeypatch, 50)
    output.say_table(COLUMNS, rows)
    assert "SIZE" in capsys.readouterr().out
    _terminal(monkeypatch, 30)
    output.say_table(COLUMNS, rows)
    head, first, second = click.unstyle(capsys.readouterr().out).splitlines()
    assert "SIZE" not in head
    assert first.rstrip() == f"a1  {'雪' * 12}…"
    assert second.rstrip() == "b2  short"


def test_no_rows_are_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_table(COLUMNS, [])
    assert capsys.readouterr().out == ""


def test_names_steer_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    output.say("a\x1b]0;title\x07b\rc")
    output.say_facts([("name", "x\x1b[2Jy"), ("empty", ""), ("two", "1\n2")])
    output.say_table((Column("A"),), [("\x1b[31mred",)])
    text = capsys.readouterr().out
    assert not set(text) & {"\x1b", "\x07", "\r"}
    assert "name  x�[2Jy\n two  1\n      2\n" in text


def test_json_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.say_json([Accepted(["ab"]), {"x": None}])
    assert json.loads(capsys.readouterr().out) == [{"info_hashes": ["ab"]}, {"x": None}]


def test_dates_that_are_none() -> None:
    assert output.date(None) == ""
    assert output.date(0).startswith("19")
    assert output.date(1e30) == "?"
    assert output.date(float("nan")) == "?"
