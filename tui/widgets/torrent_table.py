"""The list of torrents: a window of the engine's list, of any length, with marks and a cursor.

The cursor stays on its torrent when the order changes, and marks stay on theirs.
"""

from __future__ import annotations

from textual.message import Message

from tui import clock
from tui import format as fmt
from tui.columns import LUXURY, Column, Parts
from tui.link import TorrentRow
from tui.store import Marks, Query, Window, follow
from tui.widgets import cells
from tui.widgets.table import VirtualTable

LEAST_NAME = 26


def _size(row: TorrentRow, width: int) -> Parts:
    return cells.right(fmt.short_size(row.size) if row.is_size_known else "", width, "muted")


def _down(row: TorrentRow, width: int) -> Parts:
    return cells.right(fmt.short_rate(row.down_rate), width, "in")


def _up(row: TorrentRow, width: int) -> Parts:
    return cells.right(fmt.short_rate(row.up_rate), width, "out")


def _progress(row: TorrentRow, width: int) -> Parts:
    """What is complete steps back: its bar is dark, so that those which grow stand out."""
    if row.progress >= 1 and row.state in {"seeding", "paused"}:
        return cells.progress(1.0, width, "bar-done", "muted")
    return cells.progress(row.progress, width, cells.look_of(row).bar)


def _peers(row: TorrentRow, width: int) -> Parts:
    return cells.right(str(row.peers) if row.peers else "", width, "muted")


COLUMNS: tuple[Column[TorrentRow], ...] = (
    Column(
        "name",
        "Name",
        LEAST_NAME,
        lambda r, w: cells.text(r.name, w, "name"),
        flex=1,
        share=0.3,
    ),
    Column(
        "size",
        "Size",
        6,
        _size,
        right=True,
        drop=3,
    ),
    Column(
        "progress",
        "Done",
        21,
        _progress,
        compact=12,
        drop=1,
    ),
    Column("state", "State", 13, cells.state, compact=7),
    Column("down_rate", "Down/s", 6, _down, right=True),
    Column("up_rate", "Up/s", 6, _up, right=True, drop=2),
    Column(
        "eta",
        "Left",
        6,
        lambda r, w: cells.right(fmt.duration(r.eta_s), w),
        right=True,
        drop=4,
    ),
    Column("peers", "Peers", 5, _peers, right=True, drop=5),
    Column(
        "ratio",
        "Ratio",
        5,
        lambda r, w: cells.right(fmt.ratio(r.ratio), w, "muted"),
        right=True,
        drop=6,
    ),
    Column(
        "added",
        "Added",
        10,
        lambda r, w: cells.right(clock.date(r.added_at), w, "muted"),
        right=True,
        drop=LUXURY,
    ),
)
"""Their keys are the values of schema.Sort."""


class TorrentTable(VirtualTable[TorrentRow]):
    LEAD_WIDTH = 2

    class SortAsked(Message):
        """A header was clicked."""

        def __init__(self, sort: str) -> None:
            super().__init__()
            self.sort = sort

    class MarksChanged(Message):
        """Other torrents are marked."""

    def __init__(self, marks: Marks, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(COLUMNS, id=id)
        self.marks = marks
        self.window = Window()
        self.query_shown = Query()
        self._cursor_hash: str | None = None
        self._sought: str | None = None

    @property
    def row_count(self) -> int:
        return self.window.total

    def row_at(self, index: int) -> TorrentRow | None:
        return self.window.row(index)

    def is_marked(self, row: TorrentRow) -> bool:
        return row.info_hash in self.marks

    def lead(self, row: TorrentRow) -> Parts:
        return [("✓ " if self.is_marked(row) else "  ", "accent")]

    @property
    def sorted_by(self) -> tuple[str, bool]:
        return self.query_shown.sort, self.query_shown.descending

    def show(self, window: Window) -> None:
        """Show a newer window; lines whose row is the same are left alone."""
        old, self.window = self.window, window
        old_cursor = self.cursor
        if self._sought is not None and window.find(self._sought) is not None:
            self._cursor_hash, self._sought = self._sought, None
        self.cursor = follow(window, self.cursor, self._cursor_hash)
        on_show = range(self.top, self.top + self.visible_count)
        changed = [index for index in on_show if old.row(index) != window.row(index)]
        if self.cursor != old_cursor:
            changed += [old_cursor, self.cursor]
        self.rows_changed(changed)
        if self.cursor != old_cursor:
            self.keep_cursor_on_show()
        if self._note_cursor() or self.cursor_row != old.row(old_cursor):
            self.post_message(self.CursorMoved(self))

    def show_query(self, query: Query) -> None:
        """Rows of another query are about to come: begin at the top."""
        self.query_shown = query
        self._cursor_hash = self._sought = None
        self.cursor = 0
        self.scroll_to(y=0, animate=False, immediate=True)
        self.refresh()

    def seek(self, info_hash: str) -> None:
        """Put the cursor on a torrent as soon as it is held, unless it is moved before."""
        self._sought = info_hash
        self.show(self.window)

    def move_cursor(self, index: int) -> None:
        self._sought = None
        super().move_cursor(index)
        self._note_cursor()

    def _note_cursor(self) -> bool:
        """Remember whose row the cursor is on; True when that is another torrent."""
        row = self.cursor_row
        if row is None or row.info_hash == self._cursor_hash:
            return False
        self._cursor_hash = row.info_hash
        return True

    def header_clicked(self, key: str) -> None:
        self.post_message(self.SortAsked(key))

    def lead_clicked(self) -> None:
        self.toggle_mark()

    def toggle_mark(self) -> None:
        if (row := self.cursor_row) is not None:
            self.marks.toggle(row)
            self.marks_changed()

    def marks_changed(self) -> None:
        """Must be called after `marks` changed."""
        self.refresh()
        self.post_message(self.MarksChanged())
