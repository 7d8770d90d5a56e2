"""View order: kept up to date from changes, it is always what sorting everything anew gives."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.control.schema import Sort, View
from engine.control.view_order import ViewOrder
from tests.fakes.fake_engine import FakeEngine
from tests.fakes.view_oracle import VIEWS, expected, shake


@settings(deadline=None, max_examples=80)
@given(VIEWS, st.integers(0, 2**32))
def test_updates_always_equal_sorting_anew(view: View, seed: int) -> None:
    engine, rng = FakeEngine(20), Random(seed)
    order = ViewOrder(engine, view)
    revision = engine.revision
    assert order.order == expected(engine, view)
    for _ in range(6):
        shake(engine, rng)
        changes = engine.changes(revision)
        revision = changes.revision
        order.update(changes)
        assert order.order == expected(engine, view)


@pytest.mark.parametrize("descending", [False, True])
def test_an_unknown_eta_comes_last(descending: bool) -> None:
    engine = FakeEngine(30)
    order = ViewOrder(engine, View(sort=Sort.ETA, descending=descending)).order
    etas = [engine.torrents[each].eta_s for each in order]
    known = [eta for eta in etas if eta is not None]
    assert known == sorted(known, reverse=descending)
    assert etas[len(known) :] == [None] * (len(etas) - len(known))
    assert 0 < len(known) < len(etas)
