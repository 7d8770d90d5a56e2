"""The tracker's counters: totals and the last hour by minute."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.tracker.statistics import HISTORY_MINUTES, Statistics


def test_totals_by_protocol() -> None:
    counted = Statistics(100)
    counted.count_announce(100, is_udp=True)
    counted.count_announce(101, is_udp=False)
    counted.count_announce(102, is_udp=False)
    assert (counted.udp_announces, counted.http_announces) == (1, 2)
    assert counted.per_minute(103) == [0] * 59 + [3]


def test_minutes_move_on() -> None:
    counted = Statistics(0)
    counted.count_announce(30, is_udp=True)
    counted.count_announce(60, is_udp=True)
    counted.count_announce(61, is_udp=True)
    assert counted.per_minute(119)[-2:] == [1, 2]
    assert counted.per_minute(180)[-4:] == [1, 2, 0, 0]
    assert counted.per_minute(60 * 60)[:2] == [2, 0]
    assert counted.per_minute(10**9) == [0] * 60


@given(st.lists(st.floats(0, 7200), max_size=60), st.floats(0, 7200))
def test_the_last_hour_is_exact(times: list[float], asked: float) -> None:
    counted = Statistics(0)
    times = sorted(time for time in times if time <= asked)
    for time in times:
        counted.count_announce(time, is_udp=True)
    now = int(asked // 60)
    ago = [now - int(time // 60) for time in times]
    expected = [ago.count(minute) for minute in reversed(range(HISTORY_MINUTES))]
    assert counted.per_minute(asked) == expected
