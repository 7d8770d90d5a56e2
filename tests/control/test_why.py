"""Every reason why a torrent does not move, met on a real engine."""

from __future__ import annotations

from pathlib import Path

from engine.control.why import reason_for
from engine.core.compact import Endpoint
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.torrent.lifecycle import State
from engine.tracker.app import TrackerApp, TrackerSettings
from tests.end_to_end.rig import endpoint_of, running, until, until_state, with_trackers
from tests.fakes import scripted_peer as wire
from tests.fakes.metadata_giver import answer_handshake, hello
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import sample

PIECE = 16384
CONTENT = sample(PIECE * 7 + 5, PIECE)
METAINFO = Metainfo(CONTENT.info)


async def test_a_torrent_that_does_its_work_or_rests_needs_no_excuse(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    async with running() as session:
        torrent = await session.add(METAINFO, save_path=tmp_path, paused=True)
        assert reason_for(torrent) == ""
        torrent.start()
        assert reason_for(torrent) == ""
        await until_state(session, torrent, State.SEEDING)
        assert reason_for(torrent) == ""


async def test_an_error_is_its_own_reason(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_bytes(b"")
    async with running() as session:
        torrent = await session.add(METAINFO, save_path=tmp_path / "blocked")
        await until_state(session, torrent, State.ERROR)
        assert reason_for(torrent) == torrent.error != ""


async def test_nobody_to_ask(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await session.add(METAINFO, save_path=tmp_path)
        await until_state(session, torrent, State.DOWNLOADING)
        assert reason_for(torrent).startswith("no tracker, and no peer is known")
        torrent.add_peer(Endpoint("127.0.0.1", 1))
        assert reason_for(torrent) == "none of 1 known peers could be reached yet"


async def test_a_tracker_that_fails_or_knows_nobody(tmp_path: Path) -> None:
    async with TrackerApp(TrackerSettings(http="127.0.0.1:0", udp=None)) as tracker:
        (url,) = tracker.addresses.announce_urls
        async with running() as session:
            reasons: list[str] = []
            session.on_change.append(lambda torrent: reasons.append(reason_for(torrent)))
            known = await session.add(with_trackers(METAINFO, url), save_path=tmp_path)
            other = Metainfo(sample(5, name="other").info)
            failing = await session.add(
                with_trackers(other, "http://127.0.0.1:1/announce"), save_path=tmp_path
            )
            for torrent in (known, failing):
                await until_state(session, torrent, State.DOWNLOADING)
            await until(session, lambda: reason_for(known) == "the tracker knows no other peer")
            await until(session, lambda: reason_for(failing).startswith("no peers: "))
            assert "refused" in reason_for(failing).lower()
            assert "asking the tracker for peers" in reasons


async def test_peers_that_give_nothing(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await session.add(METAINFO, save_path=tmp_path)
        await until_state(session, torrent, State.DOWNLOADING)
        at, info_hash = endpoint_of(session), METAINFO.info_hash
        useless = await ScriptedPeer.meet(at, info_hash)
        useless.send(wire.frame(wire.HAVE_NONE))
        await until(session, lambda: "no connected peer has" in reason_for(torrent))
        others = [await ScriptedPeer.meet(at, info_hash, peer_id=bytes([n]) * 20) for n in (1, 2)]
        others[0].send(wire.frame(wire.HAVE_ALL))
        await until(session, lambda: reason_for(torrent) == "waiting to be unchoked by 1 peer")
        others[1].send(wire.frame(wire.HAVE_ALL))
        await until(session, lambda: reason_for(torrent) == "waiting to be unchoked by 2 peers")
        others[1].send(wire.frame(wire.UNCHOKE))
        await until(session, lambda: reason_for(torrent) == "waiting for 2 peers to send")
        for peer in (useless, *others):
            await peer.close()


async def test_held_back_by_a_limit(tmp_path: Path) -> None:
    async with running() as session:
        torrent = await session.add(METAINFO, save_path=tmp_path)
        await until_state(session, torrent, State.DOWNLOADING)
        peer = await ScriptedPeer.meet(endpoint_of(session), METAINFO.info_hash)
        peer.send(wire.frame(wire.HAVE_ALL), wire.frame(wire.UNCHOKE))
        await peer.until(wire.REQUEST)
        for limited in (session, torrent):
            limited.set_limits(down=1)
            assert reason_for(torrent) == "held back by a download limit"
            limited.set_limits(down=0)
        assert reason_for(torrent) == "waiting for 1 peer to send"
        await peer.close()


async def test_a_link_without_metadata_says_whom_it_waits_for(tmp_path: Path) -> None:
    async def useless(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        peer.send(hello(None))
        await peer.hangup()

    async def silent(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        peer.send(hello(1000))
        await peer.hangup()

    async with running() as session, wire.listening(useless) as one, wire.listening(silent) as two:
        torrent = await session.add(Magnet(METAINFO.info_hash), save_path=tmp_path)
        assert reason_for(torrent).startswith("no metadata yet: no tracker, and no peer is known")
        torrent.add_peer(one)
        assert reason_for(torrent) == "no metadata yet: none of 1 known peers could be reached yet"
        waiting = "waiting for metadata: 1 peer connected, none has given any"
        await until(session, lambda: reason_for(torrent) == waiting)
        torrent.add_peer(two)
        await until(session, lambda: reason_for(torrent) == "fetching metadata from 1 peer")
        torrent.pause()
        assert reason_for(torrent) == ""
