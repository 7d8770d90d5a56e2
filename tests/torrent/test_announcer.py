"""What a torrent tells its trackers, and which of them it asks (BEP 3, 12)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.core.file_choice import FileChoice
from engine.core.metainfo import Metainfo
from engine.discovery.announce import AnnounceEvent, AnnounceReply, AnnounceRequest
from engine.errors import TrackerFailure, TrackerUnreachable
from engine.session.session import Session
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import endpoint_of, running, until, until_state
from tests.storage.torrents import Layout, sample

ONE, TWO, THREE = (f"http://tracker{n}.test/announce?key=secret" for n in range(3))
CONTENT = sample(100_000, 16384)


class Tracker:
    """Answers for every URL as it is told, and remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, AnnounceRequest]] = []
        self.failing: set[str] = set()
        self.peers: list[Endpoint] = []
        self.warning: str | None = None
        self.refusal: TrackerFailure | None = None

    async def announce(self, url: str, request: AnnounceRequest) -> AnnounceReply:
        self.heard.append((url, request))
        if url in self.failing:
            raise TrackerUnreachable("no route")
        if self.refusal is not None:
            raise self.refusal
        return AnnounceReply(interval_s=1800, peers=self.peers, warning=self.warning)

    @property
    def said(self) -> list[tuple[str, AnnounceEvent]]:
        return [(url, request.event) for url, request in self.heard]


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with running() as session:
        yield session


@pytest.fixture
def tracker(session: Session) -> Tracker:
    """Also for the good-byes of the session's end."""
    tracker = Tracker()
    session.facilities.trackers.announce = tracker.announce  # type: ignore[method-assign]
    return tracker


async def _add(session: Session, folder: Path, *tiers: tuple[str, ...]) -> Torrent:
    return await session.add(Metainfo(CONTENT.info, trackers=tiers), save_path=folder)


async def test_the_first_that_works_is_asked_and_no_other(
    session: Session, tracker: Tracker, tmp_path: Path
) -> None:
    tracker.failing = {ONE}
    torrent = await _add(session, tmp_path, (ONE,), (TWO,), (THREE,))
    await until(session, lambda: len(tracker.heard) == 2)
    assert tracker.said == [(ONE, AnnounceEvent.STARTED), (TWO, AnnounceEvent.STARTED)]
    assert torrent.announcer.trackers[ONE].error == "no route"
    assert torrent.announcer.trackers[TWO].reply is not None
    torrent.pause()
    await until(session, lambda: len(tracker.heard) == 3)
    assert tracker.said[2:] == [(TWO, AnnounceEvent.STOPPED)]  # the only one that knows of us


