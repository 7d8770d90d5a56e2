"""When datagrams are let come together: where a slow line brings one after the other."""

from __future__ import annotations

import pytest

from engine.net.reading_pace import ReadingPace


def _rests(gap_s: float, size: int, *, sent_each: int = 0, most_s: float = 1.0) -> bool:
    """True if the last of datagrams that come so is let wait for others."""
    pace = ReadingPace()
    now, rests = 100.0, False
    for _ in range(int(most_s / gap_s)):
        now += gap_s
        pace.sent_bytes += sent_each
        rests = pace.came(1, size, now)
    return rests


@pytest.mark.parametrize(
    ("gap_s", "size", "sent_each", "rests"),
    [
        (0.002, 1472, 1472, True),  # a line of six megabits a second
        (0.005, 62, 0, True),
        (0.02, 1472, 0, False),  # a few packets: somebody may wait for each
        (0.0001, 1472, 0, False),  # a line of a hundred megabits
        (0.001, 60, 12_000, False),  # the acks of as much that is sent
    ],
)
def test_datagrams_of_a_slow_line_are_read_together(
    gap_s: float, size: int, sent_each: int, *, rests: bool
) -> None:
    assert _rests(gap_s, size, sent_each=sent_each) is rests


def test_the_first_after_a_silence_is_read_at_once() -> None:
    pace = ReadingPace()
    now = 100.0
    while not pace.came(1, 1000, now):
        now += 0.001
    assert not pace.came(1, 1000, now + 5.0)


def test_nobody_rests_for_nothing() -> None:
    pace = ReadingPace()
    now = 100.0
    while not pace.came(1, 1000, now):
        now += 0.001
    assert not pace.came(0, 0, now + 0.001)


def test_a_burst_ends_the_rest() -> None:
    pace = ReadingPace()
    now = 100.0
    while not pace.came(1, 1000, now):
        now += 0.001
    assert not pace.came(64, 500_000, now + 0.001)
