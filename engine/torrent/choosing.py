"""Wanting other files than before, at any time in the life of a torrent (BEP 21, 53).

What is not wanted any more is not asked for from now on; what is wanted now is fetched by the swarm
that is there. Invariant: the record of how the files look is not clean from the moment on that
other files are skipped until the part file has been seen to, so that a kill loses nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.core.file_choice import FileChoice, priorities_of
from engine.core.file_wishes import FileWishes
from engine.errors import SeedwrightError
from engine.torrent.checking import take_stamps
from engine.torrent.facilities import Facilities
from engine.torrent.lifecycle import State

if TYPE_CHECKING:
    from engine.torrent.torrent import Torrent


def heed_wishes(torrent: Torrent) -> None:
    """Choose what was wished for before the files were known. Raises InputError for a wish that
    names no file: it stays, since to fetch everything is not what was meant."""
    if torrent.wishes.chooses:
        info = torrent.info
        levels = torrent.wishes.applied(info, priorities_of(info, torrent.choice))
        torrent.choice = FileChoice.of(info, levels)
        torrent.count()
    torrent.wishes = FileWishes()


def choose_files(torrent: Torrent, choice: FileChoice | None, facilities: Facilities) -> None:
    """Do what Torrent.choose promises; the metadata must be known."""
    skipped_before = _skipped(torrent.choice)
    torrent.choice = choice
    torrent.wishes = FileWishes()
    torrent.count()
    torrent.changed()
    skips_others = _skipped(choice) != skipped_before
    if skips_others:
        _fit_record(torrent, facilities.wall_clock())
    if torrent.live is not None:
        torrent.live.choose(choice)
    if torrent.state is State.CHECKING:
        torrent.preparation.begin_again()
        return
    if skips_others:
        wants_others = bool(skipped_before - _skipped(choice))
        torrent.placing += wants_others
        facilities.spawn(_put_in_place(torrent, facilities, wants_others))
    _heed_the_end(torrent)
    if torrent.state is State.SEEDING and (torrent.placing or not torrent.is_finished):
        torrent.download_again()


def _heed_the_end(torrent: Torrent) -> None:
    """Finish a download of which nothing is missing, unless bytes are on their way to files."""
    if torrent.state is State.DOWNLOADING and torrent.is_finished and not torrent.placing:
        torrent.wake().on_finished()


def _skipped(choice: FileChoice | None) -> frozenset[int]:
    return choice.skipped if choice else frozenset()


def _fit_record(torrent: Torrent, now: float) -> None:
    """Make the record one of as many stamps as there will be, and not a clean one."""
    record = torrent.record
    if record is None:
        return
    count = len(torrent.info.files)
    stamps = record.stamps[:count]
    if _skipped(torrent.choice):
        stamps = (*stamps, *(record.stamps[count:] or (None,)))
    torrent.record = replace(record, stamps=stamps, is_clean=False, committed_at=now)


async def _put_in_place(torrent: Torrent, facilities: Facilities, wants_others: bool) -> None:
    """Move what was kept apart to files that are wanted now; if there are any, the torrent is not
    finished before."""
    live = torrent.live
    disk = facilities.disk
    try:
        files = live.files if live is not None else torrent.files(torrent.info)
        try:
            await disk.settle()
            lost = await disk.run(files.gather)
            if torrent.state.is_running:
                await disk.run(files.prepare)
        finally:
            if live is None:
                files.close()
    except SeedwrightError as error:
        torrent.fail(error)
        return
    finally:
        torrent.placing -= wants_others
    if lost:
        torrent.note("warning", f"{len(lost)} pieces that were kept apart are damaged")
        torrent.recheck()
        return
    _heed_the_end(torrent)
    await take_stamps(torrent, disk)
