"""When what came is acknowledged: seldom of a steady stream, soon of one that begins or waits."""

from __future__ import annotations

from engine.utp.acks import Acks


class Stream:
    """Packets that come one by one; how many each ack answered."""

    def __init__(self) -> None:
        self.now = 5.0
        self.acks = Acks(self.now)
        self.answered: list[int] = []
        self.waiting = 0

    def comes(self, gap_s: float, *, is_urgent: bool = False) -> None:
        self.now += gap_s
        self.acks.came(1, is_urgent=is_urgent)
        self.waiting += 1
        if self.acks.are_due:
            self.answer()

    def answer(self) -> None:
        self.acks.answered(self.now)
        self.answered.append(self.waiting)
        self.waiting = 0


def test_a_stream_that_begins_hears_of_each_second_packet() -> None:
    stream = Stream()
    for _ in range(20):
        stream.comes(0.0001)
    assert stream.answered == [2] * 10


def test_one_ack_answers_what_comes_within_the_delay_and_eight_at_most() -> None:
    for gap_s, packets in ((0.0001, 8), (0.004, 5), (0.006, 3), (0.05, 2)):
        stream = Stream()
        for _ in range(2000):
            stream.comes(gap_s)
        assert abs(stream.answered[-1] - packets) <= 1, gap_s
        assert max(stream.answered) <= 8
        if packets == 8:
            assert stream.answered[-50:] == [8] * 50


def test_who_became_slow_hears_soon_again_at_once() -> None:
    stream = Stream()
    for _ in range(1000):
        stream.comes(0.0005)
    assert stream.answered[-1] == 8
    while stream.waiting:
        stream.comes(0.0005)
    stream.comes(0.02)
    stream.answer()  # the delay was over
    stream.answered.clear()
    stream.comes(0.02)
    stream.comes(0.0)
    assert stream.answered == [2]


def test_what_is_urgent_is_answered_at_once() -> None:
    stream = Stream()
    for _ in range(1000):
        stream.comes(0.0005)
    stream.answer()
    stream.answered.clear()
    stream.comes(0.0005, is_urgent=True)
    assert stream.answered == [1]
    stream.comes(0.0005)
    assert stream.answered == [1]


def test_what_leaves_anyhow_answers_too_and_nothing_measures_nothing() -> None:
    acks = Acks(0.0)
    acks.answered(3.0)
    acks.came(1, is_urgent=False)
    acks.answered(3.0)
    assert not acks.are_due
    acks.came(2, is_urgent=False)
    assert acks.are_due
