"""One torrent's trackers: which is asked when, what is said, what came back (BEP 3, 12, 21, 31).

Holds no task and no timer: the session asks `next_at`, and calls `due` and `announce` when it is
time. The trackers are tried in the order of their tiers; behind the first one that works, none is
asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.core.compact import Endpoint
from engine.discovery.announce import AnnounceEvent, AnnounceReply, AnnounceRequest
from engine.discovery.announce_schedule import AnnounceSchedule
from engine.discovery.tracker_tiers import TrackerTiers
from engine.errors import TrackerError, TrackerReplyError, TrackerUnreachable
from engine.swarm.peer_list import PeerSource
from engine.torrent.facilities import Facilities

if TYPE_CHECKING:
    from engine.torrent.torrent import Torrent

NOBODY_LISTENS = 1
"""The port that trackers are told when we have none: many refuse 0."""

NO_URL = "?"
"""The host of what a torrent names as a tracker and is no URL: asking it says what is wrong."""


class Tracker:
    """One tracker as one torrent knows it."""

    __slots__ = ("error", "last_at", "reply", "schedule", "url")

    def __init__(self, url: str, schedule: AnnounceSchedule) -> None:
        self.url = url
        self.schedule = schedule
        self.reply: AnnounceReply | None = None
        """The last good one."""
        self.error = ""
        """Why the last announce failed; empty when it did not."""
        self.last_at: float | None = None
        """Seconds since the epoch of the last announce that ended."""

    @property
    def host(self) -> str:
        """What may stand in a log: the rest of a URL is often a secret key."""
        try:
            return urlsplit(self.url).netloc.rpartition("@")[2]
        except ValueError:
            return NO_URL


class Announcer:
    """Speaks to the trackers of one torrent."""

    __slots__ = (
        "_downloaded_before",
        "_facilities",
        "_is_incomplete",
        "_is_started",
        "_key",
        "_on_change",
        "_torrent",
        "_uploaded_before",
        "tiers",
        "trackers",
    )

    def __init__(
        self, torrent: Torrent, facilities: Facilities, on_change: Callable[[], None]
    ) -> None:
        """`on_change` is called whenever `next_at` may have become earlier."""
        self._torrent = torrent
        self._facilities = facilities
        self._on_change = on_change
        self._is_started = False
        """In the swarm; also while what was fetched of a magnet link is followed by a check."""
        self._is_incomplete = False
        """It was when it joined, and `completed` was not told since."""
        self._key = facilities.rng.getrandbits(32)
        self._uploaded_before = 0
        self._downloaded_before = 0
        self.tiers = TrackerTiers(torrent.summary.trackers, facilities.rng)
        self.trackers: dict[str, Tracker] = {url: self._tracker(url) for url in self.tiers}

    def _tracker(self, url: str) -> Tracker:
        shortest_s = self._facilities.limits.min_announce_interval_s
        return Tracker(url, AnnounceSchedule(self._facilities.rng, min_interval_s=shortest_s))

    # ── what the torrent tells ──────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """The torrent joined its swarm. Saying it again changes nothing."""
        if self._is_started:
            return
        self._is_started = True
        self._is_incomplete = self._torrent.left > 0
        self._uploaded_before = self._torrent.up_rate.total
        self._downloaded_before = self._torrent.down_rate.total
        self._each(AnnounceSchedule.start)

    def add(self, tiers: Iterable[Iterable[str]]) -> None:
        """Learn more trackers, in tiers behind those that are known."""
        for tier in tiers:
            number = len(self.tiers.tiers)
            for url in tier:
                if self.tiers.add(url, number):
                    self.trackers[url] = self._tracker(url)
                    if self._is_started:
                        self.trackers[url].schedule.start(self._now())
        self._on_change()

    def completed(self) -> None:
        """All is there; trackers are told once, and not of what was there at the start (BEP 3).
        Saying it again, as of files that are wanted anew, changes nothing."""
        if not self._is_incomplete:
            return
        self._is_incomplete = False
        self._each(AnnounceSchedule.completed)

    def stop(self) -> None:
        """The torrent left its swarm: `stopped` is owed to those who know of us."""
        if not self._is_started:
            return
        self._is_started = False
        self._each(AnnounceSchedule.stop)

    def announce_now(self) -> None:
        """The user asks: forget back-offs, but never a tracker's own `min interval`."""
        for tracker in self.trackers.values():
            if tracker.schedule.failures:
                tracker.schedule.forgive(self._now())
        self._each(AnnounceSchedule.want)

    def want_more(self) -> None:
        """The swarm we know is too small: ask sooner than the interval says, if that is allowed."""
        now = self._now()
        self._facilities.dht.want_peers(self._torrent.info_hash)
        for tracker in self._asked():
            schedule = tracker.schedule
            if schedule.is_known and not schedule.failures and schedule.next_at > now:
                schedule.want(now)
                self._on_change()

    def _each(self, tell: Callable[[AnnounceSchedule, float], object]) -> None:
        now = self._now()
        for tracker in self.trackers.values():
            tell(tracker.schedule, now)
        self._on_change()

    def _now(self) -> float:
        return self._facilities.loop.time()

    # ── what the session asks ───────────────────────────────────────────────────────────────────

    @property
    def next_at(self) -> float:
        """When `due` has something; inf = never, as things are. The loop's clock."""
        return min(
            (
                tracker.schedule.next_at
                for tracker in self._asked()
                if not tracker.schedule.is_announcing
            ),
            default=math.inf,
        )

    @property
    def is_started(self) -> bool:
        """True while the torrent is in its swarm."""
        return self._is_started

    @property
    def asks_dht(self) -> bool:
        """True if the DHT is another way to find peers of this torrent (BEP 27)."""
        return bool(self._facilities.dht.port) and not self._torrent.summary.is_private

    @property
    def owes_stopped(self) -> bool:
        """True while a tracker should still hear that we stopped."""
        return not self._is_started and any(
            tracker.schedule.owes_event for tracker in self.trackers.values()
        )

    def due(self, now: float) -> list[Tracker]:
        """The trackers to announce to now; `announce` must be called for each."""
        return [tracker for tracker in self._asked() if tracker.schedule.is_due(now)][
            : None if not self._is_started else 1
        ]

    def _asked(self) -> list[Tracker]:
        """Those that matter now, in the order of their tiers: all up to the first that works."""
        asked = []
        for url in self.tiers:
            tracker = self.trackers[url]
            asked.append(tracker)
            works = tracker.schedule.is_announcing or (
                tracker.schedule.is_known and not tracker.schedule.failures
            )
            if works and self._is_started:
                break
        return asked

    async def announce(self, tracker: Tracker) -> TrackerError | None:
        """Announce to one tracker and learn from what it says; returns why it failed."""
        failure: TrackerError | None = None
        request = self._request(tracker)
        try:
            reply = await self._facilities.trackers.announce(tracker.url, request)
        except TrackerError as error:
            failure = error
            self._on_failure(tracker, error)
        except Exception as error:
            # A mistake of ours, which would be made again at once if it were not a failure.
            self._on_failure(tracker, TrackerReplyError(repr(error).removesuffix("()")))
            raise
        except BaseException:
            tracker.schedule.abandoned(self._now())
            raise
        else:
            self._on_reply(tracker, reply)
        self._torrent.changed()
        self._on_change()
        return failure

    def unreachable(self, tracker: Tracker, error: TrackerUnreachable) -> None:
        """Take another torrent's word for it that the tracker cannot be reached now."""
        tracker.schedule.begin()
        self._on_failure(tracker, error)
        self._torrent.changed()

    def _on_failure(self, tracker: Tracker, error: TrackerError) -> None:
        tracker.schedule.failed(error, self._now())
        tracker.error = str(error)
        tracker.last_at = self._facilities.wall_clock()
        self._torrent.note("warning", f"tracker {tracker.host}: {error}")

    def _request(self, tracker: Tracker) -> AnnounceRequest:
        torrent = self._torrent
        limits = self._facilities.limits
        event = tracker.schedule.begin()
        if event is AnnounceEvent.NONE and torrent.is_finished and torrent.left:
            event = AnnounceEvent.PAUSED
        return AnnounceRequest(
            info_hash=torrent.info_hash,
            peer_id=self._facilities.peer_id,
            port=self._facilities.listen_port() or NOBODY_LISTENS,
            uploaded=torrent.up_rate.total - self._uploaded_before,
            downloaded=torrent.down_rate.total - self._downloaded_before,
            left=torrent.left,
            event=event,
            numwant=limits.numwant,
            supports_encryption=limits.encryption.takes_encrypted,
            requires_encryption=not limits.encryption.takes_plain,
            key=self._key,
            tracker_id=tracker.schedule.tracker_id,
        )

    def _on_reply(self, tracker: Tracker, reply: AnnounceReply) -> None:
        tracker.schedule.succeeded(reply, self._now())
        tracker.reply = reply
        tracker.error = ""
        tracker.last_at = self._facilities.wall_clock()
        self.tiers.succeeded(tracker.url)
        if reply.warning:
            self._torrent.note("warning", f"tracker {tracker.host}: {reply.warning}")
        if reply.external_ip is not None:
            voter = urlsplit(tracker.url).hostname or tracker.url
            self._facilities.reachability.seen_at(voter, reply.external_ip)
        if reply.peers and self._is_started:
            own_port = self._facilities.listen_port()
            others = [peer for peer in reply.peers if not self._is_us(peer, own_port)]
            self._torrent.found_peers(others, PeerSource.TRACKER)

    def _is_us(self, peer: Endpoint, own_port: int) -> bool:
        """A tracker lists us too. Other hosts may use our port; a wrong guess costs a handshake."""
        return peer.port == own_port and self._facilities.is_own_host(peer.host)
