"""A seed whose files others write to: what is spoilt is not given, and what they wrote stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.torrent import seed_watch
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import endpoint_of, running, seeding, until, until_state
from tests.storage.torrents import Layout, sample

PIECE = 64 * 1024


@pytest.mark.parametrize("is_giving", [False, True])
async def test_a_file_that_somebody_writes_to_under_a_seed_is_not_given_any_more(
    is_giving: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_watch, "LOOK_S", 0.0)
    content = sample([Layout("a", PIECE * 4), Layout("b", PIECE * 60)], PIECE)
    file = tmp_path / "source" / "t" / "b"
    content.store(tmp_path / "source")

    def edit() -> None:
        with file.open("r+b") as opened:
            opened.seek(PIECE * 40)
            opened.write(b"edited")

    async with running() as seeder, running() as leecher:
        seed = await seeding(seeder, Metainfo(content.info), tmp_path / "source")
        if not is_giving:
            edit()
        seeder.set_limits(up=PIECE * 4)
        await leecher.add(
            Metainfo(content.info), save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        if is_giving:
            await until(seeder, lambda: seed.up_rate.total > PIECE)
            edit()
        await until_state(seeder, seed, State.ERROR)
        assert f"{file} was changed by somebody else" in seed.error
        assert seed.have.count == 63
        assert file.read_bytes() != content.content_of(1), "what others wrote is theirs"
        seed.start()
        await until_state(seeder, seed, State.DOWNLOADING)


async def test_what_others_wrote_is_not_written_over_by_the_next_start(tmp_path: Path) -> None:
    content = sample([Layout("a", PIECE * 4), Layout("b", PIECE * 4)], PIECE)
    file = tmp_path / "source" / "t" / "b"
    content.store(tmp_path / "source")
    async with running(state_dir=tmp_path) as seeder:
        seed = await seeding(seeder, Metainfo(content.info), tmp_path / "source")
        file.write_bytes(b"edited".ljust(PIECE * 4))
        seed.wake()
        await until_state(seeder, seed, State.ERROR)
    async with running(state_dir=tmp_path) as seeder:
        (seed,) = seeder.torrents.values()
        assert (seed.state, seed.wants_to_run) == (State.PAUSED, False)
        assert seed.have.count == 4
        seed.start()
        await until_state(seeder, seed, State.DOWNLOADING)


async def test_a_file_that_was_only_touched_is_given_after_a_check(tmp_path: Path) -> None:
    content = sample(PIECE * 4, PIECE)
    content.store(tmp_path / "source")
    async with running() as seeder, running() as leecher:
        seed = await seeding(seeder, Metainfo(content.info), tmp_path / "source")
        os.utime(tmp_path / "source" / "t")
        torrent = await leecher.add(
            Metainfo(content.info), save_path=tmp_path / "target", peers=[endpoint_of(seeder)]
        )
        await until_state(leecher, torrent, State.SEEDING)
        await until_state(seeder, seed, State.SEEDING)
        assert any("does not look as recorded" in text for _, _, text in seed.log_lines)


async def test_a_file_that_vanished_keeps_the_progress(tmp_path: Path) -> None:
    content = sample([Layout("a", PIECE * 4), Layout("b", PIECE * 4)], PIECE)
    file = tmp_path / "source" / "t" / "b"
    content.store(tmp_path / "source")
    async with running() as seeder:
        seed = await seeding(seeder, Metainfo(content.info), tmp_path / "source")
        file.rename(tmp_path / "b")
        seed.wake()
        await until_state(seeder, seed, State.ERROR)
        assert f"{file}: the file was removed" in seed.error
        assert seed.have.is_full
        (tmp_path / "b").rename(file)
        seed.start()
        await until_state(seeder, seed, State.SEEDING)


async def test_an_idle_seed_is_looked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_watch, "LOOK_S", 0.0)
    content = sample(PIECE * 4, PIECE)
    content.store(tmp_path)
    async with running() as seeder:
        seed = await seeding(seeder, Metainfo(content.info), tmp_path)
        watch = seed.wake().watch
        await until(seeder, lambda: watch._next_at < seeder.facilities.loop.time() + 1)
        os.utime(tmp_path / "t")
        watch.tick(seeder.facilities.loop.time() + 60)
        assert watch._next_at < float("inf"), "nothing was given since: it does not look"
        seed.up_rate.add(1)
        watch.tick(seeder.facilities.loop.time() + 60)
        await until(seeder, lambda: "checking" in seed.log_lines[-1][2] or len(seed.log_lines) > 3)
        await until_state(seeder, seed, State.SEEDING)
