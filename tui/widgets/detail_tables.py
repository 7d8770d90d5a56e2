"""The tables of the details: peers, trackers, log. The files have file_table.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rich.cells import cell_len

from tui import clock
from tui import format as fmt
from tui.columns import Column, Parts
from tui.link import LogLine, PeerRow, TrackerRow
from tui.widgets import cells
from tui.widgets.table import ListTable

# ── peers ───────────────────────────────────────────────────────────────────────────────────────


PEERS: Final[tuple[Column[PeerRow], ...]] = (
    Column("address", "Address", 22, lambda r, w: cells.text(r.address, w), flex=1),
    Column("client", "Client", 20, lambda r, w: cells.text(r.client, w, "muted"), flex=2, drop=2),
    Column("progress", "Has", 5, lambda r, w: cells.progress(r.progress, w, "bar-in"), right=True),
    Column(
        "down_rate",
        "Down/s",
        6,
        lambda r, w: cells.right(fmt.short_rate(r.down_rate), w, "in"),
        right=True,
    ),
    Column(
        "up_rate",
        "Up/s",
        6,
        lambda r, w: cells.right(fmt.short_rate(r.up_rate), w, "out"),
        right=True,
    ),
    Column("flags", "Flags", 6, lambda r, w: cells.text(r.flags, w)),
    Column("source", "From", 8, lambda r, w: cells.text(r.source, w, "muted"), drop=3),
    Column(
        "downloaded",
        "Got",
        6,
        lambda r, w: cells.right(fmt.short_size(r.downloaded), w, "muted"),
        right=True,
        drop=4,
    ),
    Column(
        "uploaded",
        "Gave",
        6,
        lambda r, w: cells.right(fmt.short_size(r.uploaded), w, "muted"),
        right=True,
        drop=5,
    ),
)

# ── trackers ────────────────────────────────────────────────────────────────────────────────────

_TRACKER_LOOKS: Final = {
    "idle": ("·", "muted"),
    "announcing": ("↻", "wait"),
    "working": ("✓", "out"),
    "warning": ("!", "wait"),
    "failing": ("✗", "fail"),
}


def _tier(row: TrackerRow) -> str:
    return str(row.tier + 1) if row.tier >= 0 else ""


def _tracker_state(row: TrackerRow, width: int) -> Parts:
    glyph, style = _TRACKER_LOOKS[row.state]
    word = "asking" if row.state == "announcing" and width < 12 else row.state
    return [(fmt.fit(f"{glyph} {word}", width), style)]


def _swarm(row: TrackerRow, width: int) -> Parts:
    def shown(number: int | None) -> str:
        return "?" if number is None else str(number)

    if row.seeders is None and row.leechers is None:
        return cells.text("", width)
    return cells.right(f"{shown(row.seeders)}+{shown(row.leechers)}", width)


def _next_announce(row: TrackerRow, width: int) -> Parts:
    return cells.right(fmt.duration(row.next_announce_in_s), width, "muted")


LONG_MESSAGE: Final = 20

TRACKERS: Final[tuple[Column[TrackerRow], ...]] = (
    Column("tier", "Tier", 4, lambda r, w: cells.right(_tier(r), w, "muted"), drop=4),
    Column("url", "Tracker", 26, lambda r, w: cells.url(r.url, w), flex=1),
    Column("state", "State", 12, _tracker_state, compact=9),
    Column("swarm", "Seeds+rest", 10, _swarm, right=True, drop=2),
    Column("next", "Next", 6, _next_announce, right=True, drop=1),
    Column(
        "message",
        "It said",
        LONG_MESSAGE,
        lambda r, w: cells.text(r.message, w, "muted"),
        flex=2,
    ),
)


def tracker_columns(rows: Sequence[TrackerRow]) -> tuple[Column[TrackerRow], ...]:
    """TRACKERS, with as much room for what they said as that needs: most say nothing, and the rest
    is for their addresses."""
    *others, message = TRACKERS
    longest = max((cell_len(fmt.clean(row.message)) for row in rows), default=0)
    if not longest:
        return tuple(others)
    if longest > LONG_MESSAGE:
        return TRACKERS
    return (*others, replace(message, width=max(longest, len(message.title)), flex=0))


class TrackerTable(ListTable[TrackerRow]):
    def set_rows(self, rows: Sequence[TrackerRow]) -> None:
        self.set_columns(tracker_columns(rows))
        super().set_rows(rows)


# ── log ─────────────────────────────────────────────────────────────────────────────────────────

_LEVELS: Final = {"debug": "faint", "info": "", "warning": "wait", "error": "fail"}


LOG: Final[tuple[Column[LogLine], ...]] = (
    Column("at", "Time", 8, lambda r, w: cells.text(clock.time_of_day(r.at), w, "muted")),
    Column(
        "level",
        "Level",
        7,
        lambda r, w: cells.text(r.level, w, _LEVELS.get(r.level, "")),
        drop=1,
    ),
    Column(
        "text",
        "What happened",
        30,
        lambda r, w: cells.text(r.text, w, _LEVELS.get(r.level, "")),
        flex=1,
    ),
)


class LogTable(ListTable[LogLine]):
    """Follows the newest line as long as the cursor is on the last one."""

    def set_rows(self, rows: list[LogLine]) -> None:  # type: ignore[override]
        was_at_end = self.cursor >= self.row_count - 1
        super().set_rows(rows)
        if was_at_end:
            self.move_cursor(len(rows) - 1)
