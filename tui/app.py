"""The application: one link, one main screen, the themes; composition only.

`run` is what the command line calls.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from textual.app import App, SystemCommand
from textual.screen import Screen

from tui.commands import ActionCommands
from tui.link import Link
from tui.screens.main import MainScreen
from tui.themes import DARK, LIGHT, fallbacks


class SeedwrightApp(App[int]):
    """The full-screen interface of the engine at `socket_path`."""

    TITLE = "seedwright"
    CSS_PATH = Path(__file__).with_name("styles") / "app.tcss"
    COMMANDS = {ActionCommands}  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self, socket_path: Path, *, link: Link | None = None, theme: str = DARK.name
    ) -> None:
        super().__init__()
        self.link = link or Link(socket_path)
        self.animation_level = "none"
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = theme

    def get_default_screen(self) -> Screen[Any]:
        return MainScreen(self.link)

    def on_mount(self) -> None:
        main = self.screen_stack[0]
        self.run_worker(self.link.run(main.post_message), name="link", group="link")

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """None: the palette has the registry's actions only."""
        return ()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return fallbacks(self.current_theme)


def run(socket_path: Path) -> int:
    """Show the interface until the user leaves; return the exit code."""
    app = SeedwrightApp(socket_path)
    code = app.run()
    return app.return_code or 0 if code is None else code
