"""How many blocks to have asked one peer for, and which are lost (BEP 3, BEP 10 `reqq`). HOT.

Invariant: a block is at most once among those asked for. They are kept as runs of blocks, as a peer
is asked for whole pieces and sends them in order: what is done for each block adds up.

The depth starts small, grows by one with every block (so it doubles each round trip) until the rate
stops growing, and is then what the peer sends in TARGET_S plus a round trip. What it must not know:
who else was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import TypeAlias

from engine.core.geometry import BLOCK_LENGTH, Span, cut_into_blocks

_Run: TypeAlias = tuple[int, int, float]
"""Blocks of a piece in a row that were asked for at once: begin, end, when."""

START_DEPTH = 16
MIN_DEPTH = 4
MAX_DEPTH = 2000
ASSUMED_PEER_LIMIT = 250
"""Requests that a peer keeps if it does not say (BEP 10's default of `reqq`)."""
TARGET_S = 1.5
"""Seconds of transfer to have asked for, beyond the round trip: rides out pauses of either side."""
SNUB_S = 60.0
REORDER_S = 10.0
"""A peer that serves what was asked this much later has dropped the request."""
_GROWTH = 1.1
_BATCH = 64
_LITTLE = 8
"""One block of so many may be left out, or a quick peer would lose a second for it."""
_MAX_PAUSE_S = 30.0
_MAX_LATE = 2 * MAX_DEPTH


class RequestQueue:
    """The requests that one peer has not answered. Times are seconds of one monotonic clock.

    `outstanding` is how many blocks were asked for and are not answered.
    `is_snubbed` says that the peer left requests unanswered for SNUB_S; a block ends it.
    """

    __slots__ = (
        "_active_at",
        "_asked",
        "_blocks",
        "_fruitless",
        "_is_slow_start",
        "_late",
        "_limit",
        "_pardons",
        "_probe_at",
        "_rate",
        "_requested_at",
        "_served_at",
        "_ticked_at",
        "_was_rejected",
        "depth",
        "is_snubbed",
        "outstanding",
        "rtt_s",
    )

    def __init__(self, now: float, *, peer_limit: int = ASSUMED_PEER_LIMIT) -> None:
        self.outstanding = 0
        self._asked: dict[int, list[_Run]] = {}
        """By piece, in the order in which they were asked for."""
        self.depth = START_DEPTH
        self.is_snubbed = False
        self.rtt_s = 0.0
        """From a request to an idle peer until its block; 0 = not measured yet."""
        self._limit = peer_limit
        self._is_slow_start = True
        self._blocks = 0
        self._rate = 0.0
        self._ticked_at = now
        self._active_at = now
        """When the last block came, or when requests went out to an idle peer."""
        self._served_at = now
        """When the block that came last had been asked for."""
        self._probe_at: float | None = None
        self._late: dict[tuple[int, int], int] = {}
        self._pardons = 0
        self._requested_at = now
        self._was_rejected = False
        self._fruitless = 0
        """Batches in a row of which something was rejected and nothing came."""

    def set_peer_limit(self, reqq: int) -> None:
        """Take over how many requests the peer says that it keeps (BEP 10 `reqq`)."""
        self._limit = max(1, min(reqq, MAX_DEPTH))
        self.depth = min(self.depth, self._limit)

    def room(self, now: float) -> int:
        """How many blocks to ask for now: 0 until it is worth a batch. HOT.

        Also 0 for some seconds after several batches were rejected without a block in between.
        """
        depth = self.depth
        room = depth - self.outstanding
        if room < _BATCH and room * 4 < depth:
            return 0
        if self._fruitless > 2:
            pause_s = min(_MAX_PAUSE_S, 2.0 ** (self._fruitless - 3))
            if now < self._requested_at + pause_s:
                return 0
        return max(0, room)

    def requested(self, batch: Iterable[Span], now: float) -> int:
        """Count requests as sent; returns how many blocks they are. HOT."""
        if not self.outstanding:
            self._active_at = self._probe_at = now
        if self._was_rejected:
            self._was_rejected = False
            self._fruitless += 1
        self._requested_at = now
        asked, blocks = self._asked, 0
        for index, begin, length in batch:
            asked.setdefault(index, []).append((begin, begin + length, now))
            blocks += -(-length // BLOCK_LENGTH)
        self.outstanding += blocks
        return blocks

    def received(self, index: int, begin: int, now: float) -> bool:
        """Count a block that came; True if it was asked for and may be of use. HOT.

        A block that `tick` had given up may be of use, too: the picker knows.
        """
        asked_at = self._pop(index, begin)
        if asked_at is not None:
            self._served_at = asked_at
        elif self._late.pop((index, begin), None) is None:
            return False
        self._count(1, now)
        return True

    def received_run(self, index: int, begins: range, now: float) -> None:
        """Count whole blocks in a row that came together and were all asked for. HOT."""
        runs = self._asked[index]
        begin, end, asked_at = runs[0]
        if begin == begins.start and begins.stop <= end:
            # As nearly always: they come in the order in which they were asked for.
            if begins.stop < end:
                runs[0] = begins.stop, end, asked_at
            else:
                del runs[0]
                if not runs:
                    del self._asked[index]
            self.outstanding -= len(begins)
            self._served_at = asked_at
        else:
            for begin in begins:
                served_at = self._pop(index, begin)
                assert served_at is not None
                self._served_at = served_at
        self._count(len(begins), now)

    def _pop(self, index: int, begin: int) -> float | None:
        """Take one block out of those asked for; returns when it was, None if it was not."""
        runs = self._asked.get(index)
        if runs is None:
            return None
        start, end, asked_at = runs[0]
        if begin == start and end <= begin + BLOCK_LENGTH and len(runs) == 1:
            # A piece of one block, or the last one of a piece.
            del self._asked[index]
            self.outstanding -= 1
            return asked_at
        for number, (start, end, asked_at) in enumerate(runs):
            if start <= begin < end and not (begin - start) % BLOCK_LENGTH:
                rest = (start, begin, asked_at), (begin + BLOCK_LENGTH, end, asked_at)
                runs[number : number + 1] = [run for run in rest if run[0] < run[1]]
                self.outstanding -= 1
                return asked_at
        return None

    def _count(self, blocks: int, now: float) -> None:
        self._active_at = now
        self._blocks += blocks
        self._fruitless = 0
        self._was_rejected = False
        if self._probe_at is not None:
            self._measured_round_trip(now - self._probe_at)
        if self.is_snubbed:
            self.is_snubbed = False
            self._is_slow_start = True
            self.depth = min(START_DEPTH, self._limit)
        elif self._is_slow_start:
            self.depth = min(self.depth + blocks, self._limit)

    def _measured_round_trip(self, elapsed_s: float) -> None:
        self._probe_at = None
        self.rtt_s = elapsed_s if not self.rtt_s else self.rtt_s + (elapsed_s - self.rtt_s) / 4

    def cancelled(self, index: int, begin: int) -> bool:
        """Count a cancel as sent, False: there is nothing to cancel. The block may come
        nevertheless, see `forgive_late`."""
        if self._pop(index, begin) is None:
            return False
        self._pardons += 1
        return True

    def rejected(self, index: int, begin: int) -> bool:
        """Count a reject (BEP 6); True if the block was being waited for."""
        if self._pop(index, begin) is not None:
            self._was_rejected = True
            return True
        if self._late.pop((index, begin), None) is None and self._pardons:
            self._pardons -= 1  # the answer to a cancel
        return False

    def forgive_late(self) -> bool:
        """Excuse a block that `received` refused; False if there was no request to explain it."""
        if not self._pardons:
            return False
        self._pardons -= 1
        return True

    def clear(self) -> list[Span]:
        """Forget all requests and return them. Must be called when the peer chokes us without the
        fast extension (it drops them then), or is gone."""
        requests = self.asked()
        if requests:
            # As a reject of each: who chokes and unchokes us by the thousand must wait.
            self._was_rejected = True
        self._asked.clear()
        self.outstanding = 0
        self._pardons += len(requests)
        return requests

    def tick(self, now: float, rate: float, *, patience_s: float = SNUB_S) -> list[Span]:
        """Set the depth and return the requests that are lost; call about once a second.

        `rate` is what the peer sends lately, bytes a second; a peer that sends nothing for
        `patience_s` is snubbed, and all that it was asked for is lost. Returned requests must be
        released to the picker (and are best cancelled); their blocks are welcome if they come after
        all.
        """
        elapsed_s = now - self._ticked_at
        if elapsed_s <= 0:
            return []
        self._ticked_at = now
        self._set_depth(self._blocks * BLOCK_LENGTH / elapsed_s, rate)
        self._blocks = 0
        if self.outstanding and now - self._active_at >= patience_s:
            lost = self.asked()
            self.is_snubbed = True
            self.depth = 1
            self._active_at = now
            self._probe_at = None
        else:
            lost = self._dropped()
        for index, begin, length in lost:
            self._pop(index, begin)
            self._late[index, begin] = length
        while len(self._late) > _MAX_LATE:
            del self._late[next(iter(self._late))]
        return lost

    def take_back(self, asked_until: float, is_of_use: Callable[[int], bool]) -> list[Span]:
        """Give up what was asked for until then and did not come, of the pieces that `is_of_use`
        names: another peer could send it. Returns it; do with it as with what `tick` returns.

        A peer that is so slow is asked for one block until it has shown what it sends. It is not
        slow if it served what was asked for later, and left out a little only.
        """
        overdue = {
            index
            for index, runs in self._asked.items()
            if runs[0][2] <= asked_until and is_of_use(index)
        }
        if not overdue:
            return []
        lost = [span for span in self.asked(asked_until) if span[0] in overdue]
        for index, begin, length in lost:
            self._pop(index, begin)
            self._late[index, begin] = length
        if self._served_at <= asked_until or len(lost) * _LITTLE > self.depth:
            self._is_slow_start = False
            self.depth = 1
        return lost

    def _set_depth(self, recent: float, rate: float) -> None:
        if self.is_snubbed or not recent:
            return
        if self._is_slow_start:
            # Only a queue that was in use says something about the link.
            if recent < self._rate * _GROWTH and self.outstanding:
                self._is_slow_start = False
        else:
            blocks = max(recent, rate) * (TARGET_S + self.rtt_s) / BLOCK_LENGTH
            self.depth = max(min(MIN_DEPTH, self._limit), min(int(blocks) + 1, self._limit))
        self._rate = recent

    def _dropped(self) -> list[Span]:
        """Requests that the peer must have dropped, as it serves much younger ones."""
        lost = self.asked(self._served_at - REORDER_S)
        if lost:
            # It keeps fewer requests than it said, or than we assumed.
            self._limit = max(START_DEPTH, min(self._limit, self.outstanding) // 2)
            self.depth = min(self.depth, self._limit)
        return lost

    def asked(self, until: float = inf) -> list[Span]:
        """The blocks that were asked for until then and did not come, piece by piece."""
        return cut_into_blocks(
            (index, begin, end - begin)
            for index, runs in self._asked.items()
            for begin, end, asked_at in runs
            if asked_at <= until
        )
