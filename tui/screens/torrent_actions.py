"""What can be done to torrents: to those that are marked, else to the one under the cursor.

Commands run as workers, so that a slow engine never holds up a key; what it refuses becomes a
toast.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from engine.errors import SeedwrightError, UnknownTorrentError
from tui import format as fmt
from tui.link import Link, TorrentRow
from tui.screens.add import AddScreen
from tui.screens.choose import ChooseScreen
from tui.screens.limits import LimitsScreen
from tui.screens.peer import PeerScreen
from tui.screens.program import ProgramScreen
from tui.screens.question import QuestionScreen
from tui.screens.removal import removal, removed
from tui.store import Marks, Target
from tui.widgets.bars import StatusLine
from tui.widgets.torrent_table import TorrentTable


class TorrentActions(ProgramScreen):
    """A screen with a table of torrents."""

    def __init__(self, link: Link, *, has_fleet: bool = False) -> None:
        super().__init__(has_fleet=has_fleet)
        self.link = link
        self.marks = Marks()
        self._beginning: set[str] = set()
        """Torrents added here, until the first that is seen of them beyond their check."""

    @property
    def _table(self) -> TorrentTable:
        return self.query_one("#torrents", TorrentTable)

    def _targets(self) -> list[Target]:
        targets = self.marks.targets(self._table.cursor_row)
        if not targets:
            self.app.notify("There is no torrent under the cursor.", severity="warning")
        return targets

    def _perform(self, command: Awaitable[object], done: str = "") -> None:
        """Carry a command out beside the screen; a refusal is said in a toast, `done` likewise."""

        async def attempt() -> None:
            try:
                await command
            except SeedwrightError as error:
                self.app.notify(fmt.clean(str(error)), severity="error", timeout=8, markup=False)
                if isinstance(error, UnknownTorrentError) and self.marks:
                    await self._forget_gone()
            else:
                if done:
                    self.app.notify(done, markup=False)

        self.run_worker(attempt(), group="commands", exit_on_error=True)

    async def _forget_gone(self) -> None:
        rows = await self.link.everything()
        self.marks.keep(row.info_hash for row in rows)
        self._table.marks_changed()

    def _on_targets(
        self, command: Callable[[list[str]], Awaitable[object]], done: str = ""
    ) -> None:
        if targets := self._targets():
            said = done.format(fmt.plural(len(targets), "torrent"))
            self._perform(command([target.info_hash for target in targets]), said)

    def action_pause(self) -> None:
        self._on_targets(self.link.pause)

    def action_resume(self) -> None:
        self._on_targets(self.link.resume)

    def action_recheck(self) -> None:
        self._on_targets(self.link.recheck, "Checking {} on the disk.")

    def action_announce(self) -> None:
        self._on_targets(self.link.announce, "Asking the trackers of {}.")

    def action_copy_hash(self) -> None:
        if targets := self._targets():
            self.app.copy_to_clipboard("\n".join(target.info_hash for target in targets))
            self.app.notify(f"Copied the info-hash of {fmt.plural(len(targets), 'torrent')}.")

    def action_copy_magnet(self) -> None:
        if targets := self._targets():
            self._perform(self._copy_magnets([target.info_hash for target in targets]))

    async def _copy_magnets(self, info_hashes: Sequence[str]) -> None:
        found = [await self.link.info_of(info_hash) for info_hash in info_hashes]
        links = [info.magnet for info in found if info.magnet]
        private = sum(info.row.is_private for info in found)
        if links:
            self.app.copy_to_clipboard("\n".join(links))
            self.app.notify(f"Copied {fmt.plural(len(links), 'magnet link')}.")
        if private:
            left_out = f": {private} left out" if links else ""
            said = f"No magnet link leads to a private torrent{left_out}."
            self.app.notify(said, severity="warning")
        elif not links:
            self.app.notify("The engine is too old to tell a magnet link.", severity="warning")

    def action_add(self) -> None:
        self.app.push_screen(AddScreen(self.link, self._added, self._choose))

    def _choose(self, row: TorrentRow, begins: bool) -> None:
        # Later: the dialogue that asks for it closes itself first, and can only on top.
        self.call_later(self.app.push_screen, ChooseScreen(self.link, row, begins=begins))

    def _added(self, row: TorrentRow) -> None:
        """Show a new torrent, and whether it can begin."""
        self._table.seek(row.info_hash)
        self._beginning.add(row.info_hash)
        self._watch_beginnings()

    def _watch_beginnings(self) -> None:
        """Say of a new torrent that it failed at once, as where its folder cannot be written."""
        for info_hash in list(self._beginning):
            row = self._table.window.find(info_hash)
            if row is None or row.state == "checking":
                continue
            self._beginning.discard(info_hash)
            if row.state == "error":
                said = fmt.clean(f"{row.name}: {row.error}")
                self.app.notify(said, severity="error", timeout=8, markup=False)

    def action_remove(self) -> None:
        self._remove(delete_data=False)

    def action_remove_data(self) -> None:
        self._remove(delete_data=True)

    def _remove(self, *, delete_data: bool) -> None:
        targets = self._targets()
        if not targets:
            return
        hashes = [target.info_hash for target in targets]

        def answered(is_sure: bool | None) -> None:
            if is_sure:
                self.marks.forget(hashes)
                self._table.marks_changed()
                done = removed(targets, delete_data=delete_data)
                self._perform(self.link.remove(hashes, delete_data=delete_data), done)

        self.app.push_screen(QuestionScreen(removal(targets, delete_data=delete_data)), answered)

    def action_add_peer(self) -> None:
        if targets := self._targets():
            self.app.push_screen(PeerScreen(self.link, targets))

    def action_limits(self) -> None:
        if targets := self._targets():
            self.app.push_screen(LimitsScreen(self.link, targets))

    def action_global_limits(self) -> None:
        status = self.query_one(StatusLine).status
        now = (status.down_limit, status.up_limit) if status else (0, 0)
        self.app.push_screen(LimitsScreen(self.link, None, now))
