"""The dialogue for the address of a peer that some torrents are to be connected to."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from engine.errors import InputError
from tui import format as fmt
from tui.link import Link
from tui.screens.dialogue import Dialogue
from tui.store import Target


class PeerScreen(Dialogue):
    def __init__(self, link: Link, targets: Sequence[Target]) -> None:
        super().__init__()
        self._link = link
        self._targets = targets

    def compose(self) -> ComposeResult:
        one = fmt.clean(self._targets[0].name)
        whom = one if len(self._targets) == 1 else fmt.plural(len(self._targets), "torrent")
        with Vertical(classes="dialogue"):
            yield Static(Content(f"Add a peer to {whom}"), classes="title -one-line")
            with VerticalScroll(classes="fields", can_focus=False):
                yield Static("Where it listens, HOST:PORT", classes="label")
                yield Input(
                    id="peer",
                    placeholder="192.0.2.7:6881, [2001:db8::7]:6881, a name",
                    compact=True,
                )
            yield Static(classes="wrong")
            hint = "It is dialled now, and whenever it is lost"
            yield Static(Content.styled(hint, "$muted"), classes="hint")
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Add", id="ok", variant="primary", compact=True)

    async def command(self) -> None:
        peer = self.query_one("#peer", Input).value.strip()
        if not peer:
            raise InputError("write HOST:PORT, as 192.0.2.7:6881")
        await self._link.add_peer([target.info_hash for target in self._targets], peer)
        told = fmt.plural(len(self._targets), "torrent")
        self.app.notify(f"Told {fmt.clean(peer)} to {told}.", markup=False)
