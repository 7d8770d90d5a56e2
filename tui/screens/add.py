"""The dialogue that adds a torrent: path, URL or magnet link, where to save, whether to begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from tui import format as fmt
from tui.link import Link, TorrentRow
from tui.screens.dialogue import Dialogue
from tui.screens.path_suggester import PathSuggester
from tui.widgets.tick import Tick

LONGEST = 8 * 1024
"""Characters of a path or a link. Magnet links with a hundred trackers have as many."""


class Line(Input):
    """A line for a path or a link, which refuses what is longer than any. A terminal that pastes
    key by key would keep the interface busy for minutes with it, and fill gigabytes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=LONGEST, **options)
        self._has_told = False

    @property
    def content_width(self) -> int:
        value = self.value
        return len(value) + 1 if _is_plain(value) else super().content_width

    def _position_to_cell(self, position: int) -> int:
        # Textual looks for tabs and wide characters in all of the line, twice for each key.
        value = self.value
        return position if _is_plain(value) else super()._position_to_cell(position)

    def restricted(self) -> None:
        if not self._has_told:
            self._has_told = True
            self.app.notify(f"No path or link is longer than {LONGEST:,} characters", markup=False)


def _is_plain(text: str) -> bool:
    """Each character is a cell wide."""
    return bool(text) and text.isascii() and text.isprintable()


class AddScreen(Dialogue):
    def __init__(
        self,
        link: Link,
        added: Callable[[TorrentRow], None],
        choose: Callable[[TorrentRow, bool], None],
    ) -> None:
        """`added` is told of what the engine took, and `choose` of what waits for a choice of its
        files, and whether it begins then."""
        super().__init__()
        self._link = link
        self._added = added
        self._choose = choose

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialogue"):
            yield Static("Add a torrent", classes="title")
            with VerticalScroll(classes="fields", can_focus=False):
                yield Static(
                    "Path of a .torrent file, http(s) URL, or magnet link", classes="label"
                )
                yield Line(
                    id="source",
                    placeholder="~/Downloads/….torrent",
                    suggester=PathSuggester(".torrent"),
                    compact=True,
                )
                yield Static("Save in", classes="label")
                yield Line(
                    id="save-path",
                    placeholder="the engine's own folder",
                    suggester=PathSuggester(None) if self._link.is_here else None,
                    compact=True,
                )
                yield Tick("Choose files first", value=True, id="choose", compact=True)
                yield Tick("Begin at once", value=True, id="begin", compact=True)
            yield Static(classes="wrong")
            hint = "→ completes a path · Tab goes on · Space switches"
            yield Static(Content.styled(hint, "$muted"), classes="hint")
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Add", id="ok", variant="primary", compact=True)

    async def command(self) -> None:
        begins = self.query_one("#begin", Tick).value
        chooses = self.query_one("#choose", Tick).value
        row = await self._link.add(
            self.query_one("#source", Input).value,
            self.query_one("#save-path", Input).value,
            paused=not begins and not chooses,
            pick=chooses,
        )
        self._added(row)
        if not chooses:
            self.app.notify(f"Added {fmt.clean(row.name)}", markup=False)
            return
        files = [each for each in await self._link.files_of(row.info_hash) if not each.is_pad]
        if len(files) != 1:
            self._choose(row, begins)
            return
        if begins:
            await self._link.resume([row.info_hash])
        self.app.notify(f"Added {fmt.clean(row.name)}", markup=False)
