"""Which columns a width has room for: shrink first, drop the least important, share out the rest.

Pure: no Textual, no rows; the tables in tui/widgets draw what this plans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

R = TypeVar("R")

LUXURY: Final = 10

Parts = Sequence[tuple[str, str]]
"""A drawn cell: texts, each with the name of its style; together exactly as wide as the column."""


@dataclass(frozen=True, slots=True)
class Column(Generic[R]):
    key: str
    title: str
    width: int
    """Cells; of a flexible column the least."""
    draw: Callable[[R, int], Parts]
    right: bool = False
    compact: int = 0
    """Cells in a narrow table; 0 = it does not shrink."""
    drop: int = 0
    """The higher, the sooner it goes; 0 stays. From LUXURY on it goes before others shrink."""
    flex: int = 0
    """Its share of the room that is left."""
    share: float = 0.0
    """Part of the whole width that it has at least."""


@dataclass(frozen=True, slots=True)
class Placed(Generic[R]):
    """A column with its place on the line, in cells."""

    column: Column[R]
    left: int
    width: int


def _cells(column: Column[R], compact: bool, width: int) -> int:
    cells = column.compact if compact and column.compact else column.width
    return max(cells, int(column.share * width))


def _needed(columns: Sequence[Column[R]], compact: bool, width: int, gap: int) -> int:
    cells = sum(_cells(column, compact, width) for column in columns)
    return cells + gap * max(0, len(columns) - 1)


def place(columns: Sequence[Column[R]], width: int, gap: int = 1) -> list[Placed[R]]:
    """Lay columns out over `width` cells, in their order, `gap` cells apart."""
    kept = list(columns)
    compact = False
    while _needed(kept, compact, width, gap) > width:
        droppable = [column for column in kept if column.drop]
        first = max(droppable, key=lambda column: column.drop, default=None)
        if not compact and (first is None or first.drop < LUXURY):
            compact = True
        elif first is None:
            break
        else:
            kept.remove(first)
    compact = compact and _needed(kept, False, width, gap) > width
    spare = max(0, width - _needed(kept, compact, width, gap))
    shares = sum(column.flex for column in kept)
    placed: list[Placed[R]] = []
    left = 0
    for column in kept:
        cells = _cells(column, compact, width)
        if column.flex:
            extra = spare * column.flex // shares
            spare -= extra
            shares -= column.flex
            cells += extra
        cells = max(0, min(cells, width - left))
        placed.append(Placed(column, left, cells))
        left += cells + gap
    return placed
