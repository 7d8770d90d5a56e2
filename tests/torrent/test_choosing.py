"""Wanting other files: what is asked for, what peers and trackers are told, what is recorded."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from pathlib import Path

import pytest

from engine.core.file_choice import FileChoice
from engine.core.file_wishes import FileWishes
from engine.core.metainfo import Metainfo
from engine.errors import InputError
from engine.storage.chosen_files import ChosenFiles
from engine.storage.file_stamps import FileStamp
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import running, until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.late_gathering import hold_gathering
from tests.storage.torrents import Layout, sample
from tests.torrent.one_torrent import BLOCK, one_torrent

PIECE = 2 * BLOCK
CONTENT = sample([Layout("a", 4 * PIECE), Layout("b", 4 * PIECE + 9), Layout("c", PIECE)], PIECE)
ALL = bytes([0xFF, 0xC0])


def choice(*levels: int) -> FileChoice | None:
    return FileChoice.of(CONTENT.info, bytes(levels))


async def test_what_is_not_wanted_any_more_is_cancelled(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, content=CONTENT) as one:
        one.torrent.choose(choice(1, 0, 0))
        peer = await one.visitor(has=ALL)
        peer.send(wire.frame(wire.UNCHOKE))
        await one.until(lambda: one.known().queue.outstanding)
        assert {index for index, _, _ in one.known().queue.asked()} <= set(range(4))
        one.torrent.choose(choice(0, 1, 0))
        await one.until(lambda: one.known().queue.outstanding)
        assert {index for index, _, _ in one.known().queue.asked()} <= set(range(4, 9))
        begun = [partial.index for partial in one.live.download.picker.partials()]
        assert set(begun) <= set(range(4, 9))


async def test_nothing_wanted_is_finished_and_more_goes_on(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, content=CONTENT) as one:
        torrent = one.torrent
        torrent.choose(choice(0, 0, 0))
        assert torrent.state is State.SEEDING
        assert torrent.progress == 1.0
        assert torrent.left == CONTENT.info.total_length, "trackers are not told that it seeds"
        assert torrent.announcer._request is not None
        torrent.choose(choice(0, 2, 0))
        assert torrent.state is State.DOWNLOADING
        peer = await one.visitor(has=ALL)
        peer.send(wire.frame(wire.UNCHOKE))
        await one.until(lambda: one.known().queue.outstanding)
        assert {index for index, _, _ in one.known().queue.asked()} <= set(range(4, 9))


async def test_peers_get_what_is_on_its_way_to_a_file_that_is_wanted_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And that file is there already, with a hole for it."""
    async with one_torrent(tmp_path, content=CONTENT) as one:
        one.torrent.choose(choice(0, 0, 1))
        giver = await one.visitor(0, has=ALL)
        giver.send(wire.frame(wire.UNCHOKE))
        asked = [(await giver.until(wire.REQUEST)).numbers for _ in range(3)]
        giver.send(*(one.block(*request) for request in asked))
        await one.until(lambda: one.torrent.have.count == 2)
        may_gather = hold_gathering(monkeypatch)
        try:
            one.torrent.choose(choice(0, 1, 1))
            giver = await one.visitor(1, has=ALL)
            giver.send(wire.frame(wire.UNCHOKE))
            for _ in range(2):
                giver.send(one.block(*(await giver.until(wire.REQUEST)).numbers))
            await one.until((tmp_path / "t/b").exists)
            taker = await one.visitor(2)
            taker.send(wire.frame(wire.INTERESTED))
            await taker.until(wire.UNCHOKE)
            for begin in (0, BLOCK):
                taker.send(wire.numbers(wire.REQUEST, 8, begin, BLOCK))
                payload = (await taker.until(wire.PIECE)).payload
                assert payload[8:] == CONTENT.piece(8)[begin : begin + BLOCK]
        finally:
            may_gather.set()


async def test_it_seeds_when_what_was_kept_is_in_its_file_and_not_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for the torrent may open the file then."""
    content = sample([Layout("a", PIECE + 5), Layout("b", 7), Layout("c", PIECE - 12)], PIECE)
    async with one_torrent(tmp_path, content=content) as one:
        torrent = one.torrent
        torrent.choose(FileChoice.of(content.info, bytes([1, 0, 1])))
        giver = await one.visitor(has=b"\xc0")
        giver.send(wire.frame(wire.UNCHOKE))
        asked = [(await giver.until(wire.REQUEST)).numbers for _ in range(4)]
        giver.send(*(one.block(*request) for request in asked))
        await one.until(lambda: torrent.state is State.SEEDING)
        await one.session.facilities.disk.settle()
        assert not (tmp_path / "t/b").exists()
        may_gather = hold_gathering(monkeypatch)
        try:
            torrent.choose(None)
            assert torrent.is_finished
            assert torrent.state is State.DOWNLOADING
        finally:
            may_gather.set()
        await one.until(lambda: torrent.state is State.SEEDING)
        assert (tmp_path / "t/b").read_bytes() == content.data[PIECE + 5 :][:7]


async def test_files_that_were_looked_at_before_the_end_are_not_found_missing_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Choosing looks at files too, and what it saw may be old when the torrent is complete."""
    looked, may_go_on = threading.Event(), threading.Event()
    stamps = ChosenFiles.stamps

    def late(files: ChosenFiles) -> list[FileStamp | None]:
        found = stamps(files)
        looked.set()
        may_go_on.wait(30.0)
        return found

    async with one_torrent(tmp_path, content=CONTENT) as one:
        torrent = one.torrent
        monkeypatch.setattr(ChosenFiles, "stamps", late)
        try:
            torrent.choose(choice(0, 0, 1))
            await asyncio.to_thread(looked.wait, 30.0)
            monkeypatch.undo()
            giver = await one.visitor(0, has=ALL)
            giver.send(wire.frame(wire.UNCHOKE))
            asked = [(await giver.until(wire.REQUEST)).numbers for _ in range(3)]
            giver.send(*(one.block(*request) for request in asked))
            await one.until(lambda: torrent.state is State.SEEDING)
        finally:
            may_go_on.set()
        await one.until(lambda: torrent.record is not None and torrent.record.is_clean)
        assert not torrent.error
        assert torrent.state is State.SEEDING


