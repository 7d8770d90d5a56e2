"""The dialogue that chooses files of a torrent before it begins; a link's, once they are known."""

from __future__ import annotations

import asyncio
from typing import Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Button, Static

from engine.errors import SeedwrightError
from tui import format as fmt
from tui.link import Link, TorrentRow
from tui.screens.dialogue import Dialogue
from tui.widgets.file_table import FileTable

_ASK_AGAIN_S: Final = 0.5


class ChooseScreen(Dialogue):
    """Enter begins with what is chosen, Esc takes the torrent out again: it has fetched nothing."""

    def __init__(self, link: Link, row: TorrentRow, *, begins: bool) -> None:
        """`begins`: what is accepted starts; else it stays paused."""
        super().__init__()
        self._link = link
        self._row = row
        self._begins = begins
        self._before: dict[int, str] = {}
        """The levels that the engine knows."""
        self._folder = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialogue -files"):
            yield Static(Content(fmt.clean(self._row.name)), classes="title -one-line")
            yield Static("looking for its files …", id="summary")
            yield FileTable(id="choice", accepts=True)
            yield Static(classes="wrong")
            hint = "Space wants or skips · + − priority · o folds"
            yield Static(Content.styled(hint, "$muted"), classes="hint")
            with Horizontal(classes="buttons"):
                yield Button("Do not add", id="cancel", compact=True)
                yield Button(
                    "Begin" if self._begins else "Add", id="ok", variant="primary", compact=True
                )

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(FileTable).focus()
        self.run_worker(self._look(), group="look")

    async def _look(self) -> None:
        """Ask until the files are known: of a link they come with its metadata."""
        while not self._before:
            try:
                info = await self._link.info_of(self._row.info_hash)
                rows = await self._link.files_of(self._row.info_hash)
            except SeedwrightError as error:
                self._say(str(error))
                return
            if not rows:
                why = info.row.reason or "fetching its metadata"
                said = f"{why} … Enter: begin with all files once they are known"
                self.query_one("#summary", Static).update(Content(fmt.clean(said)))
                await asyncio.sleep(_ASK_AGAIN_S)
                continue
            self._folder = info.save_path
            self.query_one(".title", Static).update(Content(fmt.clean(info.row.name)))
            table = self.query_one(FileTable)
            table.show_files(rows)
            self._before = table.tree_of_files.levels
            self._sum_up()

    @on(FileTable.Chosen)
    def _sum_up(self) -> None:
        wanted, files, size = self.query_one(FileTable).tree_of_files.wanted
        what = f"{wanted} of {fmt.plural(files, 'file')}, {fmt.size(size)}"
        self.query_one("#summary", Static).update(
            Content.assemble((what, "bold"), (f" into {fmt.clean(self._folder)}", "$muted"))
        )

    @on(FileTable.Accepted)
    def _accept(self) -> None:
        self._confirm()

    async def command(self) -> None:
        levels = self.query_one(FileTable).tree_of_files.levels
        changed = {
            number: level for number, level in levels.items() if level != self._before[number]
        }
        if changed:
            await self._link.set_files(self._row.info_hash, changed)
        if self._begins:
            await self._link.resume([self._row.info_hash])

    def action_cancel(self) -> None:
        self.run_worker(self._take_out(), group="confirm", exclusive=True)

    async def _take_out(self) -> None:
        try:
            await self._link.remove([self._row.info_hash], delete_data=False)
        except SeedwrightError as error:
            self.app.notify(fmt.clean(str(error)), severity="error", markup=False)
        self.dismiss(None)
