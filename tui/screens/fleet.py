"""The list of engines, where there are several: what each does, and the way into its torrents.

Every link runs for as long as the app; what it tells comes here, and goes on to the main screen
while that shows this engine. An engine that nobody looks into tells its figures only.
"""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.message import Message

from tui.actions import Scope
from tui.fleet import EngineRow, totals
from tui.keymap import bindings
from tui.link import Link
from tui.messages import EngineTold, LinkDown, LinkUp, WindowChanged
from tui.screens.main import MainScreen
from tui.screens.program import ProgramScreen
from tui.store import Order, Span
from tui.widgets.bars import KeyBar
from tui.widgets.engine_card import EngineCard
from tui.widgets.fleet_bars import FleetStatus, FleetTitle
from tui.widgets.fleet_table import FleetTable
from tui.widgets.table import VirtualTable

CARD_FROM_ROWS = 16
"""Below this height there is only the list."""


class FleetScreen(ProgramScreen):
    BINDINGS = bindings(Scope.FLEET)
    SCOPES = (Scope.FLEET, Scope.PROGRAM)
    AUTO_FOCUS = "#engines"

    def __init__(self, links: Sequence[Link], order: Order) -> None:
        super().__init__(has_fleet=True)
        self._order = order
        self._links = links
        self.rows = [EngineRow(link.name, str(link.address)) for link in links]
        self._shown: MainScreen | None = None

    def compose(self) -> ComposeResult:
        yield FleetTitle()
        yield FleetTable(id="engines")
        yield EngineCard()
        yield FleetStatus()
        yield KeyBar(Scope.FLEET, has_fleet=True)

    def on_mount(self) -> None:
        self._draw()

    @property
    def table(self) -> FleetTable:
        return self.query_one(FleetTable)

    # ── the links tell ──

    def on_engine_told(self, message: EngineTold) -> None:
        row = self.rows[message.place]
        match message.told:
            case LinkUp(engine=engine):
                row = row.up(engine)
            case LinkDown(reason=reason):
                row = row.down(reason)
            case WindowChanged(status=status):
                row = row.told(status)
        if row != self.rows[message.place]:
            self.rows[message.place] = row
            self._draw()
        if self._shown is not None and self._shown.link is self._links[message.place]:
            self._shown.post_message(message.told)

    def _draw(self) -> None:
        self.table.set_rows(tuple(self.rows))
        self.query_one(FleetTitle).totals = self.query_one(FleetStatus).totals = totals(self.rows)
        self._show_card()

    @on(VirtualTable.CursorMoved, "#engines")
    def _show_card(self) -> None:
        self.query_one(EngineCard).row = self.table.cursor_row

    def on_resize(self, event: events.Resize) -> None:
        self.query_one(EngineCard).display = event.size.height >= CARD_FROM_ROWS

    # ── actions ──

    def action_open_engine(self) -> None:
        link, row = self._links[self.table.cursor], self.rows[self.table.cursor]
        self._shown = shown = MainScreen(link, has_fleet=True, order=self._order)
        self.app.push_screen(shown, lambda _: self._left(shown))
        told: Message | None = LinkUp(row.engine) if row.engine else None
        if row.trouble:
            told = LinkDown(row.trouble)
        if told is not None:
            shown.post_message(told)
        link.show(self._order.query(), Span())

    def _left(self, shown: MainScreen) -> None:
        self._shown = None
        shown.link.rest()
        for widget in shown.query():
            widget.refresh()  # empties its cache of drawn lines, which Textual keeps beyond its end

    def action_retry_all(self) -> None:
        for link, row in zip(self._links, self.rows, strict=True):
            if row.trouble:
                link.retry()
