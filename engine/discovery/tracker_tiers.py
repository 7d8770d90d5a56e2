"""The order in which a torrent's trackers are tried (BEP 12).

Each tier is shuffled once, when it is read; whoever answers moves to the front of its own tier; all
of a tier are tried before the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random


class TrackerTiers:
    """URLs in tiers. A URL stands in one tier only, the first that named it."""

    __slots__ = ("_rng", "_tiers")

    def __init__(self, tiers: Iterable[Iterable[str]], rng: Random) -> None:
        self._rng = rng
        self._tiers: list[list[str]] = []
        seen: set[str] = set()
        for tier in tiers:
            urls = [url for url in dict.fromkeys(tier) if url not in seen]
            seen.update(urls)
            if urls:
                rng.shuffle(urls)
                self._tiers.append(urls)

    def __iter__(self) -> Iterator[str]:
        """Yield every URL in the order to try."""
        for tier in self._tiers:
            yield from tier

    def __len__(self) -> int:
        return sum(map(len, self._tiers))

    @property
    def tiers(self) -> tuple[tuple[str, ...], ...]:
        return tuple(map(tuple, self._tiers))

    def tier_of(self, url: str) -> int | None:
        """The number of the tier, from 0, that holds `url`."""
        for number, tier in enumerate(self._tiers):
            if url in tier:
                return number
        return None

    def succeeded(self, url: str) -> None:
        """Move a tracker that answered to the front of its tier."""
        number = self.tier_of(url)
        if number is not None:
            tier = self._tiers[number]
            tier.remove(url)
            tier.insert(0, url)

    def add(self, url: str, tier: int | None = None) -> bool:
        """Put a new tracker at a random place of a tier, None or too high = one of its own at the
        end. False if it is there already."""
        if self.tier_of(url) is not None:
            return False
        if tier is None or tier >= len(self._tiers):
            self._tiers.append([url])
        else:
            chosen = self._tiers[tier]
            chosen.insert(self._rng.randrange(len(chosen) + 1), url)
        return True

    def remove(self, url: str) -> bool:
        number = self.tier_of(url)
        if number is None:
            return False
        self._tiers[number].remove(url)
        if not self._tiers[number]:
            del self._tiers[number]
        return True
