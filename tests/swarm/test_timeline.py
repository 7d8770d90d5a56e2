"""When events are due, and that they are taken back of the same members."""

from __future__ import annotations

import pytest

from tests.swarm.scenario import Event
from tests.swarm.timeline import Swarm, Timeline, holds

NOBODY = Swarm()


def test_events_come_at_their_time_and_in_order() -> None:
    late, early = Event(do="heal", at_s=5.0), Event(do="tracker-down", at_s=2.0)
    timeline = Timeline((late, early))
    assert timeline.due(1.9, NOBODY) == []
    assert [due.do for due in timeline.due(6.0, NOBODY)] == ["tracker-down", "heal"]
    assert timeline.is_over
    assert timeline.due(9.0, NOBODY) == []


def test_repeated_events() -> None:
    timeline = Timeline((Event(do="kill", who=("peer",), at_s=1.0, every_s=2.0, times=3),))
    seen = [len(timeline.due(now, NOBODY)) for now in (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0)]
    assert seen == [0, 1, 0, 1, 0, 1, 0]


def test_what_waits_for_a_condition_comes_once_it_holds() -> None:
    timeline = Timeline((Event(do="kill", who=("peer",), when="50% complete", after_s=2.0),))
    assert timeline.due(10.0, Swarm(mean=0.49)) == []
    assert len(timeline.waiting) == 1
    assert timeline.due(11.0, Swarm(mean=0.5)) == []
    assert not timeline.waiting
    assert [due.do for due in timeline.due(13.0, NOBODY)] == ["kill"]


def test_an_event_is_taken_back_of_the_same_members() -> None:
    timeline = Timeline((Event(do="kill", who=("peer",), at_s=0.0, back_after_s=3.0),))
    (due,) = timeline.due(0.0, NOBODY)
    assert due.members is None
    timeline.done(due, ("peer-1", "peer-4"), 0.5)
    assert not timeline.is_over
    (back,) = timeline.due(3.5, NOBODY)
    assert (back.do, back.members) == ("start", ("peer-1", "peer-4"))
    timeline.done(back, ("peer-1", "peer-4"), 3.5)
    assert timeline.is_over


@pytest.mark.parametrize(
    ("condition", "swarm", "expected"),
    [
        ("first complete", Swarm(first_is_complete=True), True),
        ("all complete", Swarm(first_is_complete=True), False),
        ("copy held", Swarm(copies_held=0.99), False),
        ("copy held", Swarm(copies_held=1.0), True),
        ("30% complete", Swarm(mean=0.3), True),
    ],
)
def test_conditions(condition: str, swarm: Swarm, expected: bool) -> None:
    assert holds(condition, swarm) is expected