async def test_what_is_told(session: Session, tracker: Tracker, tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    torrent = await _add(session, tmp_path, (ONE,))
    torrent.up_rate.total = 500
    await until(session, lambda: len(tracker.heard) == 1)
    (_, request), *_ = tracker.heard
    assert request.info_hash == CONTENT.info.info_hash
    assert request.peer_id == session.facilities.peer_id
    assert request.port == endpoint_of(session).port
    assert (request.left, request.event) == (0, AnnounceEvent.STARTED)
    torrent.up_rate.add(7)
    torrent.announcer.announce_now()
    torrent.pause()
    await until(session, lambda: len(tracker.heard) == 2)
    _, later = tracker.heard[-1]
    assert later.uploaded - request.uploaded == 7
    assert later.key == request.key


async def test_transfer_is_counted_from_the_start_of_each_run(
    session: Session, tracker: Tracker, tmp_path: Path
) -> None:
    """A tracker is not told again what an earlier run has told it."""
    torrent = await _add(session, tmp_path, (ONE,))
    await until(session, lambda: len(tracker.heard) == 1)
    torrent.up_rate.add(1000)
    torrent.pause()
    await until(session, lambda: len(tracker.heard) == 2)
    torrent.start()
    await until(session, lambda: len(tracker.heard) == 3)
    assert [request.uploaded for _, request in tracker.heard] == [0, 1000, 0]


async def test_peers_it_names_are_dialled_but_not_ourselves(
    session: Session, tracker: Tracker, tmp_path: Path
) -> None:
    CONTENT.store(tmp_path / "source")
    async with running() as seeder:
        seed = await seeder.add(Metainfo(CONTENT.info), save_path=tmp_path / "source")
        await until_state(seeder, seed, State.SEEDING)
        tracker.peers = [endpoint_of(session), endpoint_of(seeder)]
        torrent = await _add(session, tmp_path / "target", (ONE,))
        await until_state(session, torrent, State.SEEDING)
        await until(session, lambda: len(tracker.heard) == 2)
        assert tracker.said[1] == (ONE, AnnounceEvent.COMPLETED)
        assert torrent.live is None or endpoint_of(session) not in torrent.live.peers.known


@pytest.mark.parametrize("was_there", [True, False])
async def test_completed_is_told_once_and_not_of_what_was_there(
    session: Session, tracker: Tracker, tmp_path: Path, *, was_there: bool
) -> None:
    """BEP 3; also where a file is wanted again that had been skipped after the end."""
    content = sample([Layout("a", 20_000), Layout("b", 20_000)], 16384)
    content.store(tmp_path / "source")
    async with running() as seeder:
        seed = await seeder.add(Metainfo(content.info), save_path=tmp_path / "source")
        await until_state(seeder, seed, State.SEEDING)
        tracker.peers = [endpoint_of(seeder)]
        torrent = await session.add(
            Metainfo(content.info, trackers=((ONE,),)),
            save_path=tmp_path / ("source" if was_there else "target"),
        )
        await until_state(session, torrent, State.SEEDING)
        for levels in (b"\1\0", b"\1\1"):
            torrent.choose(FileChoice.of(content.info, levels))
        assert torrent.state is State.DOWNLOADING
        await until_state(session, torrent, State.SEEDING)
        torrent.pause()
        await until(session, lambda: tracker.said[-1] == (ONE, AnnounceEvent.STOPPED))
        events = [event for _, event in tracker.said]
        assert events.count(AnnounceEvent.COMPLETED) == (0 if was_there else 1)


async def test_warnings_and_failures_go_to_the_log_without_the_passkey(
    session: Session, tracker: Tracker, tmp_path: Path
) -> None:
    tracker.warning = "please upgrade"
    tracker.failing = {ONE}
    torrent = await _add(session, tmp_path, (ONE,), (TWO,))
    await until(session, lambda: len(tracker.heard) == 2)
    await until(session, lambda: torrent.announcer.trackers[TWO].reply is not None)
    texts = [text for _, level, text in torrent.log_lines if level == "warning"]
    assert any("no route" in text for text in texts)
    assert any("please upgrade" in text for text in texts)
    assert not any("secret" in text for text in texts)


async def test_a_mistake_of_ours_is_not_made_again_at_once(
    session: Session, tracker: Tracker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    async def mistaken(url: str, request: AnnounceRequest) -> AnnounceReply:
        asked.append(url)
        raise ZeroDivisionError

    session.facilities.trackers.announce = mistaken  # type: ignore[method-assign]
    torrent = await _add(session, tmp_path, (ONE,), (TWO,))
    await until(session, lambda: len(asked) >= 2)
    assert asked == [ONE, TWO]
    assert torrent.announcer.trackers[ONE].error == "ZeroDivisionError"
    assert "a task failed" in caplog.text
    session.facilities.trackers.announce = tracker.announce  # type: ignore[method-assign]


async def test_one_that_works_moves_to_the_front_of_its_tier(
    session: Session, tracker: Tracker, tmp_path: Path
) -> None:
    tracker.failing = {ONE, TWO}
    torrent = await _add(session, tmp_path, (ONE, TWO, THREE))
    await until(session, lambda: torrent.announcer.trackers[THREE].reply is not None)
    assert next(iter(torrent.announcer.tiers)) == THREE


async def test_the_user_may_ask_a_tracker_that_said_never(
    session: Session, tracker: Tracker, tmp_path: Path
) -> None:
    """BEP 31; without the user it is not asked again."""
    tracker.refusal = TrackerFailure("go away", float("inf"))
    torrent = await _add(session, tmp_path, (ONE,))
    await until(session, lambda: torrent.announcer.trackers[ONE].error == "go away")
    assert torrent.announcer.next_at == float("inf")
    torrent.announcer.announce_now()
    await until(session, lambda: len(tracker.heard) == 2)


async def test_a_torrent_without_trackers_has_nothing_to_say(
    session: Session, tracker: Tracker, tmp_path: Path
) -> None:
    torrent = await _add(session, tmp_path)
    await until_state(session, torrent, State.DOWNLOADING)
    assert torrent.announcer.next_at == float("inf")
    assert torrent.announcer.due(1e18) == []
    torrent.pause()
    assert not torrent.announcer.owes_stopped
    await asyncio.sleep(0)
    assert tracker.heard == []
