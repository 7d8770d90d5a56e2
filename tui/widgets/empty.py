"""What stands in place of an empty list: why it is empty and what to do next."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from tui import format as fmt
from tui.actions import named
from tui.keymap import first_key
from tui.store import Query
from tui.widgets.bars import NOT_REACHABLE


def _key(name: str) -> tuple[str, str]:
    return (f" {first_key(named(name))} ", "bold $accent on $panel")


class EmptyState(Widget):
    trouble: reactive[str] = reactive("", layout=True)
    asked: reactive[Query] = reactive(Query(), layout=True)
    total: reactive[int] = reactive(0, layout=True)
    """Torrents in the engine, whatever the filter."""
    has_rows: reactive[bool] = reactive(False, layout=True)
    """The engine has told its list."""

    def __init__(self, *, is_here: bool, has_fleet: bool) -> None:
        super().__init__()
        self._is_here = is_here
        self._has_fleet = has_fleet

    def on_resize(self) -> None:
        self.refresh(layout=True)

    def render(self) -> Content:
        """All there is to say, without its empty lines where these would push out others."""
        said, (width, height) = self._said(), self.content_size
        if not width or len(said.wrap(width)) <= height:
            return said
        return Content("\n").join(line for line in said.split("\n") if line.plain)

    def _said(self) -> Content:
        if self.trouble:
            return Content.assemble(
                (NOT_REACHABLE, "bold $error"),
                (f"\n\n{fmt.clean(self.trouble)}\n\n", "$muted"),
                *self._remedy(),
                _key("retry"),
                (" tries now   ", "$muted"),
                _key("engines" if self._has_fleet else "leave"),
                (" other engines" if self._has_fleet else " quits", "$muted"),
            )
        if not self.has_rows:
            return Content.styled("connecting …", "$muted")
        if self.asked.is_filtered and self.total:
            whole = f"None of the {self.total:,} torrents" if self.total > 1 else "The only torrent"
            verb = "matches" if self.total > 1 else "does not match"
            return Content.assemble(
                (f"{whole} {verb}.\n\n", ""),
                _key("clear"),
                (" shows all again", "$muted"),
            )
        return Content.assemble(
            ("No torrents yet\n\n", "bold"),
            _key("add"),
            (" adds a .torrent, a URL or a magnet link\n", "$muted"),
            _key("help"),
            (" shows all keys\n\n", "$muted"),
            ("or from a shell: ", "$muted"),
            ("seedwright add FILE", ""),
        )

    def _remedy(self) -> list[tuple[str, str]]:
        if not self._is_here:
            return [("This view connects by itself as soon as it answers.\n", "")]
        return [
            ("Start one with ", ""),
            ("seedwright daemon", "bold"),
            ("; this view then connects by itself.\n", ""),
        ]
