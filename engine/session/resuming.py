"""Bringing back the torrents of a restart: thousands of seeds in a second, the others with a check.

A seed whose files look as recorded seeds again at once. The looking is done for many in one job of
a disk thread, and their metainfo is read for it and let go again; all others go the usual way.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

from engine.core.metainfo import Metainfo
from engine.errors import SeedwrightError, StorageError
from engine.torrent.facilities import Facilities
from engine.torrent.lifecycle import State
from engine.torrent.resume import suspicious_files
from engine.torrent.torrent import Torrent

log = logging.getLogger(__name__)

_AT_A_TIME = 128
"""Torrents looked at in one job: some milliseconds of a thread."""


async def resume(
    torrents: Sequence[Torrent],
    facilities: Facilities,
    load: Callable[[Sequence[bytes]], Awaitable[Mapping[bytes, bytes]]],
) -> None:
    """Start torrents that ran before; `load` reads .torrents by info-hash. Those of which it cannot
    are started with a check, which tells what is wrong with each."""
    seeds = [torrent for torrent in torrents if _is_settled(torrent)]
    settled = set(seeds)
    for torrent in torrents:
        if torrent not in settled:
            torrent.start()
    for at in range(0, len(seeds), _AT_A_TIME):
        batch = [torrent for torrent in seeds[at : at + _AT_A_TIME] if _is_still_wanted(torrent)]
        stored: Mapping[bytes, bytes] = {}
        try:
            stored = await load([bytes(torrent.info_hash) for torrent in batch])
        except StorageError as error:
            log.error(
                "%d torrents are checked, their records cannot be read: %s", len(batch), error
            )
        looks = await facilities.disk.run(partial(_look, batch, stored))
        for torrent, looks_right in zip(batch, looks, strict=True):
            if not _is_still_wanted(torrent):
                continue
            if looks_right:
                torrent.seed_again()
            else:
                torrent.start()


def _is_settled(torrent: Torrent) -> bool:
    """Nothing wanted is missing, and a record says how the files looked when nothing wrote any
    more."""
    record = torrent.record
    return torrent.is_finished and not torrent.needs_check and bool(record and record.is_clean)


def _is_still_wanted(torrent: Torrent) -> bool:
    """False if the user paused or restarted it meanwhile."""
    return torrent.wants_to_run and torrent.state is State.PAUSED


def _look(torrents: Sequence[Torrent], stored: Mapping[bytes, bytes]) -> list[bool]:
    """In a disk thread: say of each torrent whether its files look as recorded."""
    return [_looks_right(torrent, stored.get(bytes(torrent.info_hash))) for torrent in torrents]


def _looks_right(torrent: Torrent, stored: bytes | None) -> bool:
    if stored is None or torrent.record is None:
        return False
    try:
        files = torrent.files(Metainfo.parse(stored).info)
        return not suspicious_files(torrent.record, files.stamps())
    except SeedwrightError:
        return False
