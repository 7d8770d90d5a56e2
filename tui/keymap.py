"""The registry of actions as Textual's bindings, and keys as people read them."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

from tui.actions import Action, Scope, of_scope

NAMES: Final = {
    "space": "Space",
    "escape": "Esc",
    "enter": "Enter",
    "delete": "Del",
    "slash": "/",
    "question_mark": "?",
    "colon": ":",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
}


def bindings(scope: Scope) -> list[BindingType]:
    """What goes into `BINDINGS` of the scope's widget or screen."""
    return [
        Binding(action.keys, action.name, action.label, show=False, tooltip=action.help)
        for action in of_scope(scope)
    ]


def key_name(key: str) -> str:
    """A key as it is shown: "/", "Space", "^P"."""
    if key.startswith("ctrl+"):
        return f"^{key.removeprefix('ctrl+').upper()}"
    return NAMES.get(key, key.upper() if key.startswith("f") and len(key) > 1 else key)


def first_key(action: Action) -> str:
    return key_name(action.keys.split(",", 1)[0])


def all_keys(action: Action) -> str:
    return " ".join(key_name(key) for key in action.keys.split(","))
