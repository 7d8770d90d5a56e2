"""Windows follow their deltas exactly, notice gaps, and keep what did not change."""

from __future__ import annotations

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from engine.control import schema
from engine.control.schema import Delta, Snapshot, Sort, TorrentRow, TorrentState
from engine.control.subscriptions import Subscriptions
from engine.control.view_order import ViewOrder
from tests.fakes.fake_engine import FakeEngine
from tui.store import (
    LEAST_LIMIT,
    SORTS,
    STATES,
    Marks,
    Query,
    Span,
    Window,
    follow,
    matching,
)

STATUS = FakeEngine(0).status()


def row(number: int, **changes: object) -> TorrentRow:
    values: dict[str, object] = {
        "info_hash": f"{number:040x}",
        "name": f"torrent {number}",
        "state": TorrentState.PAUSED,
        "size": 1000 + number,
        "have": 0,
        "progress": 0.0,
    }
    return TorrentRow(**{**values, **changes})  # type: ignore[arg-type]


def snapshot(*numbers: int, offset: int = 0, total: int | None = None, seq: int = 1) -> Snapshot:
    rows = [row(number) for number in numbers]
    count = len(rows) if total is None else total
    return Snapshot(id=1, seq=seq, offset=offset, total=count, rows=rows, status=STATUS)


def delta(seq: int, *rows: TorrentRow, order: list[str] | None = None, total: int = 3) -> Delta:
    return Delta(id=1, seq=seq, total=total, rows=list(rows), order=order)


def test_a_delta_changes_only_its_rows() -> None:
    window = Window.of(snapshot(1, 2, 3))
    later = window.after(delta(2, row(2, have=7)))
    assert later is not None
    assert [each.have for each in later.rows] == [0, 7, 0]
    assert later.rows[0] is window.rows[0]
    assert later.rows[2] is window.rows[2]
    assert window.rows[1].have == 0


def test_an_order_may_add_drop_and_turn_round() -> None:
    window = Window.of(snapshot(1, 2, 3))
    order = [row(number).info_hash for number in (4, 3, 1)]
    later = window.after(delta(2, row(4), order=order))
    assert later is not None
    assert [each.info_hash for each in later.rows] == order
    assert later.rows[1] is window.rows[2]
    assert later.find(row(2).info_hash) is None


def test_gaps_are_noticed() -> None:
    window = Window.of(snapshot(1, 2, 3, seq=5))
    assert window.after(delta(5)) is None
    assert window.after(delta(7)) is None
    assert window.after(delta(6, row(9))) is None
    assert window.after(delta(6, order=[row(9).info_hash])) is None
    assert window.after(delta(6)) is not None


def test_rows_have_the_numbers_of_the_whole_list() -> None:
    window = Window.of(snapshot(1, 2, 3, offset=10, total=99))
    assert window.row(9) is None
    assert window.row(10) == row(1)
    assert window.row(12) == row(3)
    assert window.row(13) is None
    assert window.index_of(row(3).info_hash) == 12
    assert window.index_of(row(4).info_hash) is None


@given(st.data())
def test_a_window_that_follows_an_engine_shows_what_it_shows(data: st.DataObject) -> None:
    engine = FakeEngine(40)
    view = schema.View(
        sort=data.draw(st.sampled_from(list(Sort))),
        descending=data.draw(st.booleans()),
        offset=data.draw(st.integers(0, 30)),
        limit=data.draw(st.integers(0, 25)),
    )
    subscriptions = Subscriptions(engine)
    subscriptions.open(schema.Subscribe(view=view))
    now = 0.0
    window: Window | None = None
    for _ in range(data.draw(st.integers(1, 6))):
        for note in subscriptions.due(now):
            window = Window.of(note) if isinstance(note, Snapshot) else _after(window, note)
        assert window is not None
        order = ViewOrder(engine, view).order
        shown = order[view.offset : view.offset + view.limit]
        assert [each.info_hash for each in window.rows] == shown
        assert list(window.rows) == [engine.row(each) for each in shown]
        assert (window.total, window.offset) == (len(order), view.offset)
        for index, info_hash in enumerate(shown):
            assert window.row(view.offset + index) is window.find(info_hash)
        engine.tick(data.draw(st.floats(0.1, 5000)))
        if data.draw(st.booleans()):
            gone = data.draw(st.sampled_from(sorted(engine.torrents)))
            del engine.torrents[gone]
            engine.log_changes.remove(gone)
        now += 10


