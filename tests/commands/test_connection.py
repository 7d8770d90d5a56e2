"""Asking a running engine: what it says, what it means when nobody answers, completion."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import rich_click as click

from engine.commands.connection import ask, complete_torrents
from engine.commands.listing import list_torrents
from engine.control.schema import ListTorrents, Status
from engine.errors import EngineUnreachable
from tests.commands.conftest import Run
from tests.commands.rig import Server, publish


def test_asks_and_is_told(engine: Server) -> None:
    assert ask(engine.socket, Status()).is_isolated
    assert isinstance(ask(engine.socket, ListTorrents()), list)


def test_nobody_there_is_not_nobody_answering(tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable, match="start one with `seedwright daemon`"):
        ask(tmp_path / "absent.sock", Status())
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(path))
        with pytest.raises(EngineUnreachable, match="no engine runs"):
            ask(path, Status())
    with pytest.raises(EngineUnreachable) as long:
        ask(tmp_path / ("x" * 200), Status())
    assert "start one" not in str(long.value)


def test_completes_names_then_hashes(run: Run, engine: Server, tmp_path: Path) -> None:
    content = publish(tmp_path, name="completed")
    assert run("add", content.torrent, "--paused", "--socket", engine.socket).code == 0

    def complete(text: str, path: Path | None) -> list[str]:
        context = click.Context(list_torrents)
        context.params = {"engine": path}
        parameter = click.Argument(["torrent"])
        return [item.value for item in complete_torrents(context, parameter, text)]

    assert complete("compl", engine.socket) == ["completed"]
    assert complete(content.info_hash[:5], engine.socket) == [content.info_hash]
    assert complete("no such", engine.socket) == []
    assert complete("", tmp_path / "absent.sock") == []
