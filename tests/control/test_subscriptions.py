"""Subscriptions: whatever happens and however rarely a client asks, it sees what the engine has."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.control.schema import Delta, Snapshot, Sort, Subscribe, TorrentRow, View
from engine.control.subscriptions import MAX_SUBSCRIPTIONS, Subscriptions
from engine.errors import BadRequestError
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.subscriber_window import Window
from tests.fakes.view_oracle import VIEWS, expected, shake


def check(window: Window, engine: FakeEngine, view: View) -> None:
    order = expected(engine, view)
    shown = order[view.offset : view.offset + view.limit]
    assert window.rows == [engine.torrents[each].row() for each in shown]
    assert window.total == len(order)
    assert window.status == engine.status()


@settings(deadline=None, max_examples=80)
@given(VIEWS, VIEWS, st.integers(0, 2**32))
def test_snapshot_and_deltas_always_equal_the_direct_view(
    view: View, other: View, seed: int
) -> None:
    engine, rng = FakeEngine(20), Random(seed)
    subscriptions, window, now = Subscriptions(engine), Window(), 100.0
    opened = subscriptions.open(Subscribe(view=view, interval_s=1.0))
    for step in range(12):
        if step == 7:
            view = other
            subscriptions.open(Subscribe(view=view, interval_s=1.0, id=opened))
        for note in subscriptions.due(now):
            assert isinstance(note, Snapshot) == (step in (0, 7))
            assert window.apply(note)
        check(window, engine, view)
        for _ in range(rng.randrange(4)):
            shake(engine, rng)
        now += 1.0


def test_nothing_is_told_twice_nor_when_nothing_changed() -> None:
    engine = FakeEngine(20)
    subscriptions = Subscriptions(engine)
    subscriptions.open(Subscribe(view=View(limit=3)))
    assert len(list(subscriptions.due(0.0))) == 1
    assert list(subscriptions.due(10.0)) == []
    engine.tick(1)
    [delta] = subscriptions.due(20.0)
    assert isinstance(delta, Delta)
    assert delta.order is None
    for torrent in engine.torrents.values():
        engine.touch(torrent.info_hash)
    assert list(subscriptions.due(30.0)) == []


def test_rows_outside_the_window_are_never_built() -> None:
    class Counting(FakeEngine):
        built = 0

        def row(self, info_hash: str) -> TorrentRow | None:
            self.built += 1
            return super().row(info_hash)

    engine = Counting(200, active_every=1)
    subscriptions = Subscriptions(engine)
    subscriptions.open(Subscribe(view=View(limit=5, offset=20)))
    list(subscriptions.due(0.0))
    engine.tick(1)
    list(subscriptions.due(10.0))
    assert engine.built <= 10


def test_a_slow_client_gets_one_delta_for_many_changes() -> None:
    engine = FakeEngine(20)
    subscriptions, window = Subscriptions(engine), Window()
    view = View(sort=Sort.DOWN_RATE, descending=True)
    subscriptions.open(Subscribe(view=view))
    for note in subscriptions.due(0.0):
        window.apply(note)
    for _ in range(50):
        engine.tick(1)
    [delta] = subscriptions.due(50.0)
    assert delta.seq == 2
    assert window.apply(delta)
    check(window, engine, view)


def test_the_interval_is_kept_and_clamped() -> None:
    engine = FakeEngine(12)
    subscriptions = Subscriptions(engine)
    assert subscriptions.next_due_at() is None
    subscriptions.open(Subscribe(interval_s=2.0))
    subscriptions.open(Subscribe(interval_s=-7.0))
    assert [note.id for note in subscriptions.due(100.0)] == [1, 2]
    assert subscriptions.next_due_at() == 100.05
    engine.tick(1)
    assert [note.id for note in subscriptions.due(100.1)] == [2]
    assert [note.id for note in subscriptions.due(102.0)] == [1]


def test_many_removals_between_two_tellings_become_a_snapshot() -> None:
    engine = FakeEngine(20)
    subscriptions, window = Subscriptions(engine), Window()
    subscriptions.open(Subscribe())
    for note in subscriptions.due(0.0):
        window.apply(note)
    for index in range(10_002):
        engine.log_changes.remove(str(index))
    engine.torrents.clear()
    [note] = subscriptions.due(1.0)
    assert isinstance(note, Snapshot)
    assert window.apply(note)
    check(window, engine, View())


def test_bad_subscriptions_are_refused() -> None:
    subscriptions = Subscriptions(FakeEngine(1))
    for view in (View(offset=-1), View(limit=-1)):
        with pytest.raises(BadRequestError):
            subscriptions.open(Subscribe(view=view))
    with pytest.raises(BadRequestError):
        subscriptions.open(Subscribe(id=5))
    with pytest.raises(BadRequestError):
        subscriptions.close(5)
    for _ in range(MAX_SUBSCRIPTIONS):
        last = subscriptions.open(Subscribe())
    with pytest.raises(BadRequestError):
        subscriptions.open(Subscribe())
    subscriptions.close(last)
    assert subscriptions.open(Subscribe()) == last + 1


def test_subscriptions_may_be_closed_while_others_are_told() -> None:
    subscriptions = Subscriptions(FakeEngine(3))
    for _ in range(3):
        subscriptions.open(Subscribe())
    told = []
    for note in subscriptions.due(0.0):
        told.append(note.id)
        if note.id == 1:
            subscriptions.close(2)
            subscriptions.open(Subscribe())
    assert told == [1, 3]
    assert [note.id for note in subscriptions.due(0.0)] == [4]
