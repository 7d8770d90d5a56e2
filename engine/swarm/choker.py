"""Who may ask us for blocks (BEP 3 "choking and optimistic unchoking"): tit for tat, and seeding.

Invariant: only interested peers that are no seeds are unchoked, and no more than there are slots.
While we download, the slots go to those who send us most, but one: it rotates, so that strangers
can show what they have. While we seed, half goes to those we can send most to, half goes round.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from random import Random

ROUND_S = 10.0
OPTIMISTIC_S = 30.0
"""How long a stranger has to show what it gives, and how long a turn lasts when nobody gives."""
NEW_PEER_S = 60.0
NEW_PEER_WEIGHT = 3
MIN_SLOTS = 4
UNLIMITED_SLOTS = 8
_SLOT_BYTES_PER_S = 512 * 1024
_SQUARE_BYTES_PER_S = 8 * 1024


class Choked(Protocol):
    """What the choker asks about a peer. Rates are bytes a second, times seconds."""

    @property
    def is_interested(self) -> bool:
        """It wants pieces of ours."""

    @property
    def is_choked(self) -> bool:
        """We choke it."""

    @property
    def is_seed(self) -> bool:
        """It has all, or takes nothing (BEP 21 `upload_only`)."""

    @property
    def is_snubbed(self) -> bool:
        """It leaves our requests unanswered."""

    @property
    def download_rate(self) -> float:
        """From it to us."""

    @property
    def upload_rate(self) -> float:
        """From us to it."""

    @property
    def unchoked_at(self) -> float | None:
        """When we unchoked it last; None = never."""

    @property
    def connected_at(self) -> float: ...


PeerT = TypeVar("PeerT", bound=Choked)


@dataclass(frozen=True, slots=True)
class Decision(Generic[PeerT]):
    """Whom to choke and unchoke now. `optimistic` is unchoked whatever it gives; None = nobody."""

    unchoke: list[PeerT]
    choke: list[PeerT]
    optimistic: PeerT | None


class Choker(Generic[PeerT]):
    """The choker of one torrent. `slots` = how many peers are unchoked, None = as many as suit the
    upload limit, or without a limit the rate reached."""

    __slots__ = ("_optimistic", "_optimistic_at", "_rng", "_slots")

    def __init__(self, rng: Random, *, slots: int | None = None) -> None:
        self._rng = rng
        self._slots = slots
        self._optimistic: PeerT | None = None
        self._optimistic_at = -math.inf

    def slots(self, peers: Iterable[PeerT], *, upload_limit: int = 0) -> int:
        """How many peers may be unchoked; `upload_limit` in bytes a second, 0 = none."""
        if self._slots is not None:
            return self._slots
        if upload_limit:
            return max(MIN_SLOTS, round(math.sqrt(upload_limit / _SQUARE_BYTES_PER_S)))
        rate = sum(peer.upload_rate for peer in peers)
        return UNLIMITED_SLOTS + int(rate / _SLOT_BYTES_PER_S)

    def has_room(self, peers: Iterable[PeerT], peer: PeerT, *, upload_limit: int = 0) -> bool:
        """True if this peer, which became interested, can be unchoked before the next round."""
        if peer.is_seed or not peer.is_interested:
            return False
        peers = list(peers)
        busy = sum(not other.is_choked and other is not peer for other in peers)
        return busy < self.slots(peers, upload_limit=upload_limit)

    def decide(
        self, peers: Iterable[PeerT], now: float, *, seeding: bool, upload_limit: int = 0
    ) -> Decision[PeerT]:
        """Choose who is unchoked from now on; call every ROUND_S, and when a slot falls free."""
        peers = list(peers)
        slots = self.slots(peers, upload_limit=upload_limit)
        takers = [peer for peer in peers if peer.is_interested and not peer.is_seed]
        if len(takers) <= slots:
            chosen = takers
            self._optimistic = None
        elif seeding:
            chosen = self._fastest_and_next(takers, slots, now)
            self._optimistic = None
        else:
            chosen = self._givers(takers, slots, now)
        keep = set(map(id, chosen))
        return Decision(
            unchoke=[peer for peer in chosen if peer.is_choked],
            choke=[peer for peer in peers if not peer.is_choked and id(peer) not in keep],
            optimistic=self._optimistic,
        )

    def _givers(self, takers: list[PeerT], slots: int, now: float) -> list[PeerT]:
        """Those who send us most, then turns among those who send nothing; one place is a gift."""
        givers = [peer for peer in takers if peer.download_rate > 0 and not peer.is_snubbed]
        givers.sort(key=lambda peer: -peer.download_rate)
        chosen = givers[: max(0, slots - 1)]
        others = without(takers, chosen)
        optimistic = self._choose_optimistic(others, now) if slots > 0 else None
        if optimistic is not None:
            chosen.append(optimistic)
            others = without(others, [optimistic])
        silent = [peer for peer in others if not peer.is_snubbed]
        chosen += by_turn(silent, now)[: slots - len(chosen)]
        return chosen

    def _choose_optimistic(self, others: list[PeerT], now: float) -> PeerT | None:
        current = self._optimistic
        if now - self._optimistic_at < OPTIMISTIC_S and any(peer is current for peer in others):
            return current
        strangers = [peer for peer in others if peer.is_choked] or others
        if not strangers:
            self._optimistic = None
            return None
        weights = [
            NEW_PEER_WEIGHT if now - peer.connected_at < NEW_PEER_S else 1 for peer in strangers
        ]
        self._optimistic = self._rng.choices(strangers, weights)[0]
        self._optimistic_at = now
        return self._optimistic

    def _fastest_and_next(self, takers: list[PeerT], slots: int, now: float) -> list[PeerT]:
        unchoked = [peer for peer in takers if not peer.is_choked and peer.upload_rate > 0]
        unchoked.sort(key=lambda peer: -peer.upload_rate)
        chosen = unchoked[: slots // 2]
        chosen += by_turn(without(takers, chosen), now)[: slots - len(chosen)]
        return chosen


def by_turn(peers: list[PeerT], now: float) -> list[PeerT]:
    """Order peers fairly: whose turn is not over, then who waits, longest first, then the rest."""

    def turn(peer: PeerT) -> tuple[int, float, float]:
        since = -math.inf if peer.unchoked_at is None else peer.unchoked_at
        if peer.is_choked:
            return 1, since, peer.connected_at
        return (0 if now - since < OPTIMISTIC_S else 2), -since, peer.connected_at

    return sorted(peers, key=turn)


def without(peers: list[PeerT], left_out: list[PeerT]) -> list[PeerT]:
    """Peers that are not left out, in their order."""
    gone = set(map(id, left_out))
    return [peer for peer in peers if id(peer) not in gone]
