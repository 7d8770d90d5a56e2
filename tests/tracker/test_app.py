"""The tracker as a whole: starting, lists, expiry, signals, and a real client announcing to it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.errors import InputError, SettingsError
from engine.tracker.app import (
    TrackerApp,
    TrackerSettings,
    read_allow_list,
    run_tracker,
)
from tests.tracker.asking import HASH, VirtualClock, announce_path, http_dict
from tests.tracker.conftest import Starter


async def eventually(question: Callable[[], bool | Awaitable[bool]]) -> None:
    """Ask until yes, half a minute at most: what is waited for happens in another program."""
    async with asyncio.timeout(30):
        while True:
            answer = question()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.02)


def answers(at: Endpoint, *, served: bool) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return (b"peers" in await http_dict(at, announce_path())) == served

    return ask


async def test_addresses_are_where_it_listens(start: Starter) -> None:
    app = await start()
    http, udp = app.addresses
    assert http is not None
    assert udp is not None
    assert app.addresses.announce_urls == [
        f"http://127.0.0.1:{http.port}/announce",
        f"udp://127.0.0.1:{udp.port}/announce",
    ]
    only_udp = await start(http=None)
    assert only_udp.addresses.http is None
    assert len(only_udp.addresses.announce_urls) == 1


async def test_a_name_is_an_address_too(start: Starter) -> None:
    app = await start(http="localhost:0", udp=None)
    assert app.addresses.http is not None
    assert app.addresses.http.host in {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"http": None, "udp": None},
        {"min_interval_s": 0},
        {"interval_s": 10, "min_interval_s": 20},
        {"interval_s": 10**9},
        {"default_numwant": 300},
        {"max_numwant": 10_000},
        {"expiry_s": 0},
    ],
)
def test_settings_that_make_no_tracker(wrong: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        TrackerApp(TrackerSettings(**wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["http", "udp"])
async def test_a_taken_port_is_one_clear_line_and_leaves_nothing_open(where: str) -> None:
    kind = socket.SOCK_STREAM if where == "http" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if where == "http":
            taken.listen()
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = TrackerSettings(**{"http": "127.0.0.1:0", "udp": "127.0.0.1:0", where: at})
        app = TrackerApp(settings)
        with pytest.raises(SettingsError, match=f"cannot listen on {at}: Address already in use"):
            await app.start()


@pytest.mark.parametrize(
    "address", ["nonsense", "127.0.0.1", "127.0.0.1:x", "::1:80", "host:99999"]
)
async def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(InputError):
        await TrackerApp(TrackerSettings(http=address, udp=None)).start()


async def test_peers_expire_on_the_clock(start: Starter, clock: VirtualClock) -> None:
    app = await start(interval_s=600)
    at = app.addresses.http
    assert at is not None
    await http_dict(at, announce_path(port=1))
    clock.now += 1319
    assert (await http_dict(at, announce_path(port=2, peer_id=b"x" * 20)))[b"incomplete"] == 2
    clock.now += 1
    scraped = await http_dict(at, "/scrape")
    assert scraped[b"files"][HASH][b"incomplete"] == 1  # type: ignore[index, call-overload]
    assert (await http_dict(at, announce_path(port=3, peer_id=b"y" * 20)))[b"incomplete"] == 2


async def test_the_allow_list_is_read_and_read_again(start: Starter, tmp_path: Path) -> None:
    allow = tmp_path / "allowed"
    allow.write_text(f"# ours\n\n  {HASH.hex().upper()}  # a film\n{'ab' * 32}\n")
    assert await read_allow_list(allow) == {HASH, b"\xab" * 20}
    app = await start(allow_list=allow)
    at = app.addresses.http
    assert at is not None
    assert b"peers" in await http_dict(at, announce_path())
    refused = await http_dict(at, announce_path(info_hash=b"x" * 20))
    assert refused == {
        b"failure reason": b"this tracker does not serve that torrent",
        b"retry in": 60,
    }
    allow.write_text((b"x" * 20).hex())
    await app.reload_allow_list()
    assert b"peers" in await http_dict(at, announce_path(info_hash=b"x" * 20))
    assert b"failure reason" in await http_dict(at, announce_path())
    allow.write_text("not a hash\n")
    with pytest.raises(InputError, match="line 1"):
        await app.reload_allow_list()
    assert b"peers" in await http_dict(at, announce_path(info_hash=b"x" * 20)), "the old list holds"


async def test_a_missing_allow_list(tmp_path: Path) -> None:
    app = TrackerApp(TrackerSettings(allow_list=tmp_path / "nowhere"))
    with pytest.raises(InputError, match="nowhere: No such file"):
        await app.start()


async def test_signals_reload_and_stop(tmp_path: Path) -> None:
    allow = tmp_path / "allowed"
    allow.write_text("")
    settings = TrackerSettings(http="127.0.0.1:0", udp=None, allow_list=allow)
    listening: asyncio.Future[TrackerApp] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(run_tracker(settings, started=listening.set_result))
        app = await listening
        at = app.addresses.http
        assert at is not None
        assert b"failure reason" in await http_dict(at, announce_path())
        for content, served in ((HASH.hex(), True), ("garbage", True), ("", False)):
            allow.write_text(content)
            os.kill(os.getpid(), signal.SIGHUP)
            await eventually(answers(at, served=served))
        os.kill(os.getpid(), signal.SIGTERM)
        await running


@pytest.mark.parametrize("scheme", ["http", "udp"])
async def test_libtorrent_announces_scrapes_and_stops(
    start: Starter, tmp_path: Path, scheme: str
) -> None:
    lt = pytest.importorskip("libtorrent", reason="libtorrent from PyPI is not installed")
    app = await start()
    at = getattr(app.addresses, scheme)
    data = tmp_path / "data"
    data.write_bytes(random.Random(1).randbytes(50_000))
    content = data.read_bytes()
    pieces = b"".join(
        hashlib.sha1(content[at : at + 16384]).digest() for at in range(0, len(content), 16384)
    )
    info = lt.torrent_info(
        {
            b"info": {
                b"name": b"data",
                b"length": 50_000,
                b"piece length": 16384,
                b"pieces": pieces,
            }
        }
    )
    session = lt.session(
        {
            "listen_interfaces": "127.0.0.1:0",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            # Or it does not scrape loopback.
            "ssrf_mitigation": False,
            "alert_mask": lt.alert.category_t.tracker_notification,
        }
    )
    params = lt.add_torrent_params()
    params.ti = info
    params.save_path = str(tmp_path)
    params.trackers = [f"{scheme}://{at}/announce"]
    handle = session.add_torrent(params)
    info_hash = info.info_hash().to_bytes()

    def scraped() -> bool:
        return any(isinstance(alert, lt.scrape_reply_alert) for alert in session.pop_alerts())

    await eventually(lambda: app.table.count(info_hash).seeds == 1)
    assert getattr(app.statistics, f"{scheme}_announces") >= 1
    handle.scrape_tracker()
    await eventually(scraped)
    session.remove_torrent(handle)
    await eventually(lambda: app.table.count(info_hash).seeds == 0)
    assert app.statistics.refused == 0
