"""The application: a link and a main screen, or of several engines the list of them; the themes.

Composition only. `run` is what the command line calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from textual import events
from textual.app import App, SystemCommand
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from tui.commands import ActionCommands
from tui.link import EngineAddress, Link
from tui.memory import keep, recall
from tui.messages import EngineTold
from tui.screens.dialogue import Dialogue
from tui.screens.fleet import FleetScreen
from tui.screens.main import MainScreen
from tui.store import Order
from tui.themes import DARK, LIGHT, fallbacks


class SeedwrightApp(App[int]):
    """The full-screen interface of one engine, or of several."""

    TITLE = "seedwright"
    CSS_PATH = Path(__file__).with_name("styles") / "app.tcss"
    COMMANDS = {ActionCommands}  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (48, "-broad")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (8, "-low"), (20, "-high")]  # noqa: RUF012

    def __init__(self, *links: Link, theme: str = DARK.name, order: Order | None = None) -> None:
        super().__init__()
        self.links = links
        self.order = order or Order()
        self.animation_level = "none"
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = theme

    def get_default_screen(self) -> Screen[Any]:
        if len(self.links) == 1:
            return MainScreen(self.links[0], order=self.order)
        return FleetScreen(self.links, self.order)

    def on_mount(self) -> None:
        first = self.screen_stack[0]
        if len(self.links) == 1:
            self.run_worker(self.links[0].run(first.post_message), name="link", group="link")
            return

        def tell(place: int, told: Message) -> None:
            first.post_message(EngineTold(place, told))

        for place, link in enumerate(self.links):
            link.rest()
            self.run_worker(link.run(partial(tell, place)), name=link.name, group="link")

    def on_key(self, event: events.Key) -> None:
        """Give what was typed right behind the key that opens a field to that field. It comes here
        when several keys come at once, as over SSH: they went to who had the focus by then. What a
        field gets itself never does."""
        early = self.screen.typed_ahead if isinstance(self.screen, Dialogue) else None
        if early is not None and (event.is_printable or event.key == "enter"):
            event.prevent_default()
            early.append(event)
        elif isinstance(self.focused, Input) and event.is_printable:
            event.prevent_default()
            self.focused.post_message(events.Key(event.key, event.character))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """None: the palette has the registry's actions only."""
        return ()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return fallbacks(self.current_theme)


def run(engines: Mapping[str, EngineAddress], memory: Path | None = None) -> int:
    """Show engines, by their names, until the user leaves; return the exit code. `memory`: the file
    that holds what is kept for the next time."""
    kept = recall(memory)
    links = [Link(address, name) for name, address in engines.items()]
    app = SeedwrightApp(*links, order=Order.of(kept))
    if (theme := kept.get("theme")) in app.available_themes:
        app.theme = theme
    code = app.run()
    keep(memory, theme=app.theme, sort=app.order.sort, descending=app.order.descending)
    return app.return_code or 0 if code is None else code
