"""What one peer asked of us and has not been sent, oldest first (BEP 3). HOT.

Asking twice is asking once. Works by the batch: a list that is cut from the front has the order, a
set tells what is asked for. Invariant: nothing stands in the list twice, and what does and is not
in the set was cancelled; that is passed over, and swept out before it is more than the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

RequestT = TypeVar("RequestT", bound=tuple[int, int, int])
"""(index, begin, length)."""

_SERVED_AT_ONCE = 1024
"""Served requests that the list may begin with."""
_MANY_CANCELLED = 64


class UploadQueue(Generic[RequestT]):
    """Requests in the order in which they came."""

    __slots__ = ("_asked", "_at", "_cancelled", "_order")

    def __init__(self) -> None:
        self._order: list[RequestT] = []
        self._at = 0
        """Where the list begins; what stands before was served."""
        self._asked: set[RequestT] = set()
        self._cancelled: set[RequestT] = set()
        """Those in the list that are asked for no more."""

    def __len__(self) -> int:
        return len(self._asked)

    def __contains__(self, request: object) -> bool:
        return request in self._asked

    def __iter__(self) -> Iterator[RequestT]:
        return iter(self.first(len(self._order)))

    def add(self, requests: Sequence[RequestT]) -> None:
        """Put requests behind the others; those that wait already stay where they are. HOT."""
        asked = self._asked
        if not self._cancelled and asked.isdisjoint(requests):
            count = len(asked) + len(requests)
            asked.update(requests)
            self._order += requests if len(asked) == count else dict.fromkeys(requests)
            return
        for request in requests:
            if request in self._cancelled:
                self._cancelled.remove(request)
            elif request not in asked:
                self._order.append(request)
            asked.add(request)

    def first(self, count: int) -> list[RequestT]:
        """Return the oldest requests, at most `count`. HOT."""
        if not self._cancelled:
            return self._order[self._at : self._at + count]
        found: list[RequestT] = []
        for request in self._order[self._at :]:
            if len(found) == count:
                break
            if request in self._asked:
                found.append(request)
        return found

    def served(self, batch: Sequence[RequestT]) -> None:
        """Take out what `first` returned, or the beginning of it. HOT."""
        self._asked.difference_update(batch)
        if not self._cancelled:
            self._at += len(batch)
        elif batch:
            end = self._order.index(batch[-1], self._at) + 1
            self._cancelled.difference_update(self._order[self._at : end])
            self._at = end
        if self._at > _SERVED_AT_ONCE or not self._asked:
            del self._order[: self._at]
            self._at = 0

    def cancel(self, request: RequestT) -> bool:
        """Take one out; False if it did not wait."""
        if request not in self._asked:
            return False
        self._asked.remove(request)
        self._cancelled.add(request)
        if len(self._cancelled) > len(self._asked) + _MANY_CANCELLED:
            self._set(list(self))
        return True

    def keep(self, wanted: Callable[[RequestT], bool]) -> list[RequestT]:
        """Take out all that are not `wanted`; return them."""
        every = list(self)
        self._set([request for request in every if wanted(request)])
        return [request for request in every if request not in self._asked]

    def clear(self) -> None:
        self._set([])

    def _set(self, order: list[RequestT]) -> None:
        self._order = order
        self._at = 0
        self._asked = set(order)
        self._cancelled.clear()
