from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from engine.storage.file_map import Span
from engine.storage.views import MAX_VIEWS, cut, fill_with_zeros, rest_of, write_all

borders = st.lists(st.integers(0, 200), max_size=8).map(lambda places: sorted({0, 200, *places}))


@given(borders, borders)
def test_every_span_gets_its_bytes_in_order(of_views: list[int], of_spans: list[int]) -> None:
    data = bytes(range(200))
    views = [bytearray(data[start:end]) for start, end in pairwise(of_views)]
    spans = [Span(n, 0, end - start, False) for n, (start, end) in enumerate(pairwise(of_spans))]
    shared = list(cut(spans, views))
    assert [span for span, _ in shared] == spans
    for (start, end), (_, parts) in zip(pairwise(of_spans), shared, strict=True):
        assert b"".join(parts) == data[start:end]
    for _, parts in shared:
        fill_with_zeros(parts)
    assert b"".join(views) == bytes(200)


@given(st.lists(st.binary(max_size=5), max_size=6), st.integers(0, 30))
def test_what_is_left_of_views(contents: list[bytes], count: int) -> None:
    rest = rest_of([bytearray(content) for content in contents], count)
    assert b"".join(rest) == b"".join(contents)[count:]


def test_a_write_that_stops_short_goes_on(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "x", os.O_RDWR | os.O_CREAT)
    parts = [bytearray([number % 256]) * 3 for number in range(MAX_VIEWS + 9)]
    write_all(fd, 7, list(parts))
    write_all(fd, 2, [bytearray(b"one")])
    os.close(fd)
    assert (tmp_path / "x").read_bytes() == b"\0\0one\0\0" + b"".join(parts)
