from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.storage.file_map import FileMap, Span
from tests.storage.torrents import Layout, sample

layouts = st.lists(st.tuples(st.integers(0, 40), st.booleans()), min_size=1, max_size=12).map(
    lambda files: [
        Layout(f"f{number}", length, "p" if is_pad else "")
        for number, (length, is_pad) in enumerate(files)
    ]
)


@given(layouts, st.integers(1, 50), st.data())
def test_spans_follow_each_other_and_are_the_files_bytes(
    layout: list[Layout], piece_length: int, data: st.DataObject
) -> None:
    torrent = sample(layout, piece_length)
    total = torrent.info.total_length
    offset = data.draw(st.integers(0, total))
    length = data.draw(st.integers(0, total - offset))
    spans = FileMap(torrent.info).spans(offset, length)
    found = b"".join(
        torrent.content_of(span.file)[span.offset : span.offset + span.length] for span in spans
    )
    assert found == torrent.data[offset : offset + length]
    assert all(span.length for span in spans)
    assert all(span.is_pad == torrent.info.files[span.file].is_pad for span in spans)


@given(layouts, st.integers(1, 50), st.data())
def test_locate_is_the_fast_road_to_the_only_span(
    layout: list[Layout], piece_length: int, data: st.DataObject
) -> None:
    torrent = sample(layout, piece_length)
    total = torrent.info.total_length
    if not total:
        return
    offset = data.draw(st.integers(0, total - 1))
    length = data.draw(st.integers(1, total - offset))
    spans = FileMap(torrent.info).spans(offset, length)
    place = FileMap(torrent.info).locate(offset, length)
    if len(spans) == 1 and not spans[0].is_pad:
        assert place == (spans[0].file, spans[0].offset)
    else:
        assert place is None


@given(layouts, st.integers(1, 50))
def test_pieces_of_a_file_and_files_of_a_piece_agree(
    layout: list[Layout], piece_length: int
) -> None:
    torrent = sample(layout, piece_length)
    files = FileMap(torrent.info)
    pairs = {
        (file, piece)
        for piece in range(torrent.info.geometry.piece_count)
        for file in files.files_of(piece)
    }
    assert pairs == {
        (file, piece) for file in range(len(layout)) for piece in files.pieces_of(file)
    }


def test_outside_is_refused() -> None:
    files = FileMap(sample(10).info)
    assert files.spans(0, 10) == [Span(0, 0, 10, is_pad=False)]
    assert files.spans(10, 0) == []
    for offset, length in ((-1, 2), (0, 11), (10, 1), (0, -1)):
        with pytest.raises(ValueError, match="in a torrent of 10"):
            files.spans(offset, length)
