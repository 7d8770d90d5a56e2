"""What is measured and how it is summed up: min, median, max, and ratios within the same round.

Pure. A round runs every client once, one after the other; a ratio compares two figures of the same
round, so that what slows the machine for a minute slows both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

REFERENCE = "libtorrent"


@dataclass(frozen=True, slots=True)
class Figure:
    """One kind of number that a leg gives."""

    key: str
    label: str
    digits: int = 0
    more_is_better: bool = False
    has_ratio: bool = True


FIGURES: Mapping[str, Figure] = {
    figure.key: figure
    for figure in (
        Figure("speed", "MB/s", more_is_better=True),
        Figure("cpu", "CPU s/GiB", digits=2),
        Figure("rss", "peak RSS MiB", digits=1),
        Figure("anonymous", "of it anonymous", digits=1),
        Figure("total", "s, add to done", digits=2),
        Figure("first_byte", "s to first byte", digits=3),
        Figure("open_files", "open files", has_ratio=False),
        Figure("start", "s to start", digits=2),
        Figure("image", "image MiB"),
        Figure("resident", "RSS MiB", digits=1),
        Figure("idle_cpu", "idle CPU %", digits=2, has_ratio=False),
        Figure("connected", "peers held", more_is_better=True, has_ratio=False),
        Figure("cpu_still", "CPU % subscribed", digits=2, has_ratio=False),
        Figure("cpu_busy", "CPU % told 4/s", digits=2, has_ratio=False),
        Figure("updates", "updates/s", digits=1, has_ratio=False, more_is_better=True),
        Figure("socket_rate", "kB/s on socket", digits=1, has_ratio=False),
    )
}


@dataclass(frozen=True, slots=True)
class Spread:
    low: float
    middle: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Sum up at least one value."""
    return Spread(min(values), median(values), max(values))


@dataclass(slots=True)
class Row:
    """One client in one leg: a dictionary of figures for each round, None where it failed."""

    client: str
    rounds: list[dict[str, float] | None] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def values(self, key: str) -> list[float]:
        return [found[key] for found in self.rounds if found is not None and key in found]


@dataclass(slots=True)
class LegResult:
    """All clients in one leg."""

    leg: str
    title: str
    figures: list[str]
    """Keys of FIGURES, the most telling first."""
    reference: str = REFERENCE
    rows: dict[str, Row] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Why a client did not take part."""

    def row(self, client: str) -> Row:
        return self.rows.setdefault(client, Row(client))

    def ratios(self, client: str, key: str, reference: str | None = None) -> list[float]:
        """Figures of a client over those of another, round by round; rounds where one of them
        failed are left out."""
        mine, theirs = self.rows.get(client), self.rows.get(reference or self.reference)
        if mine is None or theirs is None:
            return []
        return [
            one[key] / other[key]
            for one, other in zip(mine.rounds, theirs.rounds, strict=False)
            if one and other and key in one and other.get(key)
        ]
