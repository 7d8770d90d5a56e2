"""Checking a torrent on disk, all of it or the pieces of some files, with progress to show.

Invariant: nothing looks at files while an earlier life of the torrent still writes to them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from engine.core.bitfield import Bitfield
from engine.errors import SeedwrightError, StorageMissingError
from engine.storage.checker import Checker
from engine.storage.chosen_files import ChosenFiles
from engine.storage.disk import Disk
from engine.storage.file_stamps import FileStamp, FileStamps
from engine.storage.filesystem import CUT_SHORT, REMOVED
from engine.torrent.lifecycle import State
from engine.torrent.resume import suspicious_files, written_later

if TYPE_CHECKING:
    from engine.torrent.torrent import Torrent


async def make_ready(torrent: Torrent, disk: Disk) -> None:
    """Find out what is on disk, all of it or only what does not look as recorded, and make what
    must be there before a write. Raises StorageError."""
    await disk.settle()
    files = torrent.files(torrent.info)
    try:
        if lost := await disk.run(files.gather):
            have = torrent.have.copy()
            for piece in lost:
                have.discard(piece)
            torrent.checked(have)
        stamps = await disk.run(partial(files.stamps, strict=True))
        suspects = find_suspects(torrent, stamps)
        if suspects is None or suspects:
            later = written_later(torrent.record, stamps) if torrent.record else []
            await check(torrent, disk, files, suspects, later)
        await disk.run(files.prepare)
        stamps = await disk.run(files.stamps)
        torrent.stamped(stamps)
        _tell_of_longer(torrent, stamps)
    finally:
        files.close()


async def take_stamps(torrent: Torrent, disk: Disk) -> None:
    """Note how the files look when all that was to be written is. Without it, which happens when
    the metainfo cannot be read, the next start only has more to check.

    What others did to the files since the last look that a write took fails the torrent now; that
    can be told only if it was complete before, and the same files are wanted still."""
    was_complete, choice = torrent.state is State.SEEDING, torrent.choice
    await disk.settle()
    with contextlib.suppress(SeedwrightError):
        files = torrent.files(torrent.info)
        try:
            stamps = await disk.run(files.stamps)
        finally:
            files.close()
        is_judged = was_complete and torrent.state is State.SEEDING and torrent.choice is choice
        if is_judged and (why := spoilt(torrent, stamps)):
            torrent.fail(StorageMissingError(why))
        else:
            torrent.stamped(stamps)


def spoilt(torrent: Torrent, stamps: Sequence[FileStamp | None]) -> str:
    """Say what is wrong with a file that should be complete; empty if all are long enough."""
    for number in _of_wrong_size(torrent, stamps):
        file, stamp = torrent.info.files[number], stamps[number]
        path = torrent.save_path.joinpath(*file.path)
        if stamp is None:
            return f"{path}: {REMOVED}"
        if stamp.size_bytes < file.length:
            return f"{path}: {CUT_SHORT}"
    return ""


def _of_wrong_size(torrent: Torrent, stamps: Sequence[FileStamp | None]) -> list[int]:
    """The numbers of the files that are missing, or have not the length they should have. A file
    that is skipped may be missing."""
    skipped = torrent.choice.skipped if torrent.choice else frozenset[int]()
    files = torrent.info.files
    looks = zip(FileStamps.of(stamps).sizes, pairwise(files.starts), strict=False)
    return [
        number
        for number, (size, (start, end)) in enumerate(looks)
        if size != end - start > 0
        and not files.is_pad(number)
        and (size >= 0 or number not in skipped)
    ]


def _tell_of_longer(torrent: Torrent, stamps: Sequence[FileStamp | None]) -> None:
    """Say which files go on behind what the torrent says of them. Nothing is cut off for its own
    sake; a write gives a file the length it should have, as in other clients."""
    files = torrent.info.files
    looks = zip(FileStamps.of(stamps).sizes, pairwise(files.starts), strict=False)
    longer = [
        (files[number], size - (end - start))
        for number, (size, (start, end)) in enumerate(looks)
        if size > end - start and not files.is_pad(number)
    ]
    if longer:
        file, excess = longer[0]
        others = f", and so are {len(longer) - 1} more" if longer[1:] else ""
        torrent.note(
            "warning",
            f"{'/'.join(file.path)} is {excess:,} bytes longer than the torrent says{others}: "
            "that stays until something is written to it",
        )


def _was_longer(torrent: Torrent, number: int, stamp: FileStamp | None) -> bool:
    """True of a file that was just as much too long when its pieces were verified."""
    known = torrent.record.stamps[number : number + 1] if torrent.record else ()
    return (
        stamp is not None
        and stamp.size_bytes > torrent.info.files[number].length
        and known == (stamp,)
    )


def _has_some_of(torrent: Torrent, number: int) -> bool:
    """True if a piece is had that lies in this file, be it with one byte."""
    pieces = torrent.info.files[number].pieces(torrent.info.piece_length)
    return any(torrent.have[index] for index in pieces)


async def settle_record(torrent: Torrent, disk: Disk) -> None:
    """Make the record clean once the last write is done; for torrents that are not running."""
    record = torrent.record
    if record is not None and not record.is_clean and not torrent.state.is_running:
        await take_stamps(torrent, disk)


async def check(
    torrent: Torrent,
    disk: Disk,
    files: ChosenFiles,
    suspects: Sequence[int] | None,
    later: Sequence[int] = (),
) -> None:
    """Verify the pieces of the files whose stamps are numbered in `suspects`, None = all, and tell
    the torrent what it has. Of suspects only recorded pieces are read, but of those that were
    written to `later` than recorded all. Raises StorageError."""
    have = torrent.have
    if suspects is None:
        pieces: Sequence[int] = range(torrent.geometry.piece_count)
    else:
        touched = {index for file in suspects for index in files.pieces_at(file)}
        unrecorded = {index for file in later for index in files.pieces_at(file)}
        pieces = sorted(index for index in touched if have[index] or index in unrecorded)

    def progress(done: int, of: int) -> None:
        torrent.check_progress = done / of
        torrent.changed()

    found = await Checker(disk, files, torrent.info, pieces=pieces, progress=progress).run()
    kept = Bitfield(torrent.geometry.piece_count)
    if suspects is not None:
        looked_at = set(pieces)
        for index in have:
            if index not in looked_at:
                kept.add(index)
    for index in found:
        kept.add(index)
    torrent.checked(kept)


def find_suspects(torrent: Torrent, stamps: Sequence[FileStamp | None]) -> list[int] | None:
    """The files to check before a torrent can run; None = all of it. Logs why.

    Raises StorageMissingError if the whole torrent is gone: its progress is kept until the files
    are back, or the user asks for a recheck.
    """
    if torrent.needs_check:
        return None if FileStamps.of(stamps).has_any or torrent.have.count else []
    if torrent.record is None:
        return _of_wrong_size(torrent, stamps)
    if torrent.have.count and not FileStamps.of(stamps).has_any:
        raise StorageMissingError(
            f"no file of it is in {torrent.save_path}: bring them back and resume, "
            "or recheck to fetch them again"
        )
    # Whatever is recorded: it may be of a time before the file was made, or after it was removed.
    cut = [
        number
        for number in _of_wrong_size(torrent, stamps)
        if (stamps[number] is not None or _has_some_of(torrent, number))
        and not _was_longer(torrent, number, stamps[number])
    ]
    suspects = sorted({*suspicious_files(torrent.record, stamps), *cut})
    if suspects:
        which = "1 file does" if len(suspects) == 1 else f"{len(suspects)} files do"
        torrent.note("warning", f"{which} not look as recorded: checking")
    return suspects
