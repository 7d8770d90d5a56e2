"""A set of keys from which some can be chosen by chance without looking at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class KeyPool:
    __slots__ = ("_keys", "_places", "_rng")

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._keys: list[bytes] = []
        self._places: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._keys)

    def add(self, key: bytes) -> None:
        """Add a key that is not there."""
        self._places[key] = len(self._keys)
        self._keys.append(key)

    def remove(self, key: bytes) -> None:
        """Remove a key that is there."""
        place, last = self._places.pop(key), self._keys.pop()
        if last != key:
            self._keys[place] = last
            self._places[last] = place

    def some(self, count: int) -> list[bytes]:
        """Choose `count` keys, or all when there are fewer."""
        return self._rng.sample(self._keys, min(count, len(self._keys)))
