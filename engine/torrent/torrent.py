"""One torrent: its record, its lifecycle, and its live part while it has one.

Reads as the list of everything that can happen to a torrent. The record is all that an idle torrent
costs: no task, no timer, no open file, and its metainfo stays in the state database until needed.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from engine.core.bitfield import Bitfield
from engine.core.compact import Endpoint
from engine.core.file_choice import FileChoice
from engine.core.file_wishes import FileWishes
from engine.core.magnet import Magnet
from engine.core.metainfo import Info, Metainfo
from engine.core.rates import RateEstimate, TokenBucket
from engine.errors import SeedwrightError, StorageError
from engine.storage.chosen_files import ChosenFiles
from engine.storage.file_stamps import FileStamp, FileStamps
from engine.swarm.peer_list import PeerList, PeerSource
from engine.torrent.announcer import Announcer
from engine.torrent.checking import settle_record, take_stamps
from engine.torrent.choosing import choose_files
from engine.torrent.facilities import Facilities
from engine.torrent.holding import Holding
from engine.torrent.lifecycle import Event, State, after
from engine.torrent.live import LiveTorrent
from engine.torrent.metadata import MetadataSwarm
from engine.torrent.owner import Owner
from engine.torrent.preparation import Preparation
from engine.torrent.resume import Record
from engine.torrent.summary import Summary
from engine.torrent.unfinished import UnfinishedBlock

log = logging.getLogger(__name__)

_LOG_LINES = 200


class Torrent(Holding):
    """One torrent of a session."""

    __slots__ = (
        "_facilities",
        "_info",
        "_known",
        "_owner",
        "active_s",
        "added_at",
        "announcer",
        "check_progress",
        "completed_at",
        "down_bucket",
        "down_rate",
        "error",
        "explicit_peers",
        "fetching",
        "info_hash",
        "live",
        "log_lines",
        "magnet",
        "needs_check",
        "placing",
        "preallocate",
        "preparation",
        "record",
        "save_path",
        "state",
        "unkept",
        "up_bucket",
        "up_rate",
        "wants_to_run",
        "wasted",
        "wishes",
    )

    def __init__(
        self,
        owner: Owner,
        facilities: Facilities,
        summary: Summary,
        *,
        save_path: Path,
        have: Bitfield | None = None,
        choice: FileChoice | None = None,
        wishes: FileWishes,
        added_at: float,
        preallocate: bool = False,
        magnet: Magnet | None = None,
        info: Info | None = None,
    ) -> None:
        """`magnet` is where it came from, if its metadata is not known yet; `wishes` is what to
        choose of its files then."""
        super().__init__(summary, have, choice)
        now = facilities.loop.time()
        self._owner = owner
        self._facilities = facilities
        self._info = info
        self.log_lines: deque[tuple[float, str, str]] = deque(maxlen=_LOG_LINES)
        """(seconds since the epoch, level, text), oldest first."""
        self._known: PeerList | None = None
        """Addresses that the live part to come begins with."""
        self.magnet = magnet
        self.wishes = wishes
        """What is to be heeded before the first piece is fetched."""
        self.info_hash = summary.info_hash
        self.save_path = save_path
        self.preallocate = preallocate
        self.placing = 0
        """Times that what was kept apart is being moved to files that are wanted now."""
        self.state = State.PAUSED
        self.wants_to_run = True
        """What the user asked for; the state may be ERROR all the same."""
        self.needs_check = have is None
        self.record: Record | None = None
        self.error = ""
        self.check_progress = 0.0
        self.added_at = added_at
        self.completed_at: float | None = None
        self.active_s = 0.0
        self.wasted = 0
        self.down_rate = RateEstimate(now)
        self.up_rate = RateEstimate(now)
        self.down_bucket = TokenBucket(0, now)
        self.up_bucket = TokenBucket(0, now)
        self.explicit_peers: list[Endpoint] = []
        self.unkept: list[UnfinishedBlock] = []
        """Blocks of begun pieces that are on their way to where they are kept."""
        self.live: LiveTorrent | None = None
        self.fetching: MetadataSwarm | None = None
        """There while the state is METADATA, instead of a live part."""
        self.preparation = Preparation(self, facilities, owner)
        self.announcer = Announcer(self, facilities, lambda: owner.announce_changed(self))

    # ── what others ask ─────────────────────────────────────────────────────────────────────────

    @property
    def info(self) -> Info:
        """The info dictionary; read back if it was put away. Raises SeedwrightError."""
        if not self.has_info:
            raise StorageError(f"the metadata of {self.name} is not known yet")
        if self._info is None:
            self._info = self._owner.load_metainfo(self.info_hash).info
        return self._info

    @property
    def progress(self) -> float:
        if self.state is State.CHECKING:
            return self.check_progress
        wanted = self.wanted_bytes
        return self.wanted_have_bytes / wanted if wanted else float(self.is_finished)

    @property
    def waiting(self) -> str:
        """What must come before anything leaves the engine, as "waiting for tun0"; else empty."""
        return self._facilities.route.waiting

    @property
    def wasted_bytes(self) -> int:
        return self.wasted + (self.live.download.picker.wasted_bytes if self.live else 0)

    def files(self, info: Info) -> ChosenFiles:
        return ChosenFiles(
            self.save_path,
            info,
            self._facilities.file_pool,
            preallocate=self.preallocate,
            skipped=self.choice.skipped if self.choice else frozenset(),
        )

    # ── what the user does ──────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Run: check first if need be, then download or seed. Also the way out of an error."""
        self.wants_to_run = True
        self.changed()
        if self.state is State.METADATA:
            self.wishes = replace(self.wishes, waits=False)
        if self.state.is_running or self.state is State.CHECKING:
            return
        self.error = ""
        self.preparation.begin()

    def pause(self) -> None:
        """Leave the swarm, keep everything."""
        self.wants_to_run = False
        if self.state.is_running:
            self.note("info", "paused")
        self.suspend()

    def suspend(self) -> None:
        """Leave the swarm until the next `start`, as at the end of a session."""
        self.preparation.stop()
        self.error = ""
        self.leave(Event.PAUSE)

    def recheck(self) -> None:
        """Verify all pieces from the disk, whatever is recorded."""
        self.suspend()
        self.needs_check = True
        if self.has_info:
            self.note("info", "checking all pieces")
        self.preparation.begin()

    def check_changed(self, path: str) -> None:
        """Verify what does not look as recorded any more, as the file at `path`."""
        self.suspend()
        self.preparation.begin(changed=path)

    def set_limits(self, *, down: int | None = None, up: int | None = None) -> None:
        """Limit this torrent, in bytes a second; 0 lifts a limit, None leaves it."""
        session = self._facilities
        limits = (down, self.down_bucket, session.down), (up, self.up_bucket, session.up)
        for rate, bucket, shared in limits:
            if rate is not None:
                bucket.set_rate(rate, session.loop.time())
                shared.look_again()
        self.changed()

    def assume_complete(self) -> None:
        """Take the user's word that all is there; sizes are compared, pieces are not hashed."""
        self.needs_check = False
        self.checked(Bitfield.full(self.geometry.piece_count))

    def add_peer(self, endpoint: Endpoint) -> None:
        """Connect to an explicit peer, now and whenever it is lost."""
        if endpoint not in self.explicit_peers:
            self.explicit_peers.append(endpoint)
            self.changed()
        self.found_peers([endpoint], PeerSource.MANUAL)

    # ── before the swarm: metadata and check ────────────────────────────────────────────────────

    def learned(self, metainfo: Metainfo, known: PeerList) -> None:
        """Take over the metadata, and go on if it is still wanted; `known` are addresses."""
        self._info = metainfo.info
        self._known = known
        self.preparation.metadata_came(Summary.of(metainfo))

    def choose(self, choice: FileChoice | None) -> None:
        """Want other files than before, or some more than others, from now on."""
        choose_files(self, choice, self._facilities)

    def stamped(self, stamps: Sequence[FileStamp | None]) -> None:
        """Note how the files look now. Clean: nothing is written to them until the next check."""
        is_clean = self.is_finished or self.state in (State.PAUSED, State.ERROR)
        self.record = Record(FileStamps.of(stamps), self._facilities.wall_clock(), is_clean)
        self.changed()

    def checked(self, have: Bitfield) -> None:
        """Take over what a check found. Must be called before the torrent joins its swarm."""
        self.have = have
        self.count()
        self.changed()

    # ── in the swarm ────────────────────────────────────────────────────────────────────────────

    def join(self) -> None:
        seeding = self.is_finished
        self.move(Event.SEED if seeding else Event.DOWNLOAD)
        self.note("info", "seeding" if seeding else "downloading")
        if not seeding or self.explicit_peers:
            self.wake().peers.found(self.explicit_peers, PeerSource.MANUAL)
        self.announcer.start()
        self._owner.activated(self)

    def seed_again(self) -> None:
        """Seed as before a restart. The owner has seen that the files look as recorded."""
        self.state = after(self.state, Event.SEED)
        self._owner.shown(self)
        self.announcer.start()

    def wake(self) -> LiveTorrent:
        """The live part, made if there is none; for running torrents. Raises SeedwrightError."""
        if self.live is None:
            known, self._known = self._known or self._facilities.new_peer_list(), None
            self.live = LiveTorrent(self, self._facilities, self.info, known)
            self.live.watch.tick(self.live.now())
            self._owner.activated(self)
        return self.live

    def found_peers(self, endpoints: list[Endpoint], source: PeerSource) -> None:
        """Addresses from a tracker. A seed dials too: leechers behind a NAT cannot dial it."""
        if self.fetching is not None:
            self.fetching.found(endpoints, source)
        elif self.state.is_running and endpoints:
            try:
                self.wake().peers.found(endpoints, source)
            except SeedwrightError as error:
                self.fail(error)

    def on_pieces(self, indexes: Sequence[int]) -> None:
        self.count_pieces(indexes)
        self.changed()

    def on_finished(self) -> None:
        if self.state is State.SEEDING:  # a piece was being written that is not wanted any more
            return
        self.completed_at = self._facilities.wall_clock()
        self.note("info", "complete" if self.is_complete else "all wanted files are complete")
        if self.state is State.DOWNLOADING:  # else it was paused while the last piece was written
            self.move(Event.FINISH)
            self._facilities.down_rate.cut(self.down_rate)
            if self.is_complete:
                self.announcer.completed()
            self._facilities.spawn(take_stamps(self, self._facilities.disk))

    def download_again(self) -> None:
        """More is wanted than before: fetch it, with the peers that are there already."""
        self.move(Event.WANT)
        self.note("info", "downloading")
        self.wake().peers.found(self.explicit_peers, PeerSource.MANUAL)
        self.announcer.start()
        self._owner.activated(self)

    def fail(self, error: Exception) -> None:
        """The disk failed this torrent: stop, say why, keep what was verified."""
        expected = isinstance(error, SeedwrightError)
        self.error = str(error) if expected else f"{type(error).__name__}: {error}"
        if not expected:
            log.error("%s failed: %s", self.name, self.error, exc_info=error)
        self.note("error", self.error)
        self.preparation.stop()
        self.leave(Event.FAIL)

    def leave(self, event: Event) -> None:
        was_running = self.state.is_running
        self.move(event)
        self.close_swarm()
        self._facilities.down_rate.cut(self.down_rate)
        self._facilities.up_rate.cut(self.up_rate)
        self.announcer.stop()
        if was_running and self.record is not None and not self.record.is_clean:
            # What was written since the stamps were taken is not younger than this.
            self.record = replace(self.record, committed_at=self._facilities.wall_clock())
            self._facilities.spawn(settle_record(self, self._facilities.disk))
        self.changed()

    def move(self, event: Event) -> None:
        self.state = after(self.state, event)
        self.changed()

    def tick(self, now: float, elapsed_s: float) -> bool:
        """Once a second while active. False: nothing to do any more, do not call again."""
        self.active_s += elapsed_s
        before = self.down_rate.rate, self.up_rate.rate
        if self.state is State.SEEDING:  # what is on its way at the end is no flow
            self._facilities.down_rate.cut(self.down_rate)
        rates = self.down_rate.update(now), self.up_rate.update(now)
        if rates != before:
            self.changed()
        if self.fetching is not None:
            self.fetching.tick(now)
            return True
        if self.live is None:
            return any(rates)
        self.live.tick(now)
        if self.state is State.SEEDING and not self.explicit_peers and self.live.is_idle:
            self.close_swarm()
        return True

    def close_swarm(self) -> None:
        live, fetching = self.live, self.fetching
        self.live = self.fetching = None
        for swarm in (live, fetching):
            if swarm is not None:
                swarm.close()

    def put_away(self) -> None:
        """Forget the metainfo until it is needed again. The owner must be able to load it."""
        if self.live is None and not self.preparation.is_checking:
            self._info = None

    def kept_blocks(self) -> list[UnfinishedBlock]:
        """All that is kept, where it is kept or still on its way there."""
        return [*self._owner.load_blocks(self.info_hash), *self.unkept]

    def changed(self) -> None:
        self._owner.changed(self)

    def note(self, level: str, text: str) -> None:
        self.log_lines.append((self._facilities.wall_clock(), level, text))
        log.log(getattr(logging, level.upper()), "%s: %s", self.name, text)
