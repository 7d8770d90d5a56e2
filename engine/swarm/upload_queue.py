"""What one peer asked of us and has not been sent, oldest first (BEP 3). HOT.

Asking twice is asking once. Whole blocks are numbered through the torrent, so that a run of them is
two numbers, and one bit each tells which are asked for; odd requests, as that for the end of the
torrent, are tuples in a set. Invariant: the bits and the set are the truth and know nothing twice;
the order may name what was served or cancelled since, which is passed over, and swept out before it
is more than the rest.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from engine.core.geometry import BLOCK_LENGTH, Geometry, Span

Run: TypeAlias = tuple[int, int]
"""Whole blocks: the number of the first, and of the one behind the last."""

_PAGE = 1024
"""Blocks whose bits are one number; no run goes over the border of a page."""
_MANY_STALE = 64


class UploadQueue:
    """The requests of one peer, in the order in which they came."""

    __slots__ = ("_count", "_geometry", "_is_exact", "_odd", "_order", "_waiting")

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        self._order: deque[Run | Span] = deque()
        self._waiting: dict[int, int] = {}
        """The bits of the blocks that are asked for, by page; none of them is 0."""
        self._odd: set[Span] = set()
        self._count = 0
        self._is_exact = True
        """The order names all that waits once, and nothing else."""

    def __len__(self) -> int:
        return self._count

    def __contains__(self, request: object) -> bool:
        match request:
            case (int(index), int(begin), length) if self._is_whole(begin, length):
                number = self._geometry.block_number(index, begin)
                return bool(self._waiting.get(number // _PAGE, 0) >> number % _PAGE & 1)
        return request in self._odd

    def __iter__(self) -> Iterator[Span]:
        waiting, odd = dict(self._waiting), set(self._odd)
        for entry in self._order:
            if len(entry) == 2:
                page = entry[0] // _PAGE
                for number in range(*entry):
                    bit = 1 << number % _PAGE
                    if waiting.get(page, 0) & bit:
                        waiting[page] ^= bit
                        yield *self._geometry.block_place(number), BLOCK_LENGTH
            elif entry in odd:
                odd.remove(entry)
                yield entry

    def add(self, index: int, begin: int, length: int) -> None:
        """Put one request behind the others, if it does not wait already."""
        if self._is_whole(begin, length):
            self.add_run(index, begin, 1)
        elif (request := (index, begin, length)) not in self._odd:
            self._odd.add(request)
            self._order.append(request)
            self._count += 1

    def add_run(self, index: int, begin: int, count: int) -> None:
        """Put `count` whole blocks, from `begin` of a piece on, behind the others; those that wait
        already stay where they are. The geometry must be even. HOT."""
        first = self._geometry.block_number(index, begin)
        end = first + count
        while first < end:
            page = first // _PAGE
            until = min(end, (page + 1) * _PAGE)
            bits = _bits(first, until)
            waiting = self._waiting.get(page, 0)
            if waiting & bits:
                self._add_new(first, until)
            else:
                self._waiting[page] = waiting | bits
                self._count += until - first
                last = self._order[-1] if self._order else ()
                if len(last) == 2 and last[1] == first and last[0] // _PAGE == page:
                    self._order[-1] = last[0], until
                else:
                    self._order.append((first, until))
            first = until

    def _add_new(self, first: int, end: int) -> None:
        for number in range(first, end):
            page, bit = number // _PAGE, 1 << number % _PAGE
            if not self._waiting.get(page, 0) & bit:
                self._waiting[page] = self._waiting.get(page, 0) | bit
                self._order.append((number, number + 1))
                self._count += 1

    def take(self, count: int) -> list[Run | Span]:
        """Take out the oldest, of at most `count` blocks in all; one however large it is. The queue
        must not be empty. HOT."""
        batch: list[Run | Span] = []
        order, waiting = self._order, self._waiting
        while order and count:
            entry = order.popleft()
            if len(entry) == 3:
                if entry in self._odd:
                    blocks = -(-entry[2] // BLOCK_LENGTH)
                    if batch and blocks > count:
                        order.appendleft(entry)
                        break
                    self._odd.remove(entry)
                    batch.append(entry)
                    count -= min(count, blocks)
                    self._count -= 1
                continue
            first, end = entry
            page = first // _PAGE
            if not self._is_exact:
                first, end = _first_of(waiting.get(page, 0), first, end)
                if first == end:
                    continue
            taken = min(count, end - first)
            until = first + taken
            if until < entry[1]:
                order.appendleft((until, entry[1]))
            rest = waiting[page] & ~_bits(first, until)
            if rest:
                waiting[page] = rest
            else:
                del waiting[page]
            batch.append((first, until))
            count -= taken
            self._count -= taken
        if not self._count:
            self.clear()
        return batch

    def put_back(self, batch: Sequence[Run | Span]) -> None:
        """Put before all others what was just taken, or the rest of it."""
        for entry in reversed(batch):
            self._order.appendleft(entry)
            if len(entry) == 3:
                self._odd.add(entry)
                self._count += 1
            else:
                page = entry[0] // _PAGE
                self._waiting[page] = self._waiting.get(page, 0) | _bits(*entry)
                self._count += entry[1] - entry[0]

    def cancel(self, request: Span) -> bool:
        """Take one out; False if it did not wait."""
        if request not in self:
            return False
        index, begin, length = request
        if self._is_whole(begin, length):
            number = self._geometry.block_number(index, begin)
            page = number // _PAGE
            self._waiting[page] ^= 1 << number % _PAGE
            if not self._waiting[page]:
                del self._waiting[page]
        else:
            self._odd.remove(request)
        self._count -= 1
        self._is_exact = False
        if len(self._order) > 2 * self._count + _MANY_STALE:
            self._set(list(self))
        return True

    def keep(self, wanted: Callable[[Span], bool]) -> list[Span]:
        """Take out all that are not `wanted`; return them."""
        every = list(self)
        self._set([request for request in every if wanted(request)])
        return [request for request in every if request not in self]

    def clear(self) -> None:
        self._set([])

    def _set(self, requests: Sequence[Span]) -> None:
        self._order.clear()
        self._waiting.clear()
        self._odd.clear()
        self._count = 0
        self._is_exact = True
        for request in requests:
            self.add(*request)

    def _is_whole(self, begin: int, length: object) -> bool:
        return length == BLOCK_LENGTH and not begin % BLOCK_LENGTH and self._geometry.is_even


def _bits(first: int, end: int) -> int:
    return ((1 << end - first) - 1) << first % _PAGE


def _first_of(waiting: int, first: int, end: int) -> Run:
    """Return the first blocks from `first` to `end` that wait, without a gap; maybe none."""
    bits = (waiting & _bits(first, end)) >> first % _PAGE
    if not bits:
        return end, end
    skipped = (bits & -bits).bit_length() - 1
    bits >>= skipped
    first += skipped
    return first, first + (~bits & bits + 1).bit_length() - 1
