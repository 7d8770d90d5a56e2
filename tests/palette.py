"""Colours of the pictures that tests and benchmarks draw, for light and dark pages. Pure."""

from __future__ import annotations

from string import Template

_LIGHT = {
    "card": "#faf9f6",
    "line": "#dfe3e1",
    "ink": "#23292f",
    "soft": "#56616f",
    "teal": "#0f7564",
    "grey": "#9aa7b4",
    "orange": "#b3632f",
    "good": "#2f7426",
    "bad": "#b3302f",
}
_DARK = {
    "card": "#12161b",
    "line": "#28313c",
    "ink": "#d5dbe3",
    "soft": "#8793a3",
    "teal": "#5cc8b0",
    "grey": "#566170",
    "orange": "#e0a070",
    "good": "#8fc97a",
    "bad": "#ee8079",
}


def styled(rules: str) -> str:
    """Return a style sheet: the rules with `$name` in the colours of light pages, and once more for
    dark ones. Spelled out, as what shows pictures outside of browsers knows no CSS variables."""
    plain, inverted = (Template(rules).substitute(colours) for colours in (_LIGHT, _DARK))
    return f"{plain}@media (prefers-color-scheme: dark) {{{inverted}}}\n"
