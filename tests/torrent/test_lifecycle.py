"""The lifecycle as a table: every property is asked of all states and all events."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.control.schema import TorrentState
from engine.torrent.lifecycle import TRANSITIONS, Event, State, after

RESTING = {State.PAUSED, State.ERROR}


def test_front_ends_know_every_state() -> None:
    assert {state.value for state in State} == {state.value for state in TorrentState}


def test_only_the_swarm_states_run() -> None:
    still = {State.PAUSED, State.CHECKING, State.ERROR}
    assert {state for state in State if not state.is_running} == still


@pytest.mark.parametrize("state", State)
def test_a_user_can_pause_and_a_disk_can_fail_in_any_state(state: State) -> None:
    assert after(state, Event.PAUSE) is State.PAUSED
    assert after(state, Event.FAIL) is State.ERROR


@pytest.mark.parametrize("state", State)
def test_a_check_can_begin_wherever_none_is_under_way(state: State) -> None:
    if state is State.CHECKING:
        with pytest.raises(KeyError):
            after(state, Event.CHECK)
    else:
        assert after(state, Event.CHECK) is State.CHECKING


@pytest.mark.parametrize(("state", "event"), product(State, Event))
def test_each_event_leads_to_one_state_from_wherever_it_can_happen(
    state: State, event: Event
) -> None:
    """So that what an event means can be told without knowing where one comes from."""
    ends = {end for (_, happened), end in TRANSITIONS.items() if happened is event}
    assert len(ends) == 1
    if (state, event) in TRANSITIONS:
        assert {after(state, event)} == ends
    else:
        with pytest.raises(KeyError):
            after(state, event)


def test_only_a_download_finishes() -> None:
    assert [state for state, event in TRANSITIONS if event is Event.FINISH] == [State.DOWNLOADING]


def test_running_states_begin_from_rest_or_a_check() -> None:
    """Nobody slips from seeding to downloading without a look at the disk, or wanting more."""
    for (state, event), end in TRANSITIONS.items():
        if end.is_running and event not in (Event.FINISH, Event.WANT):
            assert state in RESTING | {State.CHECKING}


@given(st.lists(st.sampled_from(Event), max_size=50))
def test_no_history_leads_into_a_corner(events: list[Event]) -> None:
    """From wherever a torrent has come, it can be paused, checked, and seed."""
    state = State.PAUSED
    for event in events:
        if (state, event) in TRANSITIONS:
            state = after(state, event)
    for event in (Event.PAUSE, Event.CHECK, Event.DOWNLOAD, Event.FINISH):
        state = after(state, event)
    assert state is State.SEEDING
