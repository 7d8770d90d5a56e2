"""What the interface knows: a window of the engine's list, what the user asked of it, the marks.

Snapshot and numbered deltas in, rows out. Windows are values: applying a delta makes a new one, and
rows that did not change stay the same objects, which is how a table knows what to draw again.
Pure: no Textual, and of the engine's schema only the names of its types.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tui.link import Delta, Snapshot, TorrentRow

STATES: Final = ("downloading", "seeding", "metadata", "checking", "paused", "error")
"""The states of schema.TorrentState, in the order in which filters offer them."""

SORTS: Final[Mapping[str, tuple[str, bool]]] = {
    "name": ("Name", False),
    "size": ("Size", True),
    "progress": ("Progress", True),
    "state": ("State", False),
    "down_rate": ("Download rate", True),
    "up_rate": ("Upload rate", True),
    "peers": ("Peers", True),
    "eta": ("Time left", False),
    "ratio": ("Ratio", True),
    "added": ("Date added", True),
}
"""The values of schema.Sort → title, and whether the first press sorts downwards."""

LEAST_LIMIT: Final = 64


# ── what was asked ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Query:
    """Which torrents the user wants to see, and in which order."""

    text: str = ""
    state: str = ""
    """One of STATES; empty = all."""
    sort: str = "name"
    descending: bool = False

    @property
    def is_filtered(self) -> bool:
        return bool(self.text or self.state)

    def sorted_by(self, sort: str) -> Query:
        """Sort by another column in its natural direction; by the same one the other way round."""
        descending = not self.descending if sort == self.sort else SORTS[sort][1]
        return Query(self.text, self.state, sort, descending)

    def with_next_state(self) -> Query:
        """All → each state in turn → all."""
        ring = ("", *STATES)
        following = ring[(ring.index(self.state) + 1) % len(ring)]
        return Query(self.text, following, self.sort, self.descending)

    def with_text(self, text: str) -> Query:
        return Query(text, self.state, self.sort, self.descending)


@dataclass(slots=True)
class Order:
    """The order of the lists: of the next that is opened that of the last, also the next time."""

    sort: str = "name"
    descending: bool = False

    @classmethod
    def of(cls, kept: Mapping[str, object]) -> Order:
        """What `kept` says under these names; the usual one where it says nothing of use."""
        sort = str(kept.get("sort"))
        return cls(sort, kept.get("descending") is True) if sort in SORTS else cls()

    def query(self) -> Query:
        """All torrents in this order."""
        return Query(sort=self.sort, descending=self.descending)


@dataclass(frozen=True, slots=True)
class Span:
    """Part of the list: rows offset … offset + limit - 1."""

    offset: int = 0
    limit: int = LEAST_LIMIT

    def covering(self, top: int, height: int) -> Span:
        """This span while it holds the visible rows with a margin, else a new one around them.

        The margin of half a screen and the four screens of a new span keep scrolling by rows from
        asking anew at each step.
        """
        limit = max(LEAST_LIMIT, 4 * height)
        margin = height // 2
        low_ok = self.offset == 0 or self.offset <= top - margin
        high_ok = top + height + margin <= self.offset + self.limit
        if low_ok and high_ok and self.offset <= top and self.limit == limit:
            return self
        return Span(max(0, top - (limit - height) // 2), limit)


# ── what is there ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Window:
    """The held rows of a list of `total`; `rows[0]` is number `offset` of it."""

    offset: int = 0
    total: int = 0
    rows: tuple[TorrentRow, ...] = ()
    seq: int = 0
    _places: Mapping[str, int] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Window:
        return cls._make(snapshot.offset, snapshot.total, snapshot.rows, snapshot.seq)

    @classmethod
    def _make(cls, offset: int, total: int, rows: Iterable[TorrentRow], seq: int) -> Window:
        held = tuple(rows)
        places = {row.info_hash: place for place, row in enumerate(held)}
        return cls(offset, total, held, seq, places)

    def after(self, delta: Delta) -> Window | None:
        """The window one delta later; None on a gap: what follows cannot be trusted, ask anew."""
        if delta.seq != self.seq + 1:
            return None
        changed = {row.info_hash: row for row in delta.rows}
        if delta.order is None:
            if not changed.keys() <= self._places.keys():
                return None
            rows = tuple(changed.get(row.info_hash, row) for row in self.rows)
            return Window(self.offset, delta.total, rows, delta.seq, self._places)
        ordered = []
        for info_hash in delta.order:
            row = changed.get(info_hash) or self.find(info_hash)
            if row is None:
                return None
            ordered.append(row)
        return self._make(self.offset, delta.total, ordered, delta.seq)

    def row(self, index: int) -> TorrentRow | None:
        """Number `index` of the whole list; None when it is not held."""
        place = index - self.offset
        return self.rows[place] if 0 <= place < len(self.rows) else None

    def find(self, info_hash: str) -> TorrentRow | None:
        place = self._places.get(info_hash)
        return None if place is None else self.rows[place]

    def index_of(self, info_hash: str) -> int | None:
        """The number in the whole list; None when it is not held."""
        place = self._places.get(info_hash)
        return None if place is None else self.offset + place


def follow(window: Window, index: int, info_hash: str | None) -> int:
    """Where the cursor belongs in a new window: on its torrent if that is held, else in place."""
    found = window.index_of(info_hash) if info_hash else None
    if found is not None:
        return found
    return max(0, min(index, window.total - 1))


# ── what is marked ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Target:
    """A torrent that an action is about to reach."""

    info_hash: str
    name: str
    size: int = 0


class Marks:
    """The marked torrents, in the order of marking; they stay marked when scrolled out of sight."""

    __slots__ = ("_targets",)

    def __init__(self) -> None:
        self._targets: dict[str, Target] = {}

    def __len__(self) -> int:
        return len(self._targets)

    def __contains__(self, info_hash: object) -> bool:
        return info_hash in self._targets

    def toggle(self, row: TorrentRow) -> None:
        if self._targets.pop(row.info_hash, None) is None:
            self.add([row])

    def add(self, rows: Iterable[TorrentRow]) -> None:
        for row in rows:
            self._targets[row.info_hash] = Target(row.info_hash, row.name, row.size)

    def forget(self, info_hashes: Iterable[str]) -> None:
        for info_hash in info_hashes:
            self._targets.pop(info_hash, None)

    def keep(self, info_hashes: Iterable[str]) -> None:
        """Forget all that are not among these: they are gone from the engine."""
        left = set(info_hashes)
        self._targets = {key: target for key, target in self._targets.items() if key in left}

    def clear(self) -> None:
        self._targets.clear()

    def targets(self, cursor: TorrentRow | None) -> list[Target]:
        """What an action reaches: the marked ones, or the one under the cursor."""
        if self._targets:
            return list(self._targets.values())
        return [] if cursor is None else [Target(cursor.info_hash, cursor.name, cursor.size)]


def matching(rows: Sequence[TorrentRow], query: Query) -> list[TorrentRow]:
    """The rows of a whole list that a query shows, in the list's order."""
    text = query.text.casefold()
    return [
        row
        for row in rows
        if (not query.state or row.state == query.state) and text in row.name.casefold()
    ]
