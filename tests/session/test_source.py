"""SOURCE as users write it: a path, a URL; what is none is said in one line that names it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from aiohttp import web

from engine.core.metainfo import MAX_TORRENT_BYTES, Metainfo
from engine.errors import InputError, SourceError
from engine.net.route import Route
from engine.session.source import is_url, load_source, read_source
from tests.net.web_server import WebServer
from tests.storage.torrents import sample

METAINFO = Metainfo(sample(1000).info)


async def test_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.torrent").write_bytes(METAINFO.encode())
    assert await load_source(str(tmp_path / "a.torrent"), Route()) == METAINFO
    monkeypatch.setenv("HOME", str(tmp_path))
    assert await load_source("~/a.torrent", Route()) == METAINFO


async def test_a_url() -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=METAINFO.encode())

    server = WebServer(handler)
    await server.start()
    try:
        assert is_url(server.url("/x"))
        assert await load_source(server.url("/x"), Route("127.0.0.1")) == METAINFO
    finally:
        await server.stop()


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("missing", "No such file"),
        (".", "is a folder"),
        ("nul\0byte", "null byte"),
        ("magnet:?xt=urn:btih:" + "a" * 40, "magnet"),
        ("", "No such file"),
        ("\udcff", "No such file"),
        ("ftp://host/a.torrent", "not an http or https address"),
        ("https://", "not the address of a server"),
        ("HTTP://127.0.0.1:99999/a", "not the address of a server"),
    ],
)
async def test_what_cannot_be_read(source: str, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        await read_source(source, Route())


async def test_what_is_too_large_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        os.truncate(file.fileno(), MAX_TORRENT_BYTES + 1)
    with pytest.raises(SourceError, match="not a torrent"):
        await read_source(str(tmp_path / "huge"), Route())
    with pytest.raises(SourceError, match="not a torrent"):
        await read_source("/dev/zero", Route())


@pytest.mark.parametrize("content", [b"", b"hello", b"d4:infode", METAINFO.encode()[:-1]])
async def test_what_is_no_torrent_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.torrent"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        await load_source(str(path), Route())
    assert str(path) in str(caught.value)
