"""The queries that wait for an answer (BEP 5).

An answer counts only with the transaction id of a query that is still open, from the address that
it went to: ids are random, so that whoever did not see the query cannot answer it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from engine.core.compact import Endpoint

if TYPE_CHECKING:
    from random import Random

TIMEOUT_S = 6.0
MAX_OPEN = 2000
ID_BYTES = 4

Context = TypeVar("Context")


class Open(Generic[Context]):
    """A query under way; `context` is its sender's."""

    __slots__ = ("context", "endpoint", "sent_at")

    def __init__(self, endpoint: Endpoint, sent_at: float, context: Context) -> None:
        self.endpoint = endpoint
        self.sent_at = sent_at
        self.context = context


class Transactions(Generic[Context]):
    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._open: dict[bytes, Open[Context]] = {}
        """In the order of sending, which is that of expiry."""
        self._asked: Counter[Endpoint] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def is_full(self) -> bool:
        return len(self._open) >= MAX_OPEN

    def begin(self, endpoint: Endpoint, now: float, context: Context) -> bytes:
        """Return the id for a query that is sent now. Must not be called when full."""
        transaction = self._rng.randbytes(ID_BYTES)
        while transaction in self._open:
            transaction = self._rng.randbytes(ID_BYTES)
        self._open[transaction] = Open(endpoint, now, context)
        self._asked[endpoint] += 1
        return transaction

    def is_awaited(self, source: Endpoint) -> bool:
        """Say whether we wait for an answer from this address."""
        return source in self._asked

    def end(self, transaction: bytes, source: Endpoint) -> Open[Context] | None:
        """Return the query that this answers, which is closed by that; None = we asked no such."""
        found = self._open.get(transaction)
        if found is None or found.endpoint != source:
            return None
        self._close(transaction)
        return found

    def expired(self, now: float) -> Iterator[Open[Context]]:
        """Close and return the queries that were not answered in time."""
        while self._open:
            transaction, oldest = next(iter(self._open.items()))
            if now < oldest.sent_at + TIMEOUT_S:
                return
            self._close(transaction)
            yield oldest

    def next_at(self) -> float:
        """When the first of them expires; inf = none is open."""
        oldest = next(iter(self._open.values()), None)
        return oldest.sent_at + TIMEOUT_S if oldest else float("inf")

    def _close(self, transaction: bytes) -> None:
        endpoint = self._open.pop(transaction).endpoint
        self._asked[endpoint] -= 1
        if not self._asked[endpoint]:
            del self._asked[endpoint]
