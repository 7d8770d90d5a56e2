"""The one-line bars: title above the list, status and keys at the bottom.

Each is told what to show and draws what fits its width, the most important first.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui import format as fmt
from tui.actions import Action, Need, in_footer, named
from tui.keymap import first_key
from tui.link import SessionStatus
from tui.store import SORTS, Query

NOT_REACHABLE = "engine not reachable – retrying"

Piece = tuple[str, str]
"""A text and its style."""


def _width(pieces: Sequence[Piece]) -> int:
    return sum(cell_len(text) for text, _ in pieces)


def spread(left: Sequence[Piece], right: Sequence[Piece], width: int) -> Content:
    """Left and right parts with the room between them; the right gives way."""
    gap = width - _width(left) - _width(right)
    if gap < 1:
        return Content.assemble(*left)
    return Content.assemble(*left, (" " * gap, ""), *right)


class TitleBar(Widget):
    """What the list shows: how many of how many, marks, order."""

    asked: reactive[Query] = reactive(Query())
    shown: reactive[int] = reactive(0)
    total: reactive[int] = reactive(0)
    marked: reactive[int] = reactive(0)
    trouble: reactive[str] = reactive("")
    """Why the engine does not answer; empty while it does."""

    def render(self) -> Content:
        query = self.asked
        left = [("seedwright", "bold $accent"), ("  ", "")]
        if self.trouble:
            said = f"✗ {NOT_REACHABLE}: {fmt.clean(self.trouble)}"
            room = self.size.width - _width(left)
            return Content.assemble(*left, (fmt.truncate(said, room), "bold $error"))
        if query.is_filtered:
            what = " ".join(
                part
                for part in (query.state, f"“{fmt.clean(query.text)}”" * bool(query.text))
                if part
            )
            left += [(f"{self.shown:,} of {fmt.plural(self.total, 'torrent')}", ""), ("  ", "")]
            left.append((what, "$warning"))
        elif self.total:
            left.append((fmt.plural(self.total, "torrent"), "$muted"))
        if self.marked:
            left.append((f"  ✓ {self.marked:,} marked", "$accent"))
        title, _ = SORTS[query.sort]
        order = "▼" if query.descending else "▲"
        return spread(left, [(f"{title.casefold()} {order}", "$muted")], self.size.width)


class StatusLine(Widget):
    """What the engine does and where it is."""

    status: reactive[SessionStatus | None] = reactive(None)
    engine: reactive[str] = reactive("")
    """Name and version of the engine that answers; empty while none does."""
    has_failed: reactive[bool] = reactive(False)
    """The last try to connect, or the connection, failed."""

    def render(self) -> Content:
        width = self.size.width
        status = self.status
        if not self.engine or status is None:
            retry = named("retry")
            hint = f"{first_key(retry)} {retry.label.casefold()}"
            if self.has_failed:
                return spread([("✗ not connected", "$error")], [(hint, "$muted")], width)
            return Content.styled("connecting …", "$muted")
        left = [
            (f"↓ {fmt.rate(status.down_rate):<11}", "$primary" if status.down_rate else "$muted"),
            (_limit(status.down_limit), "$muted"),
            (f" ↑ {fmt.rate(status.up_rate):<11}", "$success" if status.up_rate else "$muted"),
            (_limit(status.up_limit), "$muted"),
            (f" {fmt.plural(status.peers, 'peer')}", ""),
        ]
        if status.is_isolated:
            left.append(("  isolated", "$warning"))
        listen = ", ".join(fmt.clean(address) for address in status.listen) or "not listening"
        choices: tuple[list[Piece], ...] = (
            [(listen, "$muted"), (f"   ● {fmt.clean(self.engine)}", "$success")],
            [(listen, "$muted"), ("   ● connected", "$success")],
            [
                (fmt.clean(status.listen[0]) if status.listen else listen, "$muted"),
                (" ●", "$success"),
            ],
            [("●", "$success")],
        )
        for right in choices:
            if _width(left) + _width(right) + 2 <= width:
                return spread(left, right, width)
        return Content.assemble(*left)


def _limit(bytes_per_s: int) -> str:
    return f"≤ {fmt.short_size(bytes_per_s)} " if bytes_per_s else ""


class KeyBar(Widget):
    """The footer: keys of the registry, as many as fit by importance, in the registry's order."""

    has_engine: reactive[bool] = reactive(False)
    has_torrent: reactive[bool] = reactive(False)

    def _fitting(self) -> list[tuple[Action, str]]:
        actions = in_footer()
        while actions:
            shown = [(action, f"{first_key(action)} {action.label}") for action in actions]
            if sum(cell_len(text) + 2 for _, text in shown) - 2 <= self.size.width:
                return shown
            actions.remove(max(actions, key=lambda action: action.footer))
        return []

    def _is_possible(self, action: Action) -> bool:
        if action.need is Need.TORRENT:
            return self.has_engine and self.has_torrent
        return self.has_engine or action.need is Need.NOTHING

    def render(self) -> Content:
        parts: list[Piece] = []
        for action, _ in self._fitting():
            possible = self._is_possible(action)
            parts.append((first_key(action), "bold $accent" if possible else "$faint"))
            parts.append((f" {action.label}  ", "$foreground" if possible else "$faint"))
        return Content.assemble(*parts)

    async def on_click(self, event: events.Click) -> None:
        left = 0
        for action, text in self._fitting():
            if left <= event.x < left + cell_len(text):
                await self.screen.run_action(action.name)
                return
            left += cell_len(text) + 2
