"""The list of engines: who answers, and what it does; or across the line, why it does not."""

from __future__ import annotations

from tui import format as fmt
from tui.columns import LUXURY, Column, Parts
from tui.fleet import EngineRow
from tui.widgets import cells
from tui.widgets.table import ListTable

REACHED = {"reachable": "out", "firewalled": "wait"}
"""Styles of what there is to say of peers that connect to an engine."""


def _state(row: EngineRow, width: int) -> Parts:
    status = row.status
    if status is not None and status.waiting:
        return [(fmt.fit("✗ no way out", width), "fail")]
    return [(fmt.fit("● up", width), "out")]


def _torrents(row: EngineRow, width: int) -> Parts:
    return cells.right(f"{row.status.torrents:,}" if row.status else "", width)


def _peers(row: EngineRow, width: int) -> Parts:
    count = row.status.peers if row.status else 0
    return cells.right(f"{count:,}" if count else "", width, "muted")


def _down(row: EngineRow, width: int) -> Parts:
    return cells.right(fmt.short_rate(row.status.down_rate if row.status else 0), width, "in")


def _up(row: EngineRow, width: int) -> Parts:
    return cells.right(fmt.short_rate(row.status.up_rate if row.status else 0), width, "out")


def _reached(row: EngineRow, width: int) -> Parts:
    verdict = row.status.reachability if row.status else ""
    return cells.text(verdict if verdict in REACHED else "", width, REACHED.get(verdict, ""))


def _version(row: EngineRow, width: int) -> Parts:
    return cells.text(row.engine.rpartition(" ")[2], width, "muted")


COLUMNS: tuple[Column[EngineRow], ...] = (
    Column("name", "Engine", 12, lambda r, w: cells.text(r.name, w, "name"), flex=1),
    Column("state", "State", 12, _state),
    Column("torrents", "Torrents", 8, _torrents, right=True, drop=1),
    Column("down_rate", "Down/s", 6, _down, right=True),
    Column("up_rate", "Up/s", 6, _up, right=True),
    Column("peers", "Peers", 6, _peers, right=True, drop=2),
    Column("reached", "Reached", 10, _reached, drop=3),
    Column("version", "Version", 8, _version, drop=4),
    Column(
        "address",
        "Address",
        24,
        lambda r, w: cells.path(r.address, w, "muted"),
        flex=2,
        drop=LUXURY,
    ),
)
_AFTER_NAME = 1


class FleetTable(ListTable[EngineRow]):
    LEAD_WIDTH = 1

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(COLUMNS, id=id)

    def cells(self, row: EngineRow) -> Parts:
        if row.status is not None:
            return super().cells(row)
        name, state = self._placed[0], self._placed[_AFTER_NAME]
        parts = list(name.column.draw(row, name.width))
        parts.append((" " * (state.left - name.width), ""))
        if row.trouble:
            room = self._width - self.LEAD_WIDTH - state.left
            parts += cells.text(f"✗ {row.trouble}", room, "fail")
        else:
            parts.append(("◌ connecting", "wait"))
        return parts
