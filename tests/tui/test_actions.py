"""One registry: each action has its method, each key one meaning, and the bars fit their width."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from textual.binding import Binding

from tui.actions import ACTIONS, Action, Scope, helped, in_footer, in_palette, named, of_scope
from tui.keymap import all_keys, bindings, first_key, key_name
from tui.link import Topic
from tui.screens.dialogue import Dialogue
from tui.screens.fleet import FleetScreen
from tui.screens.help import FLAGS, MEANINGS, HelpScreen, pages
from tui.screens.main import MainScreen
from tui.screens.program import ProgramScreen
from tui.screens.question import QuestionScreen
from tui.screens.sort import SortScreen
from tui.store import STATES
from tui.widgets.cells import LOOKS
from tui.widgets.file_table import FileTable
from tui.widgets.filter_line import FilterLine
from tui.widgets.table import VirtualTable

OWNERS = {
    Scope.TABLE: (VirtualTable,),
    Scope.FILES: (FileTable,),
    Scope.MAIN: (MainScreen,),
    Scope.FLEET: (FleetScreen,),
    Scope.PROGRAM: (ProgramScreen,),
    Scope.FILTER: (FilterLine,),
    Scope.DIALOG: (Dialogue, HelpScreen, SortScreen),
    Scope.QUESTION: (QuestionScreen,),
}


def _method(action: Action) -> str:
    return "action_" + action.name.partition("(")[0]


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.name)
def test_every_action_is_carried_out(action: Action) -> None:
    for owner in OWNERS[action.scope]:
        assert callable(getattr(owner, _method(action), None)), f"{owner} has no {_method(action)}"


@pytest.mark.parametrize("scope", [Scope.MAIN, Scope.FLEET, Scope.PROGRAM])
def test_every_action_of_a_screen_is_in_the_registry(scope: Scope) -> None:
    (owner,) = OWNERS[scope]
    bases = {ProgramScreen, *ProgramScreen.__mro__} - {owner}
    written = {
        name
        for each in set(owner.__mro__) - bases
        for name in vars(each)
        if name.startswith("action_")
    }
    assert written == {_method(action) for action in of_scope(scope)}


@pytest.mark.parametrize("scope", Scope)
def test_a_key_means_one_thing(scope: Scope) -> None:
    keys = [key for action in of_scope(scope) for key in action.keys.split(",")]
    assert len(keys) == len(set(keys))
    for owner in OWNERS[scope]:
        bound = {each.key for each in owner.BINDINGS if isinstance(each, Binding)}
        assert bound == {action.keys for action in of_scope(scope)}


def test_a_focused_table_hides_no_key_of_the_screen() -> None:
    def keys(scope: Scope) -> set[str]:
        return {key for action in of_scope(scope) for key in action.keys.split(",")}

    for screen in (MainScreen, FleetScreen):
        taken = [keys(scope) for scope in (Scope.TABLE, *screen.SCOPES)]
        assert len(set.union(*taken)) == sum(map(len, taken))


def test_every_tab_has_a_key() -> None:
    assert {f"show_tab('{topic.value}')" for topic in Topic} <= {each.name for each in ACTIONS}


def test_bindings_say_what_the_registry_says() -> None:
    for binding, action in zip(bindings(Scope.MAIN), of_scope(Scope.MAIN), strict=True):
        assert isinstance(binding, Binding)
        assert (binding.key, binding.action) == (action.keys, action.name)
        assert (binding.description, binding.tooltip) == (action.label, action.help)


def test_help_explains_every_action_that_has_words() -> None:
    explained = [action for _, actions in helped(has_fleet=True) for action in actions]
    assert {each.name for each in explained} == {each.name for each in ACTIONS if each.help}
    text = " ".join(line.plain for page in pages(200, has_fleet=True) for line in page)
    for action in explained:
        assert action.help in text
        assert all_keys(action) in text


@pytest.mark.parametrize("width", [40, 72, 140])
def test_help_fits(width: int) -> None:
    assert all(cell_len(line.plain) <= width for page in pages(width) for line in page)


def test_states_and_flags_are_explained() -> None:
    assert MEANINGS.keys() == LOOKS.keys()
    assert set(STATES) <= LOOKS.keys()
    assert {flag for flags in FLAGS for flag in flags.split()} == set("DdUuOSIXHEeP")


@pytest.mark.parametrize("screen", [MainScreen, FleetScreen])
def test_what_a_new_user_needs_is_in_the_narrowest_footer(screen: type[ProgramScreen]) -> None:
    shown = in_footer(*screen.SCOPES, has_fleet=True)
    first = sorted(shown, key=lambda action: action.footer)
    begin = "add" if screen is MainScreen else "open_engine"
    assert {action.name for action in first[:3]} == {begin, "help", "leave"}
    assert first[3].name == ("engines" if screen is MainScreen else "retry_all")
    ranks = [action.footer for action in shown]
    assert len(ranks) == len(set(ranks))


def test_the_palette_has_all_of_a_screen() -> None:
    for scopes in (MainScreen.SCOPES, FleetScreen.SCOPES):
        shown = {action.name for action in in_palette(*scopes, has_fleet=True)}
        known = {action.name for scope in scopes for action in of_scope(scope)}
        assert known - shown <= {"next_tab(1)", "next_tab(-1)"}


def test_one_engine_says_nothing_of_several() -> None:
    told = [
        *in_footer(*MainScreen.SCOPES),
        *in_palette(*MainScreen.SCOPES),
        *(action for _, actions in helped() for action in actions),
    ]
    assert "Engines" not in {action.group for action in told}
    assert "engines" not in {action.name for action in told}


def test_key_names_are_short_and_plain() -> None:
    assert [key_name(key) for key in ("ctrl+p", "f1", "f", "space", "slash", "D")] == [
        "^P",
        "F1",
        "f",
        "Space",
        "/",
        "D",
    ]
    assert first_key(named("remove")) == "d"
    assert all(re.fullmatch(r"\S{1,5}", first_key(action)) for action in ACTIONS)
    with pytest.raises(KeyError):
        named("fly")
