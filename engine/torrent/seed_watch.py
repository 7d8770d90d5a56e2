"""Looking whether the files that a seed gives from are still those that were verified.

Others write to them: a music player that edits a title, somebody who saves a picture. What they
changed would go out as if it were the torrent's, and who gets it bans us. So the files are looked
at when a seed is woken, and now and then while it gives. One that does not look as recorded is
checked (where only dates were lost it costs no more than that); if pieces of it are lost the
torrent stops, and what others wrote is not written over unless the user resumes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.errors import SeedwrightError, StorageMissingError
from engine.storage.chosen_files import ChosenFiles
from engine.torrent.checking import spoilt
from engine.torrent.facilities import Facilities
from engine.torrent.lifecycle import State
from engine.torrent.resume import Record, suspicious_files

if TYPE_CHECKING:
    from engine.torrent.torrent import Torrent

LOOK_S = 15.0
_SHARE = 20
"""Of many files a look takes its time: at most this part of a disk thread's is spent on it."""


class SeedWatch:
    """Watches the files of one torrent as long as it is in its swarm."""

    __slots__ = ("_facilities", "_files", "_given", "_next_at", "_torrent")

    def __init__(self, torrent: Torrent, facilities: Facilities, files: ChosenFiles) -> None:
        self._torrent = torrent
        self._facilities = facilities
        self._files = files
        self._given = -1
        """Bytes uploaded at the last look."""
        self._next_at = -math.inf

    def tick(self, now: float) -> None:
        """Look if it is time: at once at the beginning, later only if something was given since."""
        record, given = self._torrent.record, self._torrent.up_rate.total
        if now < self._next_at or given == self._given or not self._can_judge(record):
            return
        self._given = given
        self._next_at = math.inf
        self._facilities.spawn(self._look(now))

    def _can_judge(self, record: Record | None) -> bool:
        """True while nobody but others writes to the files."""
        torrent = self._torrent
        is_still = torrent.state is State.SEEDING and not torrent.placing
        return is_still and record is not None and record.is_clean

    async def _look(self, began_at: float) -> None:
        torrent, record = self._torrent, self._torrent.record
        try:
            stamps = await self._facilities.disk.run(self._files.stamps)
        except SeedwrightError as error:
            torrent.fail(error)
            return
        finally:
            now = self._facilities.loop.time()
            self._next_at = now + max(LOOK_S, _SHARE * (now - began_at))
        if torrent.record is not record or record is None or not self._can_judge(record):
            return
        suspects = suspicious_files(record, stamps)
        if why := suspects and spoilt(torrent, stamps):
            torrent.fail(StorageMissingError(why))
        elif suspects:
            path = torrent.info.files[min(suspects[0], len(torrent.info.files) - 1)].path
            torrent.check_changed(str(torrent.save_path.joinpath(*path)))
