"""The registry of everything a user can do: key bindings, help, footer and palette are made of it.

An action named `x` of a scope is carried out by `action_x` of that scope's widget or screen. A new
action is one line here and one method there; a test holds the two together. Pure: no Textual.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Scope(Enum):
    """Where a binding holds; the value names who has the method."""

    TABLE = "a focused table"
    FILES = "the tree of a torrent's files"
    MAIN = "the main screen"
    FLEET = "the screen of all engines"
    PROGRAM = "both of these screens"
    FILTER = "the filter line"
    DIALOG = "a dialogue"
    QUESTION = "a yes-or-no question"


class Need(Enum):
    """What must be there for an action to make sense; else it is shown dim."""

    NOTHING = 0
    ENGINE = 1
    TORRENT = 2


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    """The method without `action_`, with its argument if it takes one."""
    keys: str
    """As Textual names them, comma-separated; the first is the one that is shown."""
    label: str
    """A word or three, for the footer and the palette."""
    help: str
    """One sentence, for the help screen and the palette."""
    group: str
    scope: Scope = Scope.MAIN
    need: Need = Need.NOTHING
    footer: int = 0
    """Importance in the footer, 1 the most; 0 = not there."""
    in_palette: bool = True


GROUPS: Final = (
    *("Torrents", "Marking", "Finding", "Details", "Files", "Moving", "Engines", "Program"),
)
"""Headings of the help screen, in its order."""

_T, _M, _F, _D, _FILES, _V, _E, _P = GROUPS

ACTIONS: Final[tuple[Action, ...]] = (
    Action(
        "add",
        "a",
        "Add",
        "Add a torrent by its file, its URL or a magnet link.",
        _T,
        need=Need.ENGINE,
        footer=1,
    ),
    Action("pause", "p", "Pause", "Stop transferring.", _T, need=Need.TORRENT, footer=5),
    Action("resume", "r", "Resume", "Go on transferring.", _T, need=Need.TORRENT, footer=6),
    Action(
        "remove",
        "d,delete",
        "Remove",
        "Take out of the list and keep the files; asks first.",
        _T,
        need=Need.TORRENT,
        footer=7,
    ),
    Action(
        "remove_data",
        "D",
        "Remove with data",
        "Take out of the list and delete the files; asks first.",
        _T,
        need=Need.TORRENT,
    ),
    Action(
        "recheck",
        "c",
        "Recheck",
        "Verify what is on the disk, piece by piece.",
        _T,
        need=Need.TORRENT,
        footer=13,
    ),
    Action(
        "announce",
        "n",
        "Announce now",
        "Ask the trackers for peers now (never sooner than they allow).",
        _T,
        need=Need.TORRENT,
    ),
    Action(
        "add_peer",
        "P",
        "Add a peer",
        "Connect these torrents to a peer, by its address.",
        _T,
        need=Need.TORRENT,
    ),
    Action(
        "limits",
        "l",
        "Limit",
        "Limit the rates of these torrents.",
        _T,
        need=Need.TORRENT,
        footer=12,
    ),
    Action(
        "global_limits",
        "L",
        "Limit all",
        "Limit the rates of the whole engine.",
        _T,
        need=Need.ENGINE,
    ),
    Action(
        "copy_hash",
        "y",
        "Copy info-hash",
        "Copy the info-hashes to the terminal's clipboard.",
        _T,
        need=Need.TORRENT,
    ),
    Action(
        "copy_magnet",
        "Y",
        "Copy magnet link",
        "Copy the magnet links to the terminal's clipboard; private torrents have none.",
        _T,
        need=Need.TORRENT,
    ),
    Action(
        "mark",
        "space",
        "Mark",
        "Mark or unmark and go down; actions then reach all marked torrents.",
        _M,
        need=Need.TORRENT,
        footer=10,
    ),
    Action(
        "mark_all",
        "A,ctrl+a",
        "Mark all",
        "Mark every torrent that the filter shows.",
        _M,
        need=Need.TORRENT,
    ),
    Action(
        "clear",
        "escape",
        "Clear",
        "Go back to the list; there, take off the marks, then the filter.",
        _M,
    ),
    Action("filter", "slash", "Filter", "Show only names that contain a text.", _F, footer=8),
    Action(
        "filter_state",
        "f",
        "Next state",
        "Show only one state after another: downloading, seeding, metadata, checking, paused, "
        "error; then all again.",
        _F,
    ),
    Action("sort", "s", "Sort", "Choose the order of the list.", _F, footer=9),
    Action("reverse", "S", "Reverse order", "Turn the order of the list round.", _F),
    Action(
        "details",
        "v",
        "Details",
        "Show or hide the details of the torrent under the cursor.",
        _D,
        footer=11,
    ),
    Action("focus_details", "enter", "Into the details", "Move the cursor into the details.", _D),
    Action("show_tab('overview')", "1", "Overview", "Progress, totals, limits, place.", _D),
    Action(
        "show_tab('files')",
        "2",
        "Files",
        "The files, what is there of each, and which are wanted.",
        _D,
    ),
    Action("show_tab('peers')", "3", "Peers", "Who is connected and what flows.", _D),
    Action("show_tab('trackers')", "4", "Trackers", "What the trackers say and when next.", _D),
    Action("show_tab('log')", "5", "Log", "What happened to this torrent.", _D),
    Action("next_tab(1)", "right", "Next tab", "The details' next tab.", _D, in_palette=False),
    Action("next_tab(-1)", "left", "Previous tab", "And back.", _D, in_palette=False),
    Action(
        "want",
        "space",
        "Want",
        "In the files: want or skip a file, a folder, or on the first line everything.",
        _FILES,
        scope=Scope.FILES,
        footer=1,
        in_palette=False,
    ),
    Action(
        "step(1)",
        "plus,equals_sign",
        "More",
        "In the files: a higher priority.",
        _FILES,
        scope=Scope.FILES,
        footer=2,
        in_palette=False,
    ),
    Action(
        "step(-1)",
        "minus",
        "Less",
        "In the files: a lower priority, down to skip.",
        _FILES,
        scope=Scope.FILES,
        footer=3,
        in_palette=False,
    ),
    Action(
        "open",
        "enter",
        "Fold",
        "In the files: fold or unfold a folder; in a dialogue: go on.",
        _FILES,
        scope=Scope.FILES,
        footer=4,
        in_palette=False,
    ),
    Action(
        "fold",
        "o",
        "Fold",
        "In the files: fold or unfold a folder.",
        _FILES,
        scope=Scope.FILES,
        in_palette=False,
    ),
    Action("cursor(-1)", "up,k", "Up", "One row up.", _V, scope=Scope.TABLE, in_palette=False),
    Action("cursor(1)", "down,j", "Down", "One row down.", _V, scope=Scope.TABLE, in_palette=False),
    Action("page(-1)", "pageup,ctrl+b", "Page up", "", _V, scope=Scope.TABLE, in_palette=False),
    Action("page(1)", "pagedown,ctrl+f", "Page down", "", _V, scope=Scope.TABLE, in_palette=False),
    Action("first", "home,g", "First", "The first row.", _V, scope=Scope.TABLE, in_palette=False),
    Action("last", "end,G", "Last", "The last row.", _V, scope=Scope.TABLE, in_palette=False),
    Action(
        "open_engine",
        "enter",
        "Open",
        "In the list of engines: show this one's torrents.",
        _E,
        scope=Scope.FLEET,
        footer=1,
    ),
    Action("engines", "e", "Engines", "Go to the list of all engines.", _E, footer=4),
    Action(
        "retry_all",
        "ctrl+r",
        "Connect now",
        "In the list of engines: try at once to reach those that do not answer.",
        _E,
        scope=Scope.FLEET,
        footer=4,
    ),
    Action(
        "help", "question_mark,f1", "Help", "Show this page.", _P, scope=Scope.PROGRAM, footer=2
    ),
    Action(
        "palette",
        "colon,ctrl+p",
        "Commands",
        "Find any of these by name.",
        _P,
        scope=Scope.PROGRAM,
        footer=14,
    ),
    Action(
        "theme",
        "t",
        "Dark or light",
        "Switch between the dark and the light theme.",
        _P,
        scope=Scope.PROGRAM,
    ),
    Action("themes", "T", "Choose a theme", "Choose among all themes.", _P, scope=Scope.PROGRAM),
    Action("retry", "ctrl+r", "Connect now", "Try to reach the engine again at once.", _P),
    Action(
        "leave",
        "q,ctrl+q",
        "Quit",
        "Close this view; the engine goes on.",
        _P,
        scope=Scope.PROGRAM,
        footer=3,
    ),
    Action(
        "shutdown",
        "Q",
        "Stop the engine",
        "Stop the engine itself, for everybody; asks first.",
        _P,
        need=Need.ENGINE,
    ),
    Action(
        "keep_filter",
        "enter,down",
        "Keep",
        "Keep the filter and go back to the list.",
        _F,
        scope=Scope.FILTER,
        in_palette=False,
    ),
    Action(
        "drop_filter",
        "escape",
        "Show all",
        "Take the filter off.",
        _F,
        scope=Scope.FILTER,
        in_palette=False,
    ),
    Action(
        "cancel",
        "escape",
        "Cancel",
        "Close a dialogue and do nothing.",
        _P,
        scope=Scope.DIALOG,
        in_palette=False,
    ),
    Action("yes", "y", "Yes", "", _P, scope=Scope.QUESTION, in_palette=False),
    Action("no", "n,escape", "No", "", _P, scope=Scope.QUESTION, in_palette=False),
    Action("other", "left,right", "Other", "", _P, scope=Scope.QUESTION, in_palette=False),
)


def named(name: str) -> Action:
    """The action of that name; KeyError when there is none."""
    for action in ACTIONS:
        if action.name == name:
            return action
    raise KeyError(name)


def of_scope(scope: Scope) -> tuple[Action, ...]:
    return tuple(action for action in ACTIONS if action.scope is scope)


def _among(scopes: Iterable[Scope], has_fleet: bool) -> list[Action]:
    """The actions of these scopes; what several engines make possible only where there are some."""
    wanted = set(scopes)
    return [each for each in ACTIONS if each.scope in wanted and (has_fleet or each.group != _E)]


def in_footer(*scopes: Scope, has_fleet: bool = False) -> list[Action]:
    """The footer's actions of these scopes, in the registry's order."""
    return [action for action in _among(scopes, has_fleet) if action.footer]


def in_palette(*scopes: Scope, has_fleet: bool = False) -> list[Action]:
    return [action for action in _among(scopes, has_fleet) if action.in_palette]


def helped(
    *, has_fleet: bool = False, in_fleet: bool = False
) -> Iterable[tuple[str, list[Action]]]:
    """Each group with those of its actions that the help screen explains; `in_fleet`: asked for in
    the list of engines, so what can be done there comes first."""
    known = _among(Scope, has_fleet)
    for group in dict.fromkeys((_E, _P, *GROUPS)) if in_fleet else GROUPS:
        members = [action for action in known if action.group == group and action.help]
        if members:
            yield group, members
