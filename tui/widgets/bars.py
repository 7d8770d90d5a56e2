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
from tui.actions import Action, Need, Scope, in_footer, named
from tui.keymap import first_key
from tui.link import SessionStatus
from tui.store import SORTS, Query

NOT_REACHABLE = "engine not reachable – retrying"

_LEAST_RIGHT = 24
"""Cells for where the engine listens, which is worth more than the number of DHT nodes."""

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


def brand(where: str = "") -> list[Piece]:
    """How a title begins: the program, and which of several engines this is."""
    crumb = [(" › ", "$muted"), (fmt.truncate(fmt.clean(where), 24), "bold")] if where else []
    return [("seedwright", "bold $accent"), *crumb, ("  ", "")]


class TitleBar(Widget):
    """What the list shows: how many of how many, marks, order."""

    asked: reactive[Query] = reactive(Query())
    shown: reactive[int] = reactive(0)
    total: reactive[int] = reactive(0)
    marked: reactive[int] = reactive(0)
    trouble: reactive[str] = reactive("")
    """Why the engine does not answer; empty while it does."""

    def __init__(self, engine: str = "") -> None:
        super().__init__()
        self._engine = engine
        """Which one it is, where there are several."""

    def render(self) -> Content:
        query = self.asked
        left = brand(self._engine)
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
        if status.dht_nodes is not None:
            nodes = (f"  DHT {fmt.plural(status.dht_nodes, 'node')}", "$muted")
            if _width([*left, nodes]) + _LEAST_RIGHT <= width:
                left.append(nodes)
        if status.reachability in _REACHED:
            reached = (f"  {status.reachability}", _REACHED[status.reachability])
            if _width([*left, reached]) + _LEAST_RIGHT <= width:
                left.append(reached)
        nowhere = f"by {fmt.clean(status.way_out)}" if status.way_out else "not listening"
        listen = ", ".join(fmt.clean(address) for address in status.listen) or nowhere
        if status.waiting:
            right = [(f"✗ {fmt.clean(status.waiting)}", "$error")]
            return spread(left if _width(left) + _width(right) + 2 <= width else [], right, width)
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


_REACHED = {"reachable": "$success", "firewalled": "$warning"}
"""Colours of what there is to say of peers that connect to us."""


def _limit(bytes_per_s: int) -> str:
    return f"≤ {fmt.short_size(bytes_per_s)} " if bytes_per_s else ""


class KeyBar(Widget):
    """The footer: keys of the registry, as many as fit by importance, in the registry's order."""

    has_engine: reactive[bool] = reactive(False)
    has_torrent: reactive[bool] = reactive(False)
    scope: reactive[Scope] = reactive(Scope.MAIN)
    """Whose keys come first."""

    def __init__(self, screen: Scope, *, has_fleet: bool) -> None:
        super().__init__()
        self._screen = screen
        self._has_fleet = has_fleet
        self.set_reactive(KeyBar.scope, screen)

    def _fitting(self) -> list[tuple[Action, str]]:
        actions = in_footer(self._screen, Scope.PROGRAM, has_fleet=self._has_fleet)
        if self.scope is not self._screen:
            own = in_footer(self.scope)
            taken = {key for action in own for key in action.keys.split(",")}
            free = [each for each in actions if taken.isdisjoint(each.keys.split(","))]
            actions = [*own, *free]
        while actions:
            shown = [(action, f"{first_key(action)} {action.label}") for action in actions]
            if sum(cell_len(text) + 2 for _, text in shown) - 2 <= self.size.width:
                return shown
            actions.remove(max(actions, key=self._luxury))
        return []

    def _luxury(self, action: Action) -> tuple[bool, int]:
        return self.scope is not self._screen and action.scope is not self.scope, action.footer

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
                is_own = action.scope in (self._screen, Scope.PROGRAM)
                where = self.screen if is_own else self.screen.focused
                await self.app.run_action(action.name, where)
                return
            left += cell_len(text) + 2
