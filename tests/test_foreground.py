"""One torrent in the foreground: done, refused, failed or interrupted, and always cleaned up."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from engine import foreground
from engine.core.metainfo import Metainfo
from engine.errors import StorageError
from engine.foreground import Foreground, Interrupted
from engine.session.session import Session
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until_state
from tests.storage.torrents import sample

PIECE = 16384
CONTENT = sample(PIECE * 8, PIECE)
METAINFO = Metainfo(CONTENT.info)


@pytest.fixture(autouse=True)
def quick_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreground, "REPORT_S", 0.01)


async def test_it_downloads_reports_and_returns(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "source")
    reports: list[tuple[State, float]] = []
    async with running() as seeder:
        await seeding(seeder, METAINFO, tmp_path / "source")
        await Foreground(
            options=LOOPBACK,
            source=METAINFO,
            save_path=tmp_path / "target",
            peers=(endpoint_of(seeder),),
        ).run(lambda _, torrent: reports.append((torrent.state, torrent.progress)))
    assert reports[-1] == (State.SEEDING, 1.0)
    assert (tmp_path / "target" / "t").read_bytes() == CONTENT.data


async def test_what_is_complete_already_is_done_at_once(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    await Foreground(options=LOOPBACK, source=METAINFO, save_path=tmp_path).run(_nothing)


def _nothing(session: Session, torrent: Torrent) -> None:
    pass


async def test_an_interrupted_download_says_how_far_it_came(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "source")
    signals = 0

    def interrupt(_: Session, torrent: Torrent) -> None:
        nonlocal signals
        if torrent.have.count and not signals:
            signals += 1
            os.kill(os.getpid(), signal.SIGINT)

    slow = replace(LOOPBACK, down_limit=PIECE * 16)
    async with running() as seeder:
        await seeding(seeder, METAINFO, tmp_path / "source")
        with pytest.raises(Interrupted, match=r"stopped at \d+%; run it again") as caught:
            await Foreground(
                options=slow,
                source=METAINFO,
                save_path=tmp_path / "target",
                peers=(endpoint_of(seeder),),
            ).run(interrupt)
        assert caught.value.exit_code == 130
        assert signals == 1
        # Run again it goes on: what was verified is found.
        first: list[int] = []
        await Foreground(
            options=LOOPBACK,
            source=METAINFO,
            save_path=tmp_path / "target",
            peers=(endpoint_of(seeder),),
        ).run(lambda _, torrent: first.append(torrent.down_rate.total))
        assert first[-1] < CONTENT.info.total_length


async def test_a_disk_that_fails_is_the_reason(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_bytes(b"")
    with pytest.raises(StorageError, match="blocked"):
        await Foreground(options=LOOPBACK, source=METAINFO, save_path=tmp_path / "blocked").run(
            _nothing
        )


async def test_seeding_what_is_not_all_there_is_refused(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    data = bytearray(CONTENT.data)
    data[PIECE] ^= 1
    data[-1] ^= 1
    (tmp_path / "t").write_bytes(data)
    with pytest.raises(StorageError, match="2 of 8 pieces of t are missing or damaged") as caught:
        await Foreground(
            options=LOOPBACK,
            source=METAINFO,
            save_path=tmp_path,
            stay=True,
            must_be_complete=True,
        ).run(_nothing)
    assert str(tmp_path) in str(caught.value)
    assert (tmp_path / "t").read_bytes() == data  # and nothing was touched


async def test_a_seed_stays_until_it_is_told_to_go(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    seen: list[State] = []

    def watch(_: Session, torrent: Torrent) -> None:
        seen.append(torrent.state)
        if seen.count(State.SEEDING) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    await Foreground(
        options=LOOPBACK, source=METAINFO, save_path=tmp_path, stay=True, must_be_complete=True
    ).run(watch)
    assert seen.count(State.SEEDING) >= 3


async def test_a_seed_ends_once_others_hold_as_many_copies_as_it_was_told(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "source")
    async with running() as leecher:
        torrent = await leecher.add(METAINFO, save_path=tmp_path / "target")
        await Foreground(
            options=LOOPBACK,
            source=METAINFO,
            save_path=tmp_path / "source",
            peers=(endpoint_of(leecher),),
            stay=True,
            must_be_complete=True,
            until_copies=1.0,
        ).run(_nothing)
        assert torrent.is_complete


async def test_a_super_seed_that_ends_at_one_copy_leaves_a_swarm_that_finishes(
    tmp_path: Path,
) -> None:
    CONTENT.store(tmp_path / "source")
    options = replace(LOOPBACK, limits=replace(LOOPBACK.limits, super_seed=True))
    async with running() as one, running() as other:
        torrents = [
            await one.add(METAINFO, save_path=tmp_path / "1", peers=[endpoint_of(other)]),
            await other.add(METAINFO, save_path=tmp_path / "2"),
        ]
        await Foreground(
            options=options,
            source=METAINFO,
            save_path=tmp_path / "source",
            peers=(endpoint_of(one), endpoint_of(other)),
            stay=True,
            must_be_complete=True,
            until_copies=1.0,
        ).run(_nothing)
        await until_state(one, torrents[0], State.SEEDING)
        await until_state(other, torrents[1], State.SEEDING)
