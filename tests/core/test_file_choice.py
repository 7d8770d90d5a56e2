"""Priorities of files → pieces, held against every byte of small torrents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.file_choice import FileChoice, FilePriority, priorities_of
from tests.storage.torrents import Layout, Sample, sample


@st.composite
def chosen(draw: st.DrawFn) -> tuple[Sample, bytes]:
    lengths = draw(st.lists(st.integers(0, 40), min_size=1, max_size=9).filter(any))
    pads = draw(st.lists(st.booleans(), min_size=len(lengths), max_size=len(lengths)))
    files = [
        Layout(f"{number}", length, "p" if is_pad else "")
        for number, (length, is_pad) in enumerate(zip(lengths, pads, strict=True))
    ]
    levels = draw(st.lists(st.integers(0, 2), min_size=len(files), max_size=len(files)))
    return sample(files, draw(st.integers(1, 30))), bytes(levels)


@given(chosen())
def test_a_piece_is_wanted_for_any_byte_of_a_wanted_file(case: tuple[Sample, bytes]) -> None:
    content, levels = case
    info = content.info
    choice = FileChoice.of(info, levels)
    real = [n for n, file in enumerate(info.files) if not file.is_pad]
    if all(levels[number] == FilePriority.NORMAL for number in real):
        assert choice is None
        return
    assert choice is not None

    def touched(*wanted: int) -> set[int]:
        return {
            offset // info.piece_length
            for number in real
            if levels[number] in wanted
            for offset in range(info.files[number].offset, info.files[number].end)
        }

    is_skipping = any(levels[number] == FilePriority.SKIP for number in real)
    everything = set(range(info.geometry.piece_count))
    assert set(choice.wanted) == (touched(1, 2) if is_skipping else everything)
    assert set(choice.urgent(info) or ()) == touched(2)
    assert choice.skipped == {n for n in real if levels[n] == FilePriority.SKIP}
    assert FileChoice.of(info, choice.priorities) is not None


def test_no_choice_is_all_normal() -> None:
    info = sample([Layout("a", 3), Layout("b", 4)], 2).info
    assert priorities_of(info, None) == bytes([1, 1])
    assert FileChoice.of(info, bytes([1, 1])) is None
    assert FilePriority.HIGH.word == "high"
