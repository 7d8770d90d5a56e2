"""Removing, and adding again at once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.session.removing import Removals
from engine.storage.chosen_files import ChosenFiles
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import running, seeding, until_state
from tests.storage.torrents import Layout, sample


async def test_who_waits_goes_on_when_it_is_over() -> None:
    info_hash, other = sample(1).info.info_hash, sample(2).info.info_hash
    removals = Removals()
    await removals.over(info_hash)
    with pytest.raises(OSError, match="full"), removals.of(info_hash):
        waiting = asyncio.create_task(removals.over(info_hash))
        await removals.over(other)
        assert not waiting.done()
        raise OSError("full")
    await waiting
    await removals.over(info_hash)


async def test_what_is_added_while_its_data_are_deleted_finds_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = sample([Layout(name, 20_000) for name in "ab"])
    content.store(tmp_path)
    metainfo = Metainfo(content.info)
    may_delete = threading.Event()
    delete = ChosenFiles.delete

    def late(files: ChosenFiles) -> None:
        may_delete.wait(60)
        delete(files)

    monkeypatch.setattr(ChosenFiles, "delete", late)
    async with running() as session:
        try:
            torrent = await seeding(session, metainfo, tmp_path)
            removing = asyncio.create_task(session.remove(torrent, delete_data=True))
            while session.torrents:
                await asyncio.sleep(0)
            adding = asyncio.create_task(session.add(metainfo, save_path=tmp_path))
            await session.facilities.disk.run(lambda: None)
            assert not session.torrents
        finally:
            may_delete.set()
        await removing
        torrent = await adding
        await until_state(session, torrent, State.DOWNLOADING)
        assert not torrent.have.count
