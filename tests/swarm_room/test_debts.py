from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.debts import PATIENCE_S, TRUST_BYTES, Debt, Debts

events = st.lists(
    st.tuples(st.integers(0, 1 << 20), st.integers(0, 1 << 20), st.sampled_from([0.0, 1.0])),
    max_size=60,
)


def _debt(given_: int, received: int, waited_s: float) -> Debt:
    debt = Debt()
    debt.add(given=given_, received=received, waited_s=waited_s)
    return debt


def test_who_took_gave_nothing_and_let_us_wait_is_in_debt() -> None:
    assert _debt(TRUST_BYTES, 0, PATIENCE_S).is_open
    assert not _debt(TRUST_BYTES - 1, 0, PATIENCE_S).is_open, "a stranger gets something on trust"
    assert not _debt(TRUST_BYTES, 0, PATIENCE_S - 1).is_open, "it has a round to see what we give"
    assert not _debt(1 << 40, 0, 0.0).is_open, "it has nothing that we want"


def test_a_block_ends_a_debt_and_a_slow_giver_never_is_in_one() -> None:
    debt = _debt(TRUST_BYTES, 0, 60.0)
    debt.add(given=0, received=16384, waited_s=0.0)
    assert not debt.is_open
    # A line of 64 kB/s that is shared by eight gives 1/62 of one of 500 kB/s.
    slow = Debt()
    for _ in range(600):
        slow.add(given=500_000, received=8_000, waited_s=1.0)
    assert not slow.is_open


@given(events)
def test_only_who_gives_next_to_nothing_is_ever_in_debt(
    history: list[tuple[int, int, float]],
) -> None:
    debt = Debt()
    given_total = received_total = 0
    for given_now, received, waited_s in history:
        debt.add(given=given_now, received=received, waited_s=waited_s)
        given_total += given_now
        received_total += received
        if debt.is_open:
            assert given_total >= TRUST_BYTES
            assert received_total < given_total / 100


def test_a_host_that_comes_again_owes_what_it_owed() -> None:
    debts = Debts()
    debts.of("rider").add(given=TRUST_BYTES, received=0, waited_s=PATIENCE_S)
    assert debts.of("rider").is_open
    assert not debts.of("another").is_open


def test_not_all_hosts_of_the_world_are_remembered() -> None:
    debts = Debts()
    for number in range(5000):
        debts.of(number)
        debts.of("present")
    assert len(debts) == 2000
    debts.of("present").add(given=TRUST_BYTES, received=0, waited_s=PATIENCE_S)
    assert debts.of("present").is_open
