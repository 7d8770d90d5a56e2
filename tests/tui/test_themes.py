"""Colours can be told apart: text from its ground, bars from their track, on 16 colours too."""

from __future__ import annotations

import pytest
from rich.color import Color as TerminalColor
from rich.color import ColorSystem
from textual.color import Color
from textual.theme import BUILTIN_THEMES, Theme

from tui.themes import DARK, LIGHT, fallbacks

GROUNDS = ("background", "surface", "panel", "cursor", "cursor-blurred", "marked")
TEXTS = ("foreground", "muted", "faint", "primary", "success", "warning", "error", "accent")
BARS = ("bar-in", "bar-out", "bar-wait", "bar-fail", "bar-idle")


def _colours(theme: Theme) -> dict[str, str]:
    named = (*GROUNDS[:3], *TEXTS)
    return {name: getattr(theme, name) for name in named if hasattr(theme, name)} | theme.variables


def _luminance(colour: str) -> float:
    """Relative, of WCAG 2.2."""
    parts = Color.parse(colour).normalized
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_text_can_be_read_on_every_ground(theme: Theme) -> None:
    colours = _colours(theme)
    for text in TEXTS:
        for ground in GROUNDS:
            least = 3.3 if (text, ground) == ("faint", "cursor") else 4.5
            found = _contrast(colours[text], colours[ground])
            assert found >= least, f"{text} on {ground}: {found:.2f}"


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_bars_stand_out_from_their_track(theme: Theme) -> None:
    colours = _colours(theme)
    for bar in BARS:
        assert _contrast(colours[bar], colours["track"]) >= 2.9, bar


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_sixteen_colours_are_enough(theme: Theme) -> None:
    def shown(name: str) -> int | None:
        return TerminalColor.parse(colours[name]).downgrade(ColorSystem.STANDARD).number

    colours = _colours(theme)
    assert shown("cursor") != shown("background")
    for text in TEXTS:
        assert shown(text) not in {shown(ground) for ground in GROUNDS}, text
    for bar in (*BARS, "bar-done"):
        assert shown(bar) != shown("track"), bar


@pytest.mark.parametrize("name", ["ansi-dark", "ansi-light"])
def test_themes_of_the_terminal_s_own_colours(name: str) -> None:
    colours = fallbacks(BUILTIN_THEMES[name])
    for ground in ("cursor", "cursor-blurred", "marked"):
        assert colours["muted"] != colours[ground] != colours["faint"]
    for bar in (*BARS, "bar-done"):
        assert colours[bar] != colours["track"], bar
