"""The part of a torrent that takes part in its swarm: exists while there is somebody to talk to.

LiveTorrent owns the parts by topic and reads as the list of everything that can happen to them; a
seeding torrent without peers has none, and costs its record only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.core.file_choice import FileChoice
from engine.core.metainfo import Info
from engine.storage.chosen_files import ChosenFiles
from engine.swarm.peer_list import PeerList
from engine.torrent.conversation import Conversation
from engine.torrent.dht_door import our_reserved
from engine.torrent.disguise import Disguise
from engine.torrent.download import Download
from engine.torrent.facilities import Facilities
from engine.torrent.hole_punching import HolePunching
from engine.torrent.lifecycle import State
from engine.torrent.peer_exchange import PeerExchange
from engine.torrent.peers import Peers
from engine.torrent.seed_watch import SeedWatch
from engine.torrent.throttle import Throttle
from engine.torrent.upload import Upload
from engine.wire.handshake import Handshake

if TYPE_CHECKING:
    from engine.torrent.torrent import Torrent

CHOKE_ROUND_S = 10.0
_IDLE_LINGER_S = 30.0
"""A seeding torrent keeps its live part this long after its last peer."""


class LiveTorrent:
    """A torrent in its swarm. Created by Torrent when it is needed, closed when it is not."""

    def __init__(
        self, torrent: Torrent, facilities: Facilities, info: Info, known: PeerList
    ) -> None:
        self.torrent = torrent
        self.facilities = facilities
        self.info = info
        self.info_hash = torrent.info_hash
        self.name = torrent.name
        self.geometry = info.geometry
        self.have = torrent.have
        self.now = facilities.loop.time
        self.is_closed = False
        self.drops_seeds = True
        self.down = Throttle(facilities.loop, torrent.down_bucket, facilities.down)
        self.up = Throttle(facilities.loop, torrent.up_bucket, facilities.up)
        self.files: ChosenFiles = torrent.files(info)
        self.watch = SeedWatch(torrent, facilities, self.files)
        self.download = Download(self)
        self.upload = Upload(self)
        self.conversation = Conversation(self)
        self.peers = Peers(self, known)
        self.exchange: PeerExchange | None = None
        if facilities.limits.exchanges_peers and not info.is_private:
            self.exchange = PeerExchange(self)
        self.punching: HolePunching | None = None
        if self.exchange is not None and facilities.dialer.speaks_utp:
            self.punching = HolePunching(self)
        self.disguise: Disguise | None = None
        if facilities.limits.super_seed and torrent.have.is_full:
            self.disguise = Disguise(self)
        self.idle_since: float | None = self.now()
        if torrent.choice is not None:
            self.download.picker.set_wanted(torrent.choice.wanted, torrent.choice.urgent(info))
        if torrent.state is State.DOWNLOADING:
            self.download.restore(torrent.kept_blocks())
        self._next_rechoke_at = self.now() + CHOKE_ROUND_S

    @property
    def is_running(self) -> bool:
        return not self.is_closed and self.torrent.state.is_running

    @property
    def is_downloading(self) -> bool:
        return not self.is_closed and self.torrent.state is State.DOWNLOADING

    @property
    def copies_elsewhere(self) -> float:
        """Whole copies that connected peers hold together, and those who left us as seeds."""
        return self.download.picker.availability.distributed_copies() + len(self.peers.parted_seeds)

    @property
    def wants_nothing(self) -> bool:
        """True if no wanted piece is missing; whether others are is another matter."""
        return self.download.picker.is_finished

    @property
    def is_idle(self) -> bool:
        """True if nobody has been connected for a while."""
        return self.idle_since is not None and self.now() - self.idle_since > _IDLE_LINGER_S

    def our_handshake(self) -> bytes:
        reserved = our_reserved(self.facilities.dht, is_private=self.info.is_private)
        return Handshake(self.info_hash, self.facilities.peer_id, reserved).encode()

    # ── what happens ────────────────────────────────────────────────────────────────────────────

    def count_downloaded(self, amount: int) -> None:
        self.torrent.down_rate.add(amount)
        self.facilities.down_rate.add(amount)

    def count_uploaded(self, amount: int) -> None:
        self.torrent.up_rate.add(amount)
        self.facilities.up_rate.add(amount)

    def choose(self, choice: FileChoice | None) -> None:
        """Other files are wanted, or some more than others."""
        self.files.skipped = choice.skipped if choice else frozenset()
        had_finished = self.wants_nothing
        self.download.choose(choice)
        if had_finished and not self.wants_nothing:
            self.conversation.tell_upload_only()

    def on_pieces(self, indexes: Sequence[int]) -> None:
        """Pieces are verified and on disk."""
        self.torrent.on_pieces(indexes)

    def on_finished(self) -> None:
        """The last wanted piece is on disk; heeded when all of them are in their files."""
        if self.torrent.placing:
            return
        self.torrent.on_finished()
        if self.is_closed:
            return
        # First: who hears `upload_only` may hang up on the spot.
        self.download.completion.tell_haves()
        self.conversation.tell_upload_only()
        self.peers.drop_seeds()
        for peer in self.peers.connected:
            peer.set_interested(False)
            peer.down.stop()

    def storage_failed(self, error: Exception) -> None:
        if not self.is_closed:
            self.torrent.fail(error)

    def on_peers_changed(self) -> None:
        self.idle_since = None if self.peers.connected else self.now()
        if self.exchange is not None:
            self.exchange.peers_changed()
        self.torrent.changed()

    def note(self, level: str, text: str) -> None:
        self.torrent.note(level, text)

    def tick(self, now: float) -> None:
        """Once a second."""
        self.peers.tick(now)
        self.upload.tick(now)
        self.watch.tick(now)
        if self.is_downloading and self.peers.are_few:
            self.torrent.announcer.want_more()
        if self.exchange is not None:
            self.exchange.tick(now)
        self.download.drop_stuck_pieces()
        if self.disguise is not None:
            self.disguise.offer()
        if now >= self._next_rechoke_at:
            self._next_rechoke_at = now + CHOKE_ROUND_S
            self.upload.rechoke()

    def close(self) -> None:
        """Leave the swarm: close all connections and give all buffers back."""
        if self.is_closed:
            return
        self.is_closed = True
        self.torrent.unkept += self.download.take_unfinished(0.0)
        self.torrent.wasted += self.download.picker.wasted_bytes
        self.peers.close()
        self.download.close()
        self.down.close()
        self.up.close()
        self.files.close()
