"""The main screen: the list of torrents, the details of one of them, and how to move among them.

State changes only in the handlers here: of messages from the link, of keys, of widgets. What is
done to torrents is in torrent_actions.py.
"""

from __future__ import annotations

from dataclasses import replace

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Container
from textual.widgets import Input

from tui import format as fmt
from tui.actions import Scope
from tui.keymap import bindings
from tui.link import Link, Topic
from tui.messages import DetailsChanged, LinkDown, LinkUp, WindowChanged
from tui.screens.question import STOP_THE_ENGINE, QuestionScreen
from tui.screens.sort import SortScreen
from tui.screens.torrent_actions import TorrentActions
from tui.store import Order, Query, Span, matching
from tui.widgets.bars import KeyBar, StatusLine, TitleBar
from tui.widgets.details import DetailsPane, TabStrip
from tui.widgets.empty import EmptyState
from tui.widgets.file_table import FileTable
from tui.widgets.filter_line import FilterLine
from tui.widgets.table import VirtualTable
from tui.widgets.torrent_table import TorrentTable

BESIDE_FROM_COLUMNS = 150
"""From this width on the details stand beside the list instead of below."""
DETAILS_FROM_ROWS = 18
"""Below this height there is only the list, until the details are asked for."""
LEAST_LIST_ROWS = 4
"""A header and three torrents: what details below the list leave of it."""
LEAST_DETAILS_ROWS, USUAL_DETAILS_ROWS = 3, 8
"""Asked for, details below the list have so many at least, or are not shown."""
BARS_ROWS = 3
"""Title, status and keys."""


