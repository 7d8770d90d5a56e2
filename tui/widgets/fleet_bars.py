"""The bars of the list of engines: how many answer, and what they do together."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui import format as fmt
from tui.fleet import Totals
from tui.widgets.bars import Piece, brand, spread


class FleetTitle(Widget):
    totals: reactive[Totals] = reactive(Totals())

    def render(self) -> Content:
        totals = self.totals
        left = [*brand(), (fmt.plural(totals.engines, "engine"), "$muted")]
        right: list[Piece] = []
        if totals.down:
            right.append((f"✗ {totals.down:,} not reachable", "$error"))
        return spread(left, right, self.size.width)


class FleetStatus(Widget):
    totals: reactive[Totals] = reactive(Totals())

    def render(self) -> Content:
        totals = self.totals
        left: list[Piece] = [
            (f"↓ {fmt.rate(totals.down_rate):<11}", "$primary" if totals.down_rate else "$muted"),
            (f" ↑ {fmt.rate(totals.up_rate):<11}", "$success" if totals.up_rate else "$muted"),
            (f" {fmt.plural(totals.peers, 'peer')}", ""),
            (f"  {fmt.plural(totals.torrents, 'torrent')}", "$muted"),
        ]
        is_whole = totals.up == totals.engines
        up = f"● {totals.up:,} of {totals.engines:,} up" if not is_whole else "● all up"
        colour = "$success" if is_whole else "$warning"
        return spread(left, [(up, colour)], self.size.width)
