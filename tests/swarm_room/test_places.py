"""Who makes room when all places are taken."""

from __future__ import annotations

from dataclasses import dataclass

from engine.swarm.places import EVERY_S, LONG_PATIENCE_S, PATIENCE_S, Place, Shortage, least_useful


@dataclass(eq=False)
class Seat:
    place: Place
    is_waiting: bool = False
    is_named: bool = False


def _at(now: float, *, is_waiting: bool = False, is_named: bool = False) -> Seat:
    return Seat(Place(now), is_waiting, is_named)


def test_who_just_came_stays() -> None:
    assert least_useful([_at(10.0)], 10.0 + PATIENCE_S - 1, seeding=False) is None


def test_who_moves_blocks_stays_and_who_stopped_goes() -> None:
    giver, idle = _at(0.0, is_waiting=True), _at(5.0)
    for now in range(1, 400):
        giver.place.look(now * 16384, float(now))
    assert least_useful([giver, idle], 400.0, seeding=False) is idle
    assert least_useful([giver], 399.0 + LONG_PATIENCE_S - 1, seeding=False) is None
    assert least_useful([giver], 399.0 + LONG_PATIENCE_S, seeding=False) is giver


def test_who_wants_nothing_goes_before_who_waits_longer() -> None:
    waits, idle, longer = _at(0.0, is_waiting=True), _at(100.0), _at(90.0)
    assert least_useful([waits, idle, longer], 1000.0, seeding=False) is longer
    assert least_useful([waits], 1000.0, seeding=False) is waits


def test_who_waits_for_a_seed_and_whom_the_user_named_stay() -> None:
    seats = [_at(0.0, is_waiting=True), _at(0.0, is_named=True)]
    assert least_useful(seats, 1e6, seeding=True) is None
    idle = _at(1e5)
    assert least_useful([*seats, idle], 1e6, seeding=True) is idle


def test_a_shortage_is_eased_once_and_forgotten_when_nobody_feels_it_any_more() -> None:
    shortage = Shortage()
    assert not shortage.is_due(0.0)
    shortage.felt(10.0)
    assert shortage.is_due(10.0 + EVERY_S)
    assert not shortage.is_due(11.0 + EVERY_S)
    shortage.eased(10.0)
    assert not shortage.is_due(9.0 + EVERY_S)
    shortage.felt(9.0 + EVERY_S)
    assert shortage.is_due(10.0 + EVERY_S)
