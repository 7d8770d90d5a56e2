"""The two themes of our own, dark and light; Textual's are there beside them.

Few hues, each with one meaning: primary = what comes in, success = what goes out, warning = waits,
error = failed, accent = where you are. Every colour of text has at least 4.5 : 1 on its ground
(what is faint 3.3 : 1 under the cursor), and the cursor is another colour than the ground also
where a terminal has only 16.
"""

from __future__ import annotations

from typing import Final

from textual.color import Color
from textual.theme import Theme

DARK: Final = Theme(
    name="seedwright-dark",
    primary="#79b8e6",
    secondary="#8b9bb0",
    success="#8fc97a",
    warning="#e0b15e",
    error="#ee8079",
    accent="#5cc8b0",
    foreground="#d5dbe3",
    background="#12161b",
    surface="#171c23",
    panel="#1e252e",
    dark=True,
    variables={
        "muted": "#949fad",
        "faint": "#8892a1",
        "track": "#20272f",
        "bar-in": "#4c7fa6",
        "bar-out": "#5b8450",
        "bar-wait": "#9a7c45",
        "bar-fail": "#a65d5a",
        "bar-idle": "#66707d",
        "bar-done": "#2f4a3a",
        "cursor": "#22374a",
        "cursor-blurred": "#1d2630",
        "marked": "#1c2e2d",
        "footer-key-foreground": "#5cc8b0",
        "input-selection-background": "#5cc8b0 35%",
        "block-cursor-foreground": "#12161b",
        "block-cursor-background": "#5cc8b0",
        "scrollbar": "#37424f",
        "scrollbar-background": "#171c23",
        "border": "#5cc8b0",
    },
)

LIGHT: Final = Theme(
    name="seedwright-light",
    primary="#1d5e93",
    secondary="#56616f",
    success="#2a6722",
    warning="#7e5200",
    error="#a82d2c",
    accent="#0d6758",
    foreground="#23292f",
    background="#faf9f6",
    surface="#f4f2ed",
    panel="#e9e6df",
    dark=False,
    variables={
        "muted": "#545c65",
        "faint": "#5e656d",
        "track": "#dedad1",
        "bar-in": "#4f7fa8",
        "bar-out": "#5c8650",
        "bar-wait": "#94762f",
        "bar-fail": "#b06663",
        "bar-idle": "#767b80",
        "bar-done": "#a9c99f",
        "cursor": "#bed7ea",
        "cursor-blurred": "#dfe3e6",
        "marked": "#d3e6dd",
        "footer-key-foreground": "#0d6758",
        "input-selection-background": "#0d6758 25%",
        "block-cursor-foreground": "#faf9f6",
        "block-cursor-background": "#0d6758",
        "scrollbar": "#c4bfb3",
        "scrollbar-background": "#f4f2ed",
        "border": "#0d6758",
    },
)

_BLENDS: Final = {
    "muted": ("background", "foreground", 0.75),
    "faint": ("background", "foreground", 0.65),
    "track": ("background", "foreground", 0.13),
    "bar-in": ("background", "primary", 0.7),
    "bar-out": ("background", "success", 0.7),
    "bar-wait": ("background", "warning", 0.7),
    "bar-fail": ("background", "error", 0.7),
    "bar-idle": ("background", "foreground", 0.4),
    "bar-done": ("background", "success", 0.35),
    "cursor": ("background", "primary", 0.3),
    "cursor-blurred": ("background", "foreground", 0.1),
    "marked": ("background", "accent", 0.15),
}
_ANSI: Final = {
    "bar-in": "ansi_blue",
    "bar-out": "ansi_green",
    "bar-wait": "ansi_yellow",
    "bar-fail": "ansi_red",
    "bar-done": "ansi_green",
}
_ANSI_GROUNDS: Final = ("track", "cursor", "cursor-blurred", "marked")
_ANSI_TEXTS: Final = ("muted", "faint", "bar-idle")
"""Of two greys the one that is nearer to the terminal's ground, and the other: text in the colour
of its ground is not there."""


def fallbacks(theme: Theme) -> dict[str, str]:
    """Our own variables for a theme that does not know them, made of its colours."""
    if theme.ansi:
        near, far = ("ansi_bright_black", "ansi_white")[:: 1 if theme.dark else -1]
        return _ANSI | dict.fromkeys(_ANSI_GROUNDS, near) | dict.fromkeys(_ANSI_TEXTS, far)
    colours = theme.to_color_system().generate()

    def blend(ground: str, towards: str, part: float) -> str:
        return Color.parse(colours[ground]).blend(Color.parse(colours[towards]), part).hex

    return {name: blend(*recipe) for name, recipe in _BLENDS.items()}
