"""The items that others keep at this node (BEP 44): bounded, expiring, never downgraded."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from engine.discovery.dht.items import Item, MutableItem, Verify
from engine.discovery.dht.key_pool import KeyPool

if TYPE_CHECKING:
    from random import Random

ITEM_LIFETIME_S = 7200.0
"""Owners put their items again every hour."""
MAX_ITEMS = 1000
MAX_ITEMS_PER_HOST = 50
EVICTION_SAMPLE = 8
"""So many items are compared when one must go: nearly as good as the oldest, at no cost."""

INVALID_SIGNATURE = 206
CAS_MISMATCH = 301
OUTDATED = 302
SERVER_ERROR = 202


class _Kept:
    __slots__ = ("expires_at", "host", "item")

    def __init__(self, item: Item, host: str, expires_at: float) -> None:
        self.item = item
        self.host = host
        self.expires_at = expires_at


class ItemStore:
    def __init__(self, verify: Verify, rng: Random, *, max_items: int = MAX_ITEMS) -> None:
        self._verify = verify
        self._max_items = max_items
        self._kept: dict[bytes, _Kept] = {}
        self._targets = KeyPool(rng)
        self._of_host: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, target: bytes, now: float) -> Item | None:
        kept = self._kept.get(target)
        return kept.item if kept is not None and kept.expires_at > now else None

    def put(self, item: Item, host: str, now: float, *, cas: int | None = None) -> int:
        """Keep a well-formed item from `host`. Returns 0, or the error code that it is told."""
        target = item.target
        kept = self._kept.get(target)
        if kept is not None and kept.expires_at <= now:
            self._remove(target)
            kept = None
        if isinstance(item, MutableItem):
            refusal = _refusal(item, kept.item if kept else None, cas)
            # The signature last: it costs more than everything else here.
            if refusal or not item.is_genuine(self._verify):
                return refusal or INVALID_SIGNATURE
        if kept is not None:
            kept.item = item
            kept.expires_at = now + ITEM_LIFETIME_S
            return 0
        if self._of_host[host] >= MAX_ITEMS_PER_HOST:
            return SERVER_ERROR
        if len(self._kept) >= self._max_items:
            self._evict()
        self._kept[target] = _Kept(item, host, now + ITEM_LIFETIME_S)
        self._targets.add(target)
        self._of_host[host] += 1
        return 0

    def expire(self, now: float) -> None:
        for target in [t for t, kept in self._kept.items() if kept.expires_at <= now]:
            self._remove(target)

    def _evict(self) -> None:
        some = self._targets.some(EVICTION_SAMPLE)
        self._remove(min(some, key=lambda target: self._kept[target].expires_at))

    def _remove(self, target: bytes) -> None:
        host = self._kept.pop(target).host
        self._targets.remove(target)
        self._of_host[host] -= 1
        if not self._of_host[host]:
            del self._of_host[host]


def _refusal(item: MutableItem, current: Item | None, cas: int | None) -> int:
    if not isinstance(current, MutableItem):
        return 0
    if cas is not None and cas != current.seq:
        return CAS_MISMATCH
    is_newer = item.seq > current.seq
    is_repeated = item.seq == current.seq and item.value == current.value
    return 0 if is_newer or is_repeated else OUTDATED
