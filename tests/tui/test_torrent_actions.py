"""What is copied of torrents, to give it to somebody."""

from __future__ import annotations

import pytest

from engine.control import schema
from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import scene

DEBIAN = "debian-13.1.0-amd64-DVD-1.iso"
ARCH = "archlinux-2026.05.01-x86_64.iso"
SINTEL = "Sintel – Durian Open Movie Project"
"""Private."""


async def test_info_hashes_and_magnet_links_are_copied() -> None:
    async with scene() as shown:
        await shown.go_to(DEBIAN)
        await shown.press("y")
        assert shown.app.clipboard == shown.hash_of(DEBIAN)
        await shown.press("Y")
        await shown.until(lambda: shown.app.clipboard.startswith("magnet:"))
        assert shown.app.clipboard == f"magnet:?xt=urn:btih:{shown.hash_of(DEBIAN)}"
        assert shown.toasts()[-1] == "Copied 1 magnet link."


async def test_no_magnet_link_of_a_private_torrent_is_copied() -> None:
    async with scene() as shown:
        await shown.go_to(SINTEL)
        await shown.press("Y")
        said = "No magnet link leads to a private torrent"
        await shown.until(lambda: f"{said}." in shown.toasts())
        assert not shown.app.clipboard
        await shown.press("space")
        for name in (DEBIAN, ARCH):
            await shown.go_to(name)
            await shown.press("space")
        await shown.press("Y")
        await shown.until(lambda: shown.app.clipboard)
        links = shown.app.clipboard.split("\n")
        assert links == [f"magnet:?xt=urn:btih:{shown.hash_of(each)}" for each in (DEBIAN, ARCH)]
        assert shown.toasts()[-2:] == ["Copied 2 magnet links.", f"{said}: 1 left out."]


async def test_an_engine_that_knows_no_links_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine()
    told = engine.info

    def info(info_hash: str) -> schema.TorrentInfo:
        found = told(info_hash)
        return schema.TorrentInfo(row=found.row, save_path=found.save_path)

    monkeypatch.setattr(engine, "info", info)
    async with scene(engine) as shown:
        await shown.go_to(DEBIAN)
        await shown.press("Y")
        await shown.until(lambda: "The engine is too old to tell a magnet link." in shown.toasts())


async def test_the_details_show_the_link_or_why_there_is_none() -> None:
    async with scene(size=(120, 50)) as shown:
        await shown.go_to(DEBIAN)
        await shown.says(f"magnet:?xt=urn:btih:{shown.hash_of(DEBIAN)}")
        await shown.go_to(SINTEL)
        await shown.says("none: no link leads to a private torrent")
