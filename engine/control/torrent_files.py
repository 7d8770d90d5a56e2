"""The files of a torrent as rows, and a request about them as the torrent takes it."""

from __future__ import annotations

import bisect
from collections import defaultdict

from engine.control import schema
from engine.core.file_choice import FileChoice, FilePriority, priorities_of
from engine.core.file_wishes import FileWishes, as_ranges
from engine.torrent.torrent import Torrent


def file_rows(torrent: Torrent) -> list[schema.FileRow]:
    """All files with what is verified of each; none while they are not known."""
    if not torrent.has_info:
        return []
    geometry = torrent.geometry
    have_ends: list[int] = []
    have_sums = [0]
    for index in torrent.have:
        size = geometry.piece_size(index)
        have_ends.append(geometry.piece_offset(index) + size)
        have_sums.append(have_sums[-1] + size)

    def had_before(offset: int) -> int:
        """Verified bytes among the first `offset` bytes of the torrent."""
        full = bisect.bisect_right(have_ends, offset)
        index = offset // geometry.piece_length
        inside = offset < geometry.total_length and torrent.have[index]
        return have_sums[full] + (offset - geometry.piece_offset(index) if inside else 0)

    levels = priorities_of(torrent.info, torrent.choice)
    return [
        schema.FileRow(
            path="/".join(file.path),
            size=file.length,
            have=had_before(file.end) - had_before(file.offset),
            is_pad=file.is_pad,
            index=number,
            priority=_priority(levels[number]),
        )
        for number, file in enumerate(torrent.info.files)
    ]


def choose(torrent: Torrent, request: schema.SetFiles) -> list[schema.FileChange]:
    """Do what the request says and tell what that changed. Raises InputError, StorageError."""
    wishes = FileWishes(
        only=tuple(request.only),
        skip=tuple(request.skip),
        normal=tuple(request.normal),
        high=tuple(request.high),
    ).check()
    info = torrent.info
    before = priorities_of(info, torrent.choice)
    choice = FileChoice.of(info, wishes.applied(info, before))
    after = priorities_of(info, choice)
    if after != before or torrent.wishes:
        torrent.choose(choice)
    changed: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for number, levels in enumerate(zip(before, after, strict=True)):
        if levels[0] != levels[1]:
            changed[levels].append(number)
    return [
        schema.FileChange(
            before=_priority(was),
            after=_priority(now),
            files=as_ranges(numbers),
            count=len(numbers),
            size=sum(info.files[number].length for number in numbers),
        )
        for (was, now), numbers in sorted(changed.items())
    ]


def _priority(level: int) -> schema.FilePriority:
    return schema.FilePriority(FilePriority(level).word)
