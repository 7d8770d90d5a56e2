"""What comes before a torrent joins its swarm: its metadata, the choice of its files, a check."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.core.bitfield import Bitfield
from engine.errors import SeedwrightError, StorageError
from engine.torrent.checking import make_ready
from engine.torrent.choosing import heed_wishes
from engine.torrent.facilities import Facilities
from engine.torrent.lifecycle import Event, State
from engine.torrent.metadata import MetadataSwarm
from engine.torrent.owner import Owner
from engine.torrent.summary import Summary

if TYPE_CHECKING:
    from engine.torrent.torrent import Torrent


class Preparation:
    """Leads one torrent from rest into its swarm, as far as it gets."""

    __slots__ = ("_changed", "_check", "_facilities", "_owner", "_torrent")

    def __init__(self, torrent: Torrent, facilities: Facilities, owner: Owner) -> None:
        self._torrent = torrent
        self._facilities = facilities
        self._owner = owner
        self._check: asyncio.Task[None] | None = None
        self._changed = ""

    @property
    def is_checking(self) -> bool:
        return self._check is not None

    def begin(self, *, changed: str = "") -> None:
        """Do what comes next: fetch the metadata, or check what is there. `changed` is the path of
        a file that others wrote to: what they spoilt is not fetched again unasked."""
        torrent = self._torrent
        self._changed = changed
        if not torrent.has_info:
            torrent.move(Event.FETCH)
            torrent.note("info", "fetching metadata")
            torrent.fetching = MetadataSwarm(torrent, self._facilities, self._owner)
            torrent.fetching.begin()
            torrent.announcer.start()
            self._owner.activated(torrent)
            return
        if torrent.wishes.waits:
            self._wait_for_a_choice()
            return
        try:
            heed_wishes(torrent)
        except SeedwrightError as error:
            torrent.fail(error)
            return
        torrent.move(Event.CHECK)
        torrent.check_progress = 0.0
        self._check = self._facilities.spawn(self._run_check())

    def metadata_came(self, summary: Summary) -> None:
        """Take the metadata over, and go on if it is still wanted."""
        torrent = self._torrent
        torrent.take_over(summary, Bitfield(summary.geometry.piece_count), None)
        torrent.changed()
        if torrent.state is not State.METADATA:
            return
        torrent.close_swarm()
        self.begin()

    def _wait_for_a_choice(self) -> None:
        torrent = self._torrent
        torrent.wishes = replace(torrent.wishes, waits=False)
        torrent.wants_to_run = False
        try:
            heed_wishes(torrent)
        except SeedwrightError as error:
            torrent.note("warning", str(error))
        torrent.note("info", "the files are known: choose, then resume")
        torrent.leave(Event.PAUSE)

    def begin_again(self) -> None:
        """Begin the check anew that runs: other files are wanted than it began with."""
        self.stop()
        self._torrent.move(Event.PAUSE)
        self.begin(changed=self._changed)

    async def _run_check(self) -> None:
        torrent = self._torrent
        try:
            await make_ready(torrent, self._facilities.disk)
            self._check = None
            torrent.needs_check = False
            if self._changed and not torrent.is_finished:
                torrent.wants_to_run = False  # the next start shall not fetch it unasked either
                raise StorageError(
                    f"{self._changed} was changed by somebody else: "
                    "resume to fetch what is not right any more"
                )
            if torrent.is_finished and torrent.completed_at is None:
                torrent.completed_at = self._facilities.wall_clock()
            if torrent.wants_to_run:
                torrent.join()
            else:
                torrent.leave(Event.PAUSE)
        except Exception as error:
            self._check = None
            torrent.fail(error)

    def stop(self) -> None:
        """End the check, if one runs."""
        if self._check is not None:
            self._check.cancel()
            self._check = None
