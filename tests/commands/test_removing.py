"""`remove`: data goes only when that was clearly meant."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.commands.rig import Content, Server, publish


@pytest.fixture
def content(run: Run, engine: Server, tmp_path: Path) -> Content:
    content = publish(tmp_path, name=f"removed {tmp_path.name}", sizes={"a": 1000, "b/c": 20_000})
    there = ("--socket", engine.socket)
    assert run("add", content.torrent, "--save-path", content.folder, *there).code == 0
    assert run("wait", content.name, *there).code == 0
    return content


def _is_known(run: Run, engine: Server, content: Content) -> bool:
    rows = run("list", "--json", "--socket", engine.socket).json
    return content.info_hash in [row["info_hash"] for row in rows]


def test_files_stay_unless_told(run: Run, engine: Server, content: Content) -> None:
    done = run("remove", content.name, "--socket", engine.socket)
    assert done.out == "removed 1 torrent, its files are untouched\n"
    assert not _is_known(run, engine, content)
    assert content.is_at(content.folder)


def test_data_needs_a_yes_in_scripts(run: Run, engine: Server, content: Content) -> None:
    there = ("--socket", engine.socket)
    (content.folder / content.name / "mine.txt").write_text("not of the torrent")
    assert run("remove", content.name, "--data", *there).is_error(2, "--yes")
    assert _is_known(run, engine, content)
    done = run("remove", content.name, "--data", "--yes", "--json", *there)
    assert done.json == {"info_hashes": [content.info_hash]}
    left = sorted(path.name for path in (content.folder / content.name).rglob("*"))
    assert left == ["mine.txt"]


@pytest.mark.parametrize("answer", ["n\n", "y\n"])
def test_a_terminal_is_asked(
    run: Run, engine: Server, content: Content, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    asked: list[str] = []

    def reply(text: str) -> str:
        asked.append(text)
        return answer.strip()

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", reply)
    done = run("remove", content.name, "--data", "--socket", engine.socket)
    if answer == "y\n":
        assert done.code == 0
        assert not (content.folder / content.name).exists()
    else:
        assert done.is_error(130, "nothing was removed")
        assert _is_known(run, engine, content)
        assert content.is_at(content.folder)


def test_names_must_be_right(run: Run, engine: Server, content: Content) -> None:
    there = ("--socket", engine.socket)
    assert run("remove", *there).is_error(2, "name the torrents")
    assert run("remove", content.name, "absent", *there).is_error(3, "absent")
    assert _is_known(run, engine, content)