class MainScreen(TorrentActions):
    BINDINGS = bindings(Scope.MAIN)
    SCOPES = (Scope.MAIN, Scope.PROGRAM)
    AUTO_FOCUS = "#torrents"
    VERTICAL_BREAKPOINTS = [(0, "-bare"), (5, "-tiny"), (8, "-low"), (20, "-high")]  # noqa: RUF012

    def __init__(self, link: Link, *, has_fleet: bool = False, order: Order | None = None) -> None:
        """`order`: what the list begins with; told when another is chosen."""
        super().__init__(link, has_fleet=has_fleet)
        self._order = order or Order()
        self.asked = Query()
        self._span = Span()
        self._wants_details: bool | None = None
        """What the user chose; None: as the height allows."""

    def compose(self) -> ComposeResult:
        yield TitleBar(self.link.name if self.has_fleet else "")
        yield FilterLine()
        with Container(id="body"):
            with Container(id="list"):
                yield TorrentTable(self.marks, id="torrents")
                yield EmptyState(is_here=self.link.is_here, has_fleet=self.has_fleet)
            yield DetailsPane(id="details")
        yield StatusLine()
        yield KeyBar(Scope.MAIN, has_fleet=self.has_fleet)

    def on_mount(self) -> None:
        self._table.display = False
        self._ask(self._order.query())

    @property
    def _details(self) -> DetailsPane:
        return self.query_one(DetailsPane)

    # ── the link tells ──

    def on_link_up(self, message: LinkUp) -> None:
        self._set_trouble("")
        self.query_one(StatusLine).engine = message.engine
        self.query_one(KeyBar).has_engine = True

    def on_link_down(self, message: LinkDown) -> None:
        self._set_trouble(message.reason)
        self.query_one(StatusLine).engine = ""
        self.query_one(KeyBar).has_engine = False

    def _set_trouble(self, reason: str) -> None:
        self.query_one(StatusLine).has_failed = bool(reason)
        self.query_one(TitleBar).trouble = reason
        self.query_one(EmptyState).trouble = reason
        self._table.set_class(bool(reason), "-stale")

    def on_window_changed(self, message: WindowChanged) -> None:
        window, status = message.window, message.status
        empty = self.query_one(EmptyState)
        empty.total, empty.has_rows = status.torrents, True
        had_focus = self.focused is None or not self._table.display
        self._table.display = bool(window.total)
        empty.display = not window.total
        if had_focus and window.total and not self.query_one(FilterLine).has_focus:
            self._table.focus()
        self._table.show(window)
        self._watch_beginnings()
        title = self.query_one(TitleBar)
        title.shown, title.total = window.total, status.torrents
        self.query_one(StatusLine).status = status
        self._lay_out_details()

    def on_details_changed(self, message: DetailsChanged) -> None:
        self._details.show_details(message.info_hash, message.topic, message.details)

    # ── the widgets tell ──

    @on(VirtualTable.CursorMoved, "#torrents")
    def _show_cursor_row(self) -> None:
        row = self._table.cursor_row
        if row is None and self._table.window.total:
            return  # it is on its way; the details of the last one stand until then
        self.query_one(KeyBar).has_torrent = row is not None
        self._details.set_class(row is None, "-empty")
        self._details.show_torrent(row)
        wanted = row is not None and self._details.display
        self.link.watch(row.info_hash if row and wanted else None, self._details.topic)

    @on(VirtualTable.Scrolled, "#torrents")
    def _move_window(self) -> None:
        table = self._table
        span = self._span.covering(table.top, table.visible_count)
        if span != self._span:
            self._span = span
            self.link.show(self.asked, span)

    @on(TorrentTable.MarksChanged)
    def _count_marks(self) -> None:
        self.query_one(TitleBar).marked = len(self.marks)

    @on(TorrentTable.SortAsked)
    def _sort_by_header(self, message: TorrentTable.SortAsked) -> None:
        self._ask(self.asked.sorted_by(message.sort))

    @on(FileTable.Chosen)
    def _choose_files(self, message: FileTable.Chosen) -> None:
        levels = dict.fromkeys(message.numbers, message.level)
        if info_hash := self._details.info_hash:
            self._perform(self.link.set_files(info_hash, levels))

    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _show_keys(self) -> None:
        bar = self.query_one(KeyBar)
        bar.scope = Scope.FILES if isinstance(self.focused, FileTable) else Scope.MAIN

    @on(TabStrip.Picked)
    def _pick_tab(self, message: TabStrip.Picked) -> None:
        self.action_show_tab(message.topic.value)

    @on(Input.Changed, "FilterLine")
    def _filter_as_typed(self, message: Input.Changed) -> None:
        self._ask(self.asked.with_text(message.value))

    @on(FilterLine.Left)
    def _leave_filter(self, message: FilterLine.Left) -> None:
        self._close_filter(keep=message.keep)

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width >= BESIDE_FROM_COLUMNS, "-beside")
        self._lay_out_details()

    def _lay_out_details(self) -> None:
        wants, height = self._wants_details, self.size.height
        is_high = height >= DETAILS_FROM_ROWS
        room = height - BARS_ROWS - LEAST_LIST_ROWS - self.query_one(FilterLine).display
        fits = room >= LEAST_DETAILS_ROWS or self.has_class("-beside")
        # On a low screen an empty list needs the room for its hints.
        is_of_use = is_high or self._table.display
        shows = (is_high if wants is None else wants) and fits and is_of_use
        self._details.styles.min_height = max(0, min(USUAL_DETAILS_ROWS, room))
        if self._details.display and not shows and self._details.has_focus_within:
            self._table.focus()
        self._details.display = shows
        self._show_cursor_row()

    def _open_details(self) -> None:
        self._wants_details = True
        self._lay_out_details()
        if not self._details.display and self._table.display:
            self.app.notify("The screen is too low for the details.", severity="warning")

    def _ask(self, query: Query) -> None:
        """Show the torrents of another query."""
        if query == self.asked:
            return
        self._order.sort, self._order.descending = query.sort, query.descending
        self.asked, self._span = query, Span().covering(0, self._table.visible_count)
        self.query_one(TitleBar).asked = query
        self.query_one(EmptyState).asked = query
        self._table.show_query(query)
        self.link.show(query, self._span)

    # ── marking and finding ──

    def action_mark(self) -> None:
        self._table.toggle_mark()
        self._table.action_cursor(1)

    def action_mark_all(self) -> None:
        query = self.asked

        async def mark() -> None:
            self.marks.add(matching(await self.link.everything(), query))
            self._table.marks_changed()

        self._perform(mark())

    def action_clear(self) -> None:
        if self.focused is not self._table and self._table.display:
            self._table.focus()
        elif self.marks:
            self.marks.clear()
            self._table.marks_changed()
        else:
            self._close_filter(keep=False)

    def action_filter(self) -> None:
        line = self.query_one(FilterLine)
        line.display = True
        self._lay_out_details()
        self.set_focus(line)  # at once: what is typed behind the key belongs here already

    def _close_filter(self, *, keep: bool) -> None:
        line = self.query_one(FilterLine)
        if not keep:
            with line.prevent(Input.Changed):
                line.value = ""
            self._ask(self._order.query())
        line.display = False
        self._lay_out_details()
        self._table.focus()

    def action_filter_state(self) -> None:
        self._ask(self.asked.with_next_state())

    def action_sort(self) -> None:
        def picked(sort: str | None) -> None:
            if sort:
                self._ask(self.asked.sorted_by(sort))

        self.app.push_screen(SortScreen(self.asked), picked)

    def action_reverse(self) -> None:
        self._ask(self.asked.sorted_by(self.asked.sort))

    # ── details ──

    def action_details(self) -> None:
        if not self._details.display:
            self._open_details()
            return
        self._wants_details = False
        if self._table.display:
            self._table.focus()
        self._lay_out_details()

    def action_focus_details(self) -> None:
        if self._table.cursor_row is not None:
            self._open_details()
            if self._details.display:
                self._details.page.focus()

    def action_show_tab(self, topic: str) -> None:
        was_inside = self.focused is self._details.page
        self._details.topic = Topic(topic)
        if not self._details.display:
            self._open_details()
        if was_inside:
            self._details.page.focus()
        self._show_cursor_row()

    def action_next_tab(self, step: int) -> None:
        topics = list(Topic)
        self.action_show_tab(topics[(topics.index(self._details.topic) + step) % len(topics)].value)

    # ── program ──

    def action_engines(self) -> None:
        if self.has_fleet:
            self.dismiss()

    def action_retry(self) -> None:
        self.link.retry()

    def action_shutdown(self) -> None:
        def answered(is_sure: bool | None) -> None:
            if is_sure:
                self._perform(self.link.shut_down(), "The engine is stopping.")

        which = f"Stop {fmt.clean(self.link.name)}?" if self.has_fleet else STOP_THE_ENGINE.title
        self.app.push_screen(QuestionScreen(replace(STOP_THE_ENGINE, title=which)), answered)
