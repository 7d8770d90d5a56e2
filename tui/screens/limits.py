"""The dialogue for rate limits, of some torrents or of the whole engine."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Button, Input, Static

from engine.errors import SeedwrightError
from tui import format as fmt
from tui.link import Link
from tui.screens.dialogue import Dialogue
from tui.store import Target


class LimitsScreen(Dialogue):
    """`targets` None is the engine, whose limits are `now`; a torrent's own are asked for."""

    def __init__(
        self, link: Link, targets: Sequence[Target] | None, now: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__()
        self._link = link
        self._targets = targets
        self._now = now

    def compose(self) -> ComposeResult:
        if self._targets is None:
            title = "Limit the whole engine"
        elif len(self._targets) == 1:
            title = f"Limit {fmt.clean(self._targets[0].name)}"
        else:
            title = f"Limit each of {fmt.plural(len(self._targets), 'torrent')}"
        with Vertical(classes="dialogue"):
            yield Static(Content(title), classes="title -one-line")
            with VerticalScroll(classes="fields", can_focus=False):
                yield Static("Download", classes="label")
                yield Input(typed(self._now[0]), id="down", placeholder="unlimited", compact=True)
                yield Static("Upload", classes="label")
                yield Input(typed(self._now[1]), id="up", placeholder="unlimited", compact=True)
            yield Static(classes="wrong")
            hint = "As 500K or 1.5M a second; empty = unlimited"
            yield Static(Content.styled(hint, "$muted"), classes="hint")
            with Horizontal(classes="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button("Set", id="ok", variant="primary", compact=True)

    def on_mount(self) -> None:
        if self._targets is not None and len(self._targets) == 1:
            self.run_worker(self._fill_in(self._targets[0].info_hash))

    async def _fill_in(self, torrent: str) -> None:
        try:
            limits = await self._link.limits_of(torrent)
        except SeedwrightError as error:
            self._say(str(error))
            return
        for field, value in zip(("#down", "#up"), limits, strict=True):
            line = self.query_one(field, Input)
            if not line.value:
                line.value = typed(value)

    async def command(self) -> None:
        down, up = (
            fmt.parse_rate(self.query_one(field, Input).value) for field in ("#down", "#up")
        )
        hashes = None if self._targets is None else [each.info_hash for each in self._targets]
        await self._link.set_limits(hashes, down, up)


def typed(bytes_per_s: int) -> str:
    """A limit as it would be typed, exactly."""
    if not bytes_per_s:
        return ""
    for unit, factor in (("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if bytes_per_s % factor == 0:
            return f"{bytes_per_s // factor}{unit}"
    return f"{bytes_per_s}B"