def _after(window: Window | None, note: Delta) -> Window:
    assert window is not None
    later = window.after(note)
    assert later is not None
    return later


def test_the_cursor_follows_its_torrent() -> None:
    window = Window.of(snapshot(3, 1, 2))
    assert follow(window, 0, row(1).info_hash) == 1
    assert follow(window, 2, row(9).info_hash) == 2
    assert follow(window, 7, None) == 2
    assert follow(Window(), 7, None) == 0


@given(st.integers(0, 10_000), st.integers(1, 200), st.integers(0, 10_000), st.integers(0, 900))
def test_a_span_holds_what_is_on_show(top: int, height: int, offset: int, limit: int) -> None:
    span = Span(offset, limit).covering(top, height)
    assert span.offset <= top
    assert top + height <= span.offset + span.limit
    assert span.limit <= max(LEAST_LIMIT, 4 * height)
    assert span.covering(top, height) is span


def test_scrolling_by_rows_asks_seldom() -> None:
    span, asked = Span().covering(0, 50), 0
    for top in range(1000):
        wanted = span.covering(top, 50)
        asked += wanted != span
        span = wanted
    assert asked <= 1000 / 50


def test_marks_remember_names_and_order() -> None:
    marks = Marks()
    assert marks.targets(None) == []
    assert [each.name for each in marks.targets(row(5))] == ["torrent 5"]
    marks.toggle(row(2))
    marks.toggle(row(1))
    marks.add([row(3), row(2)])
    assert [each.name for each in marks.targets(row(5))] == ["torrent 2", "torrent 1", "torrent 3"]
    marks.toggle(row(1))
    assert row(1).info_hash not in marks
    marks.keep([row(3).info_hash, row(8).info_hash])
    assert [each.name for each in marks.targets(None)] == ["torrent 3"]
    marks.forget([row(3).info_hash])
    assert len(marks) == 0


def test_a_query_sorts_in_the_natural_direction_first() -> None:
    query = Query(text="x")
    assert query.sorted_by("size") == Query("x", "", "size", descending=True)
    assert query.sorted_by("size").sorted_by("size").descending is False
    assert query.sorted_by("name").descending is True


def test_the_ring_of_states_comes_round() -> None:
    query, seen = Query(), []
    for _ in range(len(STATES) + 1):
        query = query.with_next_state()
        seen.append(query.state)
    assert seen == [*STATES, ""]


def test_names_are_the_schemas() -> None:
    assert set(SORTS) == {str(sort) for sort in Sort}
    assert set(STATES) == {str(state) for state in TorrentState}


@given(st.text(max_size=3), st.sampled_from(["", *STATES]))
def test_matching_is_what_the_engine_shows(text: str, state: str) -> None:
    engine = FakeEngine(60)
    rows = [each.row() for each in engine.torrents.values()]
    view = schema.View(states=[TorrentState(state)] if state else [], text=text)
    shown = {each.info_hash for each in matching(rows, Query(text, state))}
    assert shown == set(ViewOrder(engine, view).order)


def test_the_store_loads_no_textual_and_no_engine() -> None:
    code = "import sys, tui.store; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    roots = {name.partition(".")[0] for name in run.stdout.split()}
    assert "textual" not in roots
    assert not [name for name in run.stdout.split() if name.startswith("engine.")]
