"""What the two screens that fill the terminal share: help, palette, themes, the way out."""

from __future__ import annotations

from typing import ClassVar

from textual.screen import Screen

from tui.actions import Scope
from tui.keymap import bindings
from tui.screens.help import HelpScreen


class ProgramScreen(Screen[None]):
    BINDINGS = bindings(Scope.PROGRAM)
    SCOPES: ClassVar[tuple[Scope, ...]] = (Scope.PROGRAM,)
    """Whose actions this screen carries out."""

    def __init__(self, *, has_fleet: bool) -> None:
        super().__init__()
        self.has_fleet = has_fleet
        """There are several engines, and a list of them."""

    def action_help(self) -> None:
        in_fleet = Scope.FLEET in self.SCOPES
        self.app.push_screen(HelpScreen(has_fleet=self.has_fleet, in_fleet=in_fleet))

    def action_palette(self) -> None:
        self.app.action_command_palette()

    def action_theme(self) -> None:
        self.app.theme = f"seedwright-{'light' if self.app.current_theme.dark else 'dark'}"

    def action_themes(self) -> None:
        self.app.action_change_theme()

    def action_leave(self) -> None:
        self.app.exit(0)
