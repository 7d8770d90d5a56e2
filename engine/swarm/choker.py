"""Who may ask us for blocks (BEP 3 "choking and optimistic unchoking"): tit for tat, and seeding.

Invariant: only interested peers that are no seeds are unchoked, and no more than there are slots.
While we download, the slots go to those who send us most, but one: it rotates, so that strangers
can show what they have, and those who are behind catch up. While we seed, half goes to those we can
send most to, half goes round. Who let its turn go by gets another one only where nobody else waits;
so does who passes nothing on of what we seed (spreading.py). Who takes and never gives while we
download (debts.py) is choked as long, and then sits out a turn: if it had everything as soon as
those who give, why give?
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
DRAWN = 4
"""So many strangers are drawn by chance, and the one that has least is unchoked. Among equals some
find few who give to them, and stay behind; were the last of all chosen, all would choose the same.
"""
MIN_SLOTS = 4
UNLIMITED_SLOTS = 8
FIRST_SLOTS = 3
PIECES_A_SLOT = 8
"""A piece can be passed on once it is whole: who has few gives them to few at a time, and soon."""
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
    def had(self) -> int:
        """Pieces that it has."""

    @property
    def is_seed(self) -> bool:
        """It has all, or takes nothing (BEP 21 `upload_only`)."""

    @property
    def is_snubbed(self) -> bool:
        """It leaves our requests unanswered."""

    @property
    def comes_last(self) -> bool:
        """It was unchoked and took nothing, not long ago."""

    @property
    def owes(self) -> bool:
        """It took from us and gave nothing, though it has what we wanted."""

    @property
    def hoards(self) -> bool:
        """It passes nothing on of what we seed."""

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

    __slots__ = ("_optimistic", "_optimistic_at", "_rng", "_seeding_since", "_slots")

    def __init__(self, rng: Random, *, slots: int | None = None) -> None:
        self._rng = rng
        self._slots = slots
        self._optimistic: PeerT | None = None
        self._optimistic_at = -math.inf
        self._seeding_since: float | None = None

    def slots(
        self, peers: Iterable[PeerT], *, upload_limit: int = 0, had: int | None = None
    ) -> int:
        """How many peers may be unchoked; `upload_limit` in bytes a second, 0 = none; `had` are the
        pieces that we can pass on, None = all."""
        if self._slots is not None:
            return self._slots
        if upload_limit:
            most = max(MIN_SLOTS, round(math.sqrt(upload_limit / _SQUARE_BYTES_PER_S)))
        else:
            rate = sum(peer.upload_rate for peer in peers)
            most = UNLIMITED_SLOTS + int(rate / _SLOT_BYTES_PER_S)
        return most if had is None else min(most, FIRST_SLOTS + had // PIECES_A_SLOT)

    def has_room(
        self,
        peers: Iterable[PeerT],
        peer: PeerT,
        *,
        upload_limit: int = 0,
        had: int | None = None,
    ) -> bool:
        """True if this peer, which became interested, can be unchoked before the next round."""
        if peer.is_seed or not peer.is_interested or peer.owes:
            return False
        peers = list(peers)
        busy = sum(not other.is_choked and other is not peer for other in peers)
        return busy < self.slots(peers, upload_limit=upload_limit, had=had)

    def decide(
        self,
        peers: Iterable[PeerT],
        now: float,
        *,
        seeding: bool,
        upload_limit: int = 0,
        had: int | None = None,
    ) -> Decision[PeerT]:
        """Choose who is unchoked from now on; call every ROUND_S, and when a slot falls free."""
        peers = list(peers)
        slots = self.slots(peers, upload_limit=upload_limit, had=had)
        takers = [peer for peer in peers if peer.is_interested and not peer.is_seed]
        if not seeding:
            self._seeding_since = None
        elif self._seeding_since is None:
            self._seeding_since = now
        if self._seeding_since is None or now - self._seeding_since < OPTIMISTIC_S:
            takers = [peer for peer in takers if not peer.owes]
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
        is_here = any(peer is current and not peer.comes_last for peer in others)
        if is_here and now - self._optimistic_at < OPTIMISTIC_S:
            return current
        willing = [peer for peer in others if not peer.comes_last] or others
        strangers = [peer for peer in willing if peer.is_choked] or willing
        if not strangers:
            self._optimistic = None
            return None
        weights = [
            NEW_PEER_WEIGHT if now - peer.connected_at < NEW_PEER_S else 1 for peer in strangers
        ]
        drawn = self._rng.choices(strangers, weights, k=DRAWN)
        self._optimistic = min(drawn, key=lambda peer: peer.had)
        self._optimistic_at = now
        return self._optimistic

    def _fastest_and_next(self, takers: list[PeerT], slots: int, now: float) -> list[PeerT]:
        unchoked = [
            peer
            for peer in takers
            if not peer.is_choked and peer.upload_rate > 0 and not is_last(peer)
        ]
        unchoked.sort(key=lambda peer: -peer.upload_rate)
        chosen = unchoked[: slots // 2]
        chosen += by_turn(without(takers, chosen), now)[: slots - len(chosen)]
        return chosen


def is_last(peer: Choked) -> bool:
    """True if it gets a turn only where nobody else waits."""
    return peer.comes_last or peer.hoards or peer.owes


def by_turn(peers: list[PeerT], now: float) -> list[PeerT]:
    """Order peers fairly: whose turn is not over, then who waits, longest first, then the rest;
    behind them all who comes last."""

    def turn(peer: PeerT) -> tuple[bool, int, float, float]:
        since = -math.inf if peer.unchoked_at is None else peer.unchoked_at
        if peer.is_choked:
            return is_last(peer), 1, since, peer.connected_at
        is_over = now - since >= OPTIMISTIC_S
        return is_last(peer), 2 if is_over else 0, -since, peer.connected_at

    return sorted(peers, key=turn)


def without(peers: list[PeerT], left_out: list[PeerT]) -> list[PeerT]:
    """Peers that are not left out, in their order."""
    gone = set(map(id, left_out))
    return [peer for peer in peers if id(peer) not in gone]
