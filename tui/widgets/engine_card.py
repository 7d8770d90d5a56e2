"""What there is to know of the engine under the cursor, below the list of engines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui import clock
from tui import format as fmt
from tui.actions import named
from tui.fleet import EngineRow
from tui.keymap import first_key
from tui.link import SessionStatus
from tui.widgets.fleet_table import REACHED
from tui.widgets.overview import COLOURS, LABEL_WIDTH, Pair, in_columns, pair


def pairs(row: EngineRow, status: SessionStatus) -> Iterable[Pair]:
    """The facts, in order of importance."""
    yield "Down", f"{fmt.rate(status.down_rate)}, total {fmt.size(status.downloaded)}", ""
    yield "Up", f"{fmt.rate(status.up_rate)}, total {fmt.size(status.uploaded)}", ""
    yield "Engine", fmt.clean(row.engine), ""
    yield "Running", f"since {clock.date_and_time(status.started_at)}", ""
    yield "Listens at", fmt.clean(", ".join(status.listen)) or "nothing", ""
    where = f" at {status.external[0]}" if status.external else ""
    style = COLOURS.get(REACHED.get(status.reachability, ""), "")
    yield "Reached", fmt.clean(status.reachability + where), style
    nodes = "off" if status.dht_nodes is None else fmt.plural(status.dht_nodes, "node")
    yield "DHT", "off: isolated" if status.is_isolated else nodes, ""
    yield "Limits", f"↓ {fmt.limit(status.down_limit)}   ↑ {fmt.limit(status.up_limit)}", ""


def lines(row: EngineRow, width: int) -> list[Content]:
    """The card at this width, a Content a line."""
    address = pair(("Address", fmt.clean(row.address), ""), width)
    page = [Content.styled(fmt.truncate(fmt.clean(row.name), width), "bold"), address]
    if row.status is None:
        if row.trouble:
            page += _wrapped("Trouble", row.trouble, "$error", width)
            now = f"it is tried again by itself; {first_key(named('retry_all'))} does it now"
            page.append(pair(("", now, "$muted"), width))
        else:
            page.append(pair(("State", "connecting …", "$muted"), width))
        return page
    if row.status.waiting:
        page += _wrapped("Trouble", row.status.waiting, "$error", width)[:1]
    page += in_columns(list(pairs(row, row.status)), width)
    return page


def _wrapped(label: str, said: str, style: str, width: int) -> list[Content]:
    """A fact over as many lines as it needs, at most three."""
    parts = textwrap.wrap(fmt.clean(said), max(10, width - LABEL_WIDTH - 1), max_lines=3)
    return [
        pair(("" if number else label, part, style), width) for number, part in enumerate(parts)
    ]


class EngineCard(Widget):
    row: reactive[EngineRow | None] = reactive(None)

    def render(self) -> Content:
        if self.row is None:
            return Content()
        return Content("\n").join(lines(self.row, self.size.width))
