"""The command palette, fed from the registry of actions."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.actions import Action, in_palette
from tui.keymap import first_key
from tui.screens.program import ProgramScreen


class ActionCommands(Provider):
    """Every action of the screen below, by its label and its help."""

    def _actions(self) -> list[Action]:
        screen = self.screen
        if not isinstance(screen, ProgramScreen):
            return []
        return in_palette(*screen.SCOPES, has_fleet=screen.has_fleet)

    async def discover(self) -> Hits:
        for action in self._actions():
            title = f"{action.label}  ({first_key(action)})"
            yield DiscoveryHit(
                title, partial(self.screen.run_action, action.name), help=action.help
            )

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in self._actions():
            title = f"{action.label}  ({first_key(action)})"
            score = max(matcher.match(title), 0.5 * matcher.match(action.help))
            if score > 0:
                run = partial(self.screen.run_action, action.name)
                yield Hit(score, matcher.highlight(title), run, help=action.help)