async def test_many_changes_of_mind_in_a_row(tmp_path: Path) -> None:
    """While pieces are kept apart, moved and written: nothing fails, and all comes to its place."""
    content = sample([Layout(f"{n:02}", PIECE + 7) for n in range(40)], PIECE)
    rng = random.Random(5)
    async with one_torrent(tmp_path, content=content) as one:
        giver = await one.visitor(has=b"\xff" * 5 + b"\x80")
        giver.send(wire.frame(wire.UNCHOKE))

        async def give() -> None:
            async for said in giver.messages():
                if said.id == wire.REQUEST:
                    giver.send(one.block(*said.numbers))
                    levels = bytes(rng.randint(0, 1) for _ in content.info.files)
                    one.torrent.choose(FileChoice.of(content.info, levels))

        giving = asyncio.create_task(give())
        await one.until(lambda: one.torrent.have.count > 30)
        giving.cancel()
        giver.send(wire.frame(wire.CHOKE))
        have = set(one.torrent.have)
        one.torrent.choose(None)
        await one.until(lambda: not one.torrent.placing)
        await one.session.facilities.disk.settle()
        assert not one.torrent.error
        data = bytearray(content.info.total_length)
        for file in content.info.files:
            path = tmp_path.joinpath(*file.path)
            if path.exists():
                data[file.offset : file.end] = path.read_bytes()
        for index in have:
            assert data[index * PIECE :][: len(content.piece(index))] == content.piece(index)


@pytest.mark.parametrize("is_running", [True, False])
async def test_what_was_damaged_where_it_was_kept_is_fetched_again(
    is_running: bool, tmp_path: Path
) -> None:
    """Whether files are chosen while it runs or while it rests."""
    async with one_torrent(tmp_path, content=CONTENT) as one:
        torrent = one.torrent
        torrent.choose(choice(0, 0, 1))
        giver = await one.visitor(0, has=ALL)
        giver.send(wire.frame(wire.UNCHOKE))
        asked = [(await giver.until(wire.REQUEST)).numbers for _ in range(3)]
        giver.send(*(one.block(*request) for request in asked))
        await one.until(lambda: torrent.state is State.SEEDING)
        await one.until(lambda: torrent.record is not None and torrent.record.is_clean)
        if not is_running:
            torrent.pause()
        (part,) = tmp_path.glob(".*.parts")
        raw = bytearray(part.read_bytes())
        raw[-PIECE // 2] ^= 1
        look = part.stat()
        part.write_bytes(raw)
        os.utime(part, ns=(look.st_atime_ns, look.st_mtime_ns))  # a disk that forgets
        torrent.choose(None)
        torrent.start()
        await one.until(lambda: torrent.state is State.DOWNLOADING and not torrent.have[8])
        giver = await one.visitor(1, has=ALL)
        giver.send(wire.frame(wire.UNCHOKE))
        async for said in giver.messages():
            if said.id == wire.REQUEST:
                giver.send(one.block(*said.numbers))
        await one.until(lambda: torrent.state is State.SEEDING)
        assert (tmp_path / "t/b").read_bytes() == CONTENT.content_of(1)


async def test_a_choice_while_it_is_checked_or_paused(tmp_path: Path) -> None:
    CONTENT.store(tmp_path)
    (tmp_path / "t/b").unlink()
    async with running() as session:
        torrent = await session.add(Metainfo(CONTENT.info), save_path=tmp_path)
        assert torrent.state is State.CHECKING
        torrent.choose(choice(1, 0, 1))
        assert torrent.state is State.CHECKING
        # Of c the piece is missing that it shares with b.
        await until_state(session, torrent, State.DOWNLOADING)
        torrent.choose(choice(1, 0, 0))
        await until_state(session, torrent, State.SEEDING)
        torrent.pause()
        torrent.choose(None)
        assert torrent.state is State.PAUSED
        assert not torrent.is_finished
        await until(session, lambda: bool(torrent.record and torrent.record.is_clean))
        torrent.start()
        await until_state(session, torrent, State.DOWNLOADING)
        assert not (tmp_path / "t/b").exists()


async def test_a_wish_that_names_nothing_adds_nothing(tmp_path: Path) -> None:
    async with running() as session:
        with pytest.raises(InputError, match="no file matches"):
            await session.add(
                Metainfo(CONTENT.info), save_path=tmp_path, wishes=FileWishes(skip=("*.exe",))
            )
        assert not session.torrents
