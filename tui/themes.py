"""The two themes of our own, dark and light; Textual's are there beside them.

Few hues, each with one meaning: primary = what comes in, success = what goes out, warning = waits,
error = failed, accent = where you are. Every colour of text has at least 4.5 : 1 on its ground.
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
        "muted": "#8793a3",
        "faint": "#5d6878",
        "track": "#28313c",
        "bar-in": "#4c7fa6",
        "bar-out": "#5b8450",
        "bar-wait": "#9a7c45",
        "bar-fail": "#a35a57",
        "bar-idle": "#566170",
        "bar-done": "#2f4a3a",
        "cursor": "#23384a",
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
    primary="#1f66a0",
    secondary="#56616f",
    success="#2f7426",
    warning="#8a5a00",
    error="#b3302f",
    accent="#0f7564",
    foreground="#23292f",
    background="#faf9f6",
    surface="#f4f2ed",
    panel="#e9e6df",
    dark=False,
    variables={
        "muted": "#5d6670",
        "faint": "#969da5",
        "track": "#dedad1",
        "bar-in": "#6fa3cc",
        "bar-out": "#86b57c",
        "bar-wait": "#cba65c",
        "bar-fail": "#d48b88",
        "bar-idle": "#a9aeb3",
        "bar-done": "#c9dcc2",
        "cursor": "#cfe1ef",
        "cursor-blurred": "#e6e8e8",
        "marked": "#dcebe4",
        "footer-key-foreground": "#0f7564",
        "input-selection-background": "#0f7564 25%",
        "block-cursor-foreground": "#faf9f6",
        "block-cursor-background": "#0f7564",
        "scrollbar": "#c4bfb3",
        "scrollbar-background": "#f4f2ed",
        "border": "#0f7564",
    },
)

_BLENDS: Final = {
    "muted": ("background", "foreground", 0.65),
    "faint": ("background", "foreground", 0.4),
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
    "muted": "ansi_white",
    "faint": "ansi_bright_black",
    "track": "ansi_bright_black",
    "bar-in": "ansi_blue",
    "bar-out": "ansi_green",
    "bar-wait": "ansi_yellow",
    "bar-fail": "ansi_red",
    "bar-idle": "ansi_white",
    "bar-done": "ansi_green",
    "cursor": "ansi_blue",
    "cursor-blurred": "ansi_bright_black",
    "marked": "ansi_bright_black",
}


def fallbacks(theme: Theme) -> dict[str, str]:
    """Our own variables for a theme that does not know them, made of its colours."""
    if theme.ansi:
        return dict(_ANSI)
    colours = theme.to_color_system().generate()

    def blend(ground: str, towards: str, part: float) -> str:
        return Color.parse(colours[ground]).blend(Color.parse(colours[towards]), part).hex

    return {name: blend(*recipe) for name, recipe in _BLENDS.items()}
