"""A table of any length on the line API: it draws the rows on show and asks for no others.

Columns come and go with the width (tui/columns.py). Row heights are one line, the header stays on
top. A subclass answers two questions: how many rows there are, and which row has a number; None is
a row that has not arrived yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui import format as fmt
from tui.actions import Scope
from tui.columns import Column, Parts, Placed, place
from tui.keymap import bindings

R = TypeVar("R")

STYLES = (
    "header",
    "sorted",
    "cursor",
    "cursor-blurred",
    "marked",
    "name",
    "muted",
    "faint",
    "in",
    "out",
    "wait",
    "fail",
    "accent",
    "bar-in",
    "bar-out",
    "bar-wait",
    "bar-fail",
    "bar-idle",
    "bar-done",
)


class VirtualTable(ScrollView, Generic[R], can_focus=True):
    """A subclass gives its columns, and `row_count`, `row_at`."""

    BINDINGS = bindings(Scope.TABLE)
    COMPONENT_CLASSES: ClassVar[set[str]] = {f"table--{name}" for name in STYLES}
    HEADER_HEIGHT = 1
    LEAD_WIDTH = 0
    """Cells to the left of the first column, drawn by `lead`."""
    GAP = 1

    class CursorMoved(Message):
        """The cursor is on another row, or the row under it is another one."""

        def __init__(self, table: VirtualTable[Any]) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> VirtualTable[Any]:
            return self.table

    class Scrolled(Message):
        """Other rows are on show."""

        def __init__(self, table: VirtualTable[Any]) -> None:
            super().__init__()
            self.table = table

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, type(self)) and message.table is self.table

        @property
        def control(self) -> VirtualTable[Any]:
            return self.table

    def __init__(self, columns: Sequence[Column[R]], *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._columns = columns
        self._placed: list[Placed[R]] = []
        self._styles_made: dict[tuple[str, str], Style] = {}
        self.cursor = 0
        """Number of the row under the cursor."""

    # ── what a subclass answers ──

    @property
    def row_count(self) -> int:
        raise NotImplementedError

    def row_at(self, index: int) -> R | None:
        raise NotImplementedError

    def is_marked(self, row: R) -> bool:
        return False

    def lead(self, row: R) -> Parts:
        return [(" " * self.LEAD_WIDTH, "")]

    @property
    def note(self) -> str:
        """What stands in place of the first row where there is none."""
        return ""

    @property
    def sorted_by(self) -> tuple[str, bool]:
        """The key of the sorted column and whether it descends."""
        return "", False

    # ── geometry ──

    @property
    def top(self) -> int:
        """Number of the first row on show."""
        return self.scroll_offset.y

    @property
    def visible_count(self) -> int:
        return max(0, self.size.height - self.HEADER_HEIGHT)

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _resized(self) -> None:
        self._placed = place(self._columns, self._width - self.LEAD_WIDTH, self.GAP)
        self.virtual_size = Size(self._width, self.row_count + self.HEADER_HEIGHT)

    def on_resize(self, _: events.Resize) -> None:
        self._resized()
        self.refresh()
        self.keep_cursor_on_show()
        self.post_message(self.Scrolled(self))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.post_message(self.Scrolled(self))

    def keep_cursor_on_show(self) -> None:
        height = self.visible_count
        if height and not self.top <= self.cursor < self.top + height:
            y = self.cursor if self.cursor < self.top else self.cursor - height + 1
            self.scroll_to(y=y, animate=False, immediate=True)

    def set_columns(self, columns: Sequence[Column[R]]) -> None:
        """Draw these from now on."""
        if columns != self._columns:
            self._columns = columns
            self._resized()
            self.refresh()

    def rows_changed(self, indexes: Sequence[int] | None = None) -> None:
        """Must be called after rows changed: draws these numbers again, or with None all."""
        count = self.row_count
        if self.virtual_size.height != count + self.HEADER_HEIGHT:
            self._resized()
            indexes = None
        if self.cursor >= count:
            self.cursor = max(0, count - 1)
            indexes = None
        if indexes is None:
            self.refresh()
            return
        for index in indexes:
            self.refresh_line(index + self.HEADER_HEIGHT)

    # ── the cursor ──

    @property
    def cursor_row(self) -> R | None:
        return self.row_at(self.cursor) if self.row_count else None

    def move_cursor(self, index: int) -> None:
        """Put the cursor on a row, as near as there is one, and show it."""
        index = max(0, min(index, self.row_count - 1))
        if index != self.cursor:
            for line in (self.cursor, index):
                self.refresh_line(line + self.HEADER_HEIGHT)
            self.cursor = index
            self.post_message(self.CursorMoved(self))
        self.keep_cursor_on_show()

    def action_cursor(self, step: int) -> None:
        self.move_cursor(self.cursor + step)

    def action_page(self, step: int) -> None:
        pages = step * max(1, self.visible_count - 1)
        self.action_cursor(pages)

    def action_first(self) -> None:
        self.action_cursor(-self.row_count)

    def action_last(self) -> None:
        self.action_cursor(self.row_count)

    def on_focus(self) -> None:
        self.refresh_line(self.cursor + self.HEADER_HEIGHT)

    def on_blur(self) -> None:
        self.refresh_line(self.cursor + self.HEADER_HEIGHT)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.y < self.HEADER_HEIGHT:
            for placed in self._placed:
                if 0 <= event.x - self.LEAD_WIDTH - placed.left < placed.width + self.GAP:
                    self.header_clicked(placed.column.key)
                    return
        elif (index := self.top + event.y - self.HEADER_HEIGHT) < self.row_count:
            self.move_cursor(index)
            if event.x < self.LEAD_WIDTH or event.ctrl:
                self.lead_clicked()

    def header_clicked(self, key: str) -> None:
        """The user asks for an order."""

    def lead_clicked(self) -> None:
        """The user marks the row under the cursor."""

    # ── drawing ──

    def notify_style_update(self) -> None:
        self._styles_made.clear()
        super().notify_style_update()

    def _style(self, row: str, text: str) -> Style:
        """The style of a text (one of STYLES or "") on a row (likewise)."""
        key = (row, text)
        if key not in self._styles_made:
            style = self.rich_style
            for name in key:
                if name:
                    style += self.get_component_rich_style(f"table--{name}", partial=True)
            self._styles_made[key] = style
        return self._styles_made[key]

    def render_line(self, y: int) -> Strip:
        width = self._width
        if y < self.HEADER_HEIGHT:
            return self._strip(self._header(), "header", width)
        index = self.top + y - self.HEADER_HEIGHT
        if index >= self.row_count:
            if index or not self.note:
                return Strip.blank(width, self.rich_style)
            return self._strip([(fmt.truncate(self.note, width), "muted")], "", width)
        row = self.row_at(index)
        if row is None:
            look = self._row_look(None, index)
            return self._strip([(" " * self.LEAD_WIDTH + fmt.ELLIPSIS, "faint")], look, width)
        look = self._row_look(row, index)
        return self._strip([*self.lead(row), *self.cells(row)], look, width)

    def cells(self, row: R) -> Parts:
        """What stands behind the lead: a cell in each column."""
        parts: list[tuple[str, str]] = []
        last = 0
        for placed in self._placed:
            if placed.width <= 0:
                continue
            parts.append((" " * (placed.left - last), ""))
            parts.extend(placed.column.draw(row, placed.width))
            last = placed.left + placed.width
        return parts

    def _row_look(self, row: R | None, index: int) -> str:
        if index == self.cursor:
            return "cursor" if self.has_focus else "cursor-blurred"
        return "marked" if row is not None and self.is_marked(row) else ""

    def _header(self) -> Parts:
        parts = [(" " * self.LEAD_WIDTH, "")]
        last = 0
        key, descending = self.sorted_by
        for placed in self._placed:
            title, style = placed.column.title, ""
            if placed.column.key == key:
                arrow, style = "▼" if descending else "▲", "sorted"
                title = fmt.truncate(title, placed.width - 1).rstrip(fmt.ELLIPSIS) + arrow
            parts.append((" " * (placed.left - last), ""))
            parts.append((fmt.fit(title, placed.width, right=placed.column.right), style))
            last = placed.left + placed.width
        return parts

    def _strip(self, parts: Parts, look: str, width: int) -> Strip:
        segments = [Segment(text, self._style(look, style)) for text, style in parts if text]
        return Strip(segments).adjust_cell_length(width, self._style(look, ""))


class ListTable(VirtualTable[R]):
    """A table over a list that is held whole."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        *,
        id: str | None = None,  # noqa: A002
        empty: str = "",
    ) -> None:
        """`empty`: what is said where the list turns out to have nothing."""
        super().__init__(columns, id=id)
        self._rows: Sequence[R] = ()
        self._empty = empty
        self._is_told = False

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def row_at(self, index: int) -> R | None:
        return self._rows[index] if 0 <= index < len(self._rows) else None

    @property
    def note(self) -> str:
        return self._empty if self._is_told else ""

    def forget(self) -> None:
        """Show nothing until the next rows are set."""
        self.set_rows([])
        self._is_told = False

    def set_rows(self, rows: Sequence[R]) -> None:
        """Show these; only those that differ from what is on show are drawn again."""
        old, self._rows = self._rows, rows
        was_told, self._is_told = self._is_told, True
        if len(old) != len(rows) or not was_told:
            self.rows_changed()
            return
        on_show = range(self.top, min(len(rows), self.top + self.visible_count))
        self.rows_changed([index for index in on_show if old[index] != rows[index]])
