"""What is copied of torrents, to give it to somebody, and whom they are connected to by hand."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from engine.control import schema
from tests.fakes.fake_engine import FakeEngine
from tests.tui.scene import scene
from tui.format import NO_MAGNET

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
        await shown.says(NO_MAGNET)


async def test_a_peer_is_added_by_its_address() -> None:
    async with scene() as shown:
        await shown.go_to(DEBIAN)
        await shown.press("P")
        await shown.says(f"Add a peer to {DEBIAN}")
        await shown.press("enter")
        await shown.says("write HOST:PORT")
        await shown.press(*"nobody.example:5", "enter")
        await shown.says("'nobody.example' is no IP address")
        await shown.press(*["backspace"] * 16, *"[::1]:6881", "enter")
        await shown.until(shown.toasts)
        assert shown.toasts() == ["Told [::1]:6881 to 1 torrent."]
        assert shown.engine.named(DEBIAN).extra_peers == ["[::1]:6881"]
        assert shown.app.screen is shown.main


async def test_a_peer_is_added_to_all_marked_torrents() -> None:
    async with scene() as shown:
        for name in (DEBIAN, ARCH):
            await shown.go_to(name)
            await shown.press("space")
        await shown.press("P")
        await shown.says("Add a peer to 2 torrents")
        await shown.press(*"localhost:7", "enter")
        await shown.until(lambda: shown.toasts() == ["Told localhost:7 to 2 torrents."])
        assert all(shown.engine.named(name).extra_peers == ["[::1]:7"] for name in (DEBIAN, ARCH))


@pytest.mark.parametrize(("key", "field"), [("a", "#source"), ("P", "#peer"), ("l", "#down")])
async def test_what_is_typed_before_a_dialogue_is_there_is_not_lost(key: str, field: str) -> None:
    """As over a slow line, where several keys come at once."""
    async with scene() as shown:
        await shown.go_to(DEBIAN)
        shown.send(key, *"photos: 5.torrent")
        await shown.until(lambda: shown.app.screen.query(field))
        line = shown.app.screen.query_one(field, Input)
        await shown.until(lambda: line.value == "photos: 5.torrent")


async def test_a_filter_that_is_typed_at_once_does_nothing_else() -> None:
    async with scene() as shown:
        await shown.go_to(DEBIAN)
        theme = shown.app.theme
        shown.send("slash", *"pt")
        await shown.until(lambda: shown.main.asked.text == "pt")
        assert (shown.app.theme, shown.engine.calls) == (theme, [])
