"""Columns never overlap or overflow, and the least important goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tui.columns import LUXURY, Column, place
from tui.widgets.torrent_table import COLUMNS


def column(key: str, width: int, **options: float) -> Column[object]:
    return Column(key, key, width, lambda row, cells: [(" " * cells, "")], **options)  # type: ignore[arg-type]


def keys(width: int) -> list[str]:
    return [placed.column.key for placed in place(COLUMNS, width)]


@given(st.integers(0, 300), st.integers(0, 3))
def test_columns_stay_inside_and_apart(width: int, gap: int) -> None:
    placed = place(COLUMNS, width, gap)
    right = 0
    for each in placed:
        assert each.left >= right
        right = each.left + each.width
        assert right <= width or each.width == 0
        right += gap


@given(st.integers(60, 300))
def test_the_whole_width_is_used(width: int) -> None:
    last = place(COLUMNS, width)[-1]
    assert last.left + last.width == width


@given(st.integers(0, 300))
def test_a_wider_table_shows_no_less(width: int) -> None:
    assert set(keys(width)) <= set(keys(width + 1))


def test_what_a_standard_terminal_shows() -> None:
    assert keys(77) == ["name", "size", "progress", "state", "down_rate", "up_rate", "eta"]
    assert keys(117) == [*keys(77), "peers", "ratio"]
    assert keys(197) == [*keys(117), "added"]


def test_luxury_goes_before_others_shrink() -> None:
    columns = [column("a", 10, flex=1), column("b", 10, compact=4), column("c", 5, drop=LUXURY)]
    assert [each.width for each in place(columns, 27)] == [10, 10, 5]
    assert [(each.column.key, each.width) for each in place(columns, 26)] == [("a", 15), ("b", 10)]
    assert [each.width for each in place(columns, 15)] == [10, 4]


def test_room_is_shared_out_by_weight() -> None:
    columns = [column("a", 5, flex=1), column("b", 5, flex=3), column("c", 5)]
    assert [each.width for each in place(columns, 37)] == [10, 20, 5]
