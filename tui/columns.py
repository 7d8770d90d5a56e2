"""Which columns a width has room for: shrink first, drop the least important, share out the rest.

Pure: no Textual, no rows; the tables in tui/widgets draw what this plans.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

R = TypeVar("R")

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
    """The higher, the sooner it goes; 0 stays."""
    flex: int = 0
    """Its share of the room that is left."""


@dataclass(frozen=True, slots=True)
class Placed(Generic[R]):
    """A column with its place on the line, in cells."""

    column: Column[R]
    left: int
    width: int


def _needed(columns: Sequence[Column[R]], compact: bool, gap: int) -> int:
    widths = [(c.compact or c.width) if compact else c.width for c in columns]
    return sum(widths) + gap * max(0, len(widths) - 1)


def place(columns: Sequence[Column[R]], width: int, gap: int = 1) -> list[Placed[R]]:
    """Lay columns out over `width` cells, in their order, `gap` cells apart."""
    kept = list(columns)
    compact = _needed(kept, False, gap) > width
    while _needed(kept, compact, gap) > width:
        droppable = [column for column in kept if column.drop]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda column: column.drop))
    if compact and _needed(kept, False, gap) <= width:
        compact = False
    spare = max(0, width - _needed(kept, compact, gap))
    shares = sum(column.flex for column in kept)
    placed: list[Placed[R]] = []
    left = 0
    for column in kept:
        cells = (column.compact or column.width) if compact else column.width
        if column.flex:
            extra = spare * column.flex // shares
            spare -= extra
            shares -= column.flex
            cells += extra
        cells = max(0, min(cells, width - left))
        placed.append(Placed(column, left, cells))
        left += cells + gap
    return placed
