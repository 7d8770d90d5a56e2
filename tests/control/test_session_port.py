"""The real engine behind the control port: what it answers is what a client can be sent."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.control import schema
from engine.control.port import EnginePort
from engine.control.session_port import SessionPort
from engine.control.subscriptions import Subscriptions
from engine.control.torrent_rows import LiveBrief
from engine.core.metainfo import Metainfo
from engine.errors import (
    DuplicateTorrentError,
    InputError,
    MetainfoError,
    SourceError,
    UnknownTorrentError,
)
from engine.session.session import Session
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import endpoint_of, running, seeding, until, until_state
from tests.fakes.metadata_giver import answer_handshake, hello
from tests.fakes.scripted_peer import ScriptedPeer, listening
from tests.fakes.subscriber_window import Window
from tests.storage.torrents import Layout, sample

PIECE = 16384


def _port(session: Session) -> SessionPort:
    port = SessionPort(session, lambda: None)
    checked: EnginePort = port
    assert checked is port
    return port


def _assert_finite(value: Any) -> None:
    """Through JSON and back: what a client can be sent, numbers that JSON has."""
    for each in _floats(msgspec.to_builtins(value)):
        assert math.isfinite(each)
    msgspec.json.decode(msgspec.json.encode(value), type=type(value))


def _floats(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [each for item in value.values() for each in _floats(item)]
    if isinstance(value, list):
        return [each for item in value for each in _floats(item)]
    return [value] if isinstance(value, float) else []


async def test_all_that_can_be_asked_of_a_torrent_can_be_sent(tmp_path: Path) -> None:
    """In every state of its life, with peers and trackers and without."""
    shapes = [sample(0, name="none"), sample([Layout("a", 5), Layout("b", 99_999)], name="many")]
    async with running() as seeder, running() as leecher:
        port = _port(leecher)
        for content in shapes:
            content.store(tmp_path / "source")
            metainfo = replace(Metainfo(content.info), trackers=(("http://127.0.0.1:1/a",), ("x",)))
            await seeding(seeder, metainfo, tmp_path / "source")
            name = await port.add(
                schema.AddTorrent(
                    metainfo=metainfo.encode(),
                    save_path=str(tmp_path / "target"),
                    peers=[str(endpoint_of(seeder))],
                )
            )
            torrent = leecher.torrents[content.info.info_hash]

            def ask(name: str = name) -> None:
                _assert_finite(port.info(name))
                for rows in (port.files(name), port.peers(name), port.trackers(name)):
                    for row in rows:
                        _assert_finite(row)
                _assert_finite(port.log(name)[0])

            ask()
            seen = set()
            leecher.on_change.append(lambda t: (seen.add(t.state), ask()))  # noqa: B023
            await until_state(leecher, torrent, State.SEEDING)
            torrent.recheck()
            await until_state(leecher, torrent, State.SEEDING)
            await until(leecher, lambda: any(row.message for row in port.trackers(name)))  # noqa: B023
            await port.pause([name])
            leecher.on_change.pop()
            assert seen >= {State.CHECKING, State.SEEDING, State.PAUSED}
        _assert_finite(port.status())


async def test_a_brief_says_what_the_row_says(tmp_path: Path) -> None:
    content = sample(PIECE * 1000)
    content.store(tmp_path / "source")
    metainfo = Metainfo(content.info)
    async with running() as seeder, running() as leecher:
        await seeding(seeder, metainfo, tmp_path / "source")
        port = _port(leecher)
        torrent = await leecher.add(
            metainfo, save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        name = metainfo.info_hash.hex()
        compared = 0

        def compare(_: object) -> None:
            nonlocal compared
            brief, row = port.brief(name), port.row(name)
            assert isinstance(brief, LiveBrief)
            assert row is not None
            for attribute in (each for each in vars(LiveBrief) if not each.startswith("_")):
                assert getattr(brief, attribute) == getattr(row, attribute)
            compared += 1

        leecher.on_change.append(compare)
        await until_state(leecher, torrent, State.SEEDING)
        assert compared > 10, compared
        assert port.brief("0" * 40) is None
        assert port.row("0" * 40) is None
        assert port.row("not a hash") is None


async def test_only_what_runs_has_a_rate_and_only_with_peers_a_time_left(tmp_path: Path) -> None:
    content = sample(PIECE * 10)
    async with running() as session:
        port = _port(session)
        torrent = await session.add(Metainfo(content.info), save_path=tmp_path)
        await until_state(session, torrent, State.DOWNLOADING)

        def flow() -> schema.TorrentRow:
            for rate in (torrent.down_rate, torrent.up_rate):
                rate.update(session.facilities.loop.time())
                rate.add(1_000_000)
                rate.update(session.facilities.loop.time() + 1)
            row = port.row(torrent.info_hash.hex())
            assert row is not None
            return row

        row = flow()
        assert row.down_rate
        assert row.up_rate
        assert row.eta_s is None, "nobody is there to send"
        torrent.pause()
        assert torrent.down_rate.rate == torrent.up_rate.rate == 0
        row = flow()
        assert (row.state, row.down_rate, row.up_rate) == ("paused", 0, 0)


async def test_a_view_follows_a_real_engine(tmp_path: Path) -> None:
    """Snapshot and deltas add up to what there is."""
    async with running() as session:
        port = _port(session)
        for number in range(5):
            metainfo = Metainfo(sample(1000, name=f"t{number}").info)
            await session.add(metainfo, save_path=tmp_path, paused=True)
        subscriptions = Subscriptions(port)
        view = schema.View(sort=schema.Sort.NAME, offset=1, limit=3)
        subscriptions.open(schema.Subscribe(view=view))
        window = Window()
        now = 0.0

        def told() -> list[str]:
            nonlocal now
            now += 100.0
            assert all(window.apply(note) for note in subscriptions.due(now))
            return [row.name for row in window.rows]

        assert told() == ["t1", "t2", "t3"]
        first = next(iter(session.torrents.values()))
        await session.remove(first)
        assert told() == ["t2", "t3", "t4"]
        _, third, *_ = session.torrents.values()
        third.start()
        await until_state(session, third, State.DOWNLOADING)
        told()
        (row,) = [row for row in window.rows if row.name == third.name]
        assert row.state is schema.TorrentState.DOWNLOADING
        assert row.reason


async def test_files_tell_how_much_of_each_is_there(tmp_path: Path) -> None:
    """By whole pieces, as only those are verified; a piece over two files counts for both."""
    layouts = [Layout("a", PIECE + 10), Layout("empty"), Layout("b", 2 * PIECE), Layout("c", 5)]
    content = sample(layouts, PIECE)
    content.store(tmp_path)
    damaged = tmp_path / "t" / "b"
    data = bytearray(damaged.read_bytes())
    data[PIECE] ^= 1  # in piece 2
    damaged.write_bytes(data)
    async with running() as session:
        torrent = await session.add(Metainfo(content.info), save_path=tmp_path)
        await until_state(session, torrent, State.DOWNLOADING)
        assert list(torrent.have.missing()) == [2]
        rows = _port(session).files(torrent.info_hash.hex())
    assert [(row.path, row.size) for row in rows] == [
        ("t/a", PIECE + 10),
        ("t/empty", 0),
        ("t/b", 2 * PIECE),
        ("t/c", 5),
    ]
    # Piece 1 holds the last 10 bytes of a and all but 10 of b's first piece.
    assert [row.have for row in rows] == [PIECE + 10, 0, PIECE - 10 + 10, 5]
    assert sum(row.have for row in rows) == torrent.have_bytes


async def test_requests_reach_the_session(tmp_path: Path) -> None:
    content = sample(PIECE)
    content.store(tmp_path)
    metainfo = Metainfo(content.info)
    path = tmp_path / "x.torrent"
    path.write_bytes(metainfo.encode())
    stopped = asyncio.Event()
    async with running() as session:
        port = SessionPort(session, stopped.set)
        before = port.revision
        name = await port.add(schema.AddTorrent(source=str(path), save_path=str(tmp_path)))
        torrent = session.torrents[metainfo.info_hash]
        await until_state(session, torrent, State.SEEDING)
        assert list(port.info_hashes()) == [name]
        assert port.changes(before).changed == {name}
        await port.pause([name])
        assert torrent.state is State.PAUSED
        await port.resume([name])
        await until_state(session, torrent, State.SEEDING)
        await port.recheck([name])
        assert torrent.state is State.CHECKING
        await until_state(session, torrent, State.SEEDING)
        await port.add_peer([name], endpoint_of(session))
        assert torrent.explicit_peers == [endpoint_of(session)]
        reply = await port.set_limits(name, down=10, up=None)
        assert (reply.down, reply.up) == (10, 0)
        reply = await port.set_limits(None, down=None, up=20)
        assert (reply.down, reply.up) == (0, 20)
        assert (port.status().up_limit, port.info(name).down_limit) == (20, 10)
        await port.announce([name])
        before = port.revision
        await port.remove([name], delete_data=True)
        assert port.changes(before).removed == {name}
        assert not (tmp_path / "t").exists()
        port.shut_down()
        assert stopped.is_set()


async def test_what_cannot_be_done_is_said(tmp_path: Path) -> None:
    metainfo = Metainfo(sample(10).info)
    async with running() as session:
        port = _port(session)
        with pytest.raises(MetainfoError):
            await port.add(schema.AddTorrent(metainfo=b"d4:infodee"))
        with pytest.raises(SourceError):
            await port.add(schema.AddTorrent(source=str(tmp_path / "missing")))
        with pytest.raises(InputError):
            await port.add(schema.AddTorrent(metainfo=metainfo.encode(), peers=["example.org:1"]))
        assert not session.torrents
        add = schema.AddTorrent(metainfo=metainfo.encode(), save_path=str(tmp_path), paused=True)
        name = await port.add(add)
        with pytest.raises(DuplicateTorrentError):
            await port.add(add)
        for ask in (port.info, port.files, port.peers, port.trackers, port.log):
            with pytest.raises(UnknownTorrentError):
                ask("0" * 40)
        with pytest.raises(UnknownTorrentError):
            await port.pause([name, "0" * 40])


async def test_a_session_with_torrents_is_told_from_the_beginning(tmp_path: Path) -> None:
    async with running() as session:
        await session.add(Metainfo(sample(10).info), save_path=tmp_path, paused=True)
        port = _port(session)
        assert port.changes(0).changed == set(port.info_hashes())


async def test_a_magnet_link_can_be_asked_about_before_its_metadata_is_there(
    tmp_path: Path,
) -> None:
    content = sample(100_000, name="from a link")
    info_hash = content.info.info_hash.hex()
    link = f"magnet:?xt=urn:btih:{info_hash}&tr=http://127.0.0.1:1/announce"

    async def silent(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        peer.send(hello(len(content.info.raw)))
        await peer.hangup()

    async with running() as session, listening(silent) as peer:
        port = _port(session)
        request = schema.AddTorrent(source=link, save_path=str(tmp_path), peers=[str(peer)])
        assert await port.add(request) == info_hash
        brief = port.brief(info_hash)
        assert brief is not None
        await until(session, lambda: brief.peers == 1)
        row = port.row(info_hash)
        assert row is not None
        assert (row.state, row.name, row.size) == (schema.TorrentState.METADATA, info_hash, 0)
        assert (row.progress, row.peers, row.eta_s) == (0.0, 1, None)
        await until(session, lambda: port.peers(info_hash)[0].client != "")
        (peer_row,) = port.peers(info_hash)
        assert (peer_row.address, peer_row.source) == (str(peer), "manual")
        tracker, *_others = port.trackers(info_hash)
        assert tracker.url == "http://127.0.0.1:1/announce"
        info = port.info(info_hash)
        assert (info.piece_length, info.piece_count, info.files) == (0, 0, 0)
        assert port.files(info_hash) == []
        _assert_finite(info)
        with pytest.raises(DuplicateTorrentError):
            await port.add(request)
        with pytest.raises(InputError):
            await port.add(schema.AddTorrent(source="magnet:?xt=urn:btih:x"))
        await port.recheck([info_hash])
        await port.remove([info_hash], delete_data=True)
        assert port.row(info_hash) is None
