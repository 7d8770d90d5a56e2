from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH
from engine.swarm.smart_ban import SmartBan

RIGHT = bytes(range(256)) * (BLOCK_LENGTH // 256) * 3 + b"tail"


def spoiled(block: int) -> bytearray:
    data = bytearray(RIGHT)
    data[block * BLOCK_LENGTH] ^= 1
    return data


def test_a_single_contributor_is_guilty_at_once() -> None:
    ban: SmartBan[str] = SmartBan()
    assert ban.failed(7, ["eve"] * 4, spoiled(2)) == ["eve"]
    assert not ban.is_suspect(7)


def test_of_several_the_one_who_sent_something_else_is_guilty_when_the_piece_verifies() -> None:
    ban: SmartBan[str] = SmartBan()
    assert ban.failed(7, ["ann", "bob", "eve", "ann"], spoiled(2)) == []
    assert ban.is_suspect(7)
    assert ban.verified(8, RIGHT) == []
    assert ban.verified(7, RIGHT) == ["eve"]
    assert ban.verified(7, RIGHT) == [], "a case is closed once"


def test_all_failures_of_a_piece_count_and_the_short_last_block_too() -> None:
    ban: SmartBan[str] = SmartBan()
    assert ban.failed(7, ["ann", "bob", "eve", "ann"], spoiled(2)) == []
    assert ban.failed(7, ["ann", "bob", "ann", "mal"], memoryview(spoiled(3))) == []
    assert ban.verified(7, memoryview(RIGHT)) == ["eve", "mal"]


@given(
    st.lists(st.sampled_from(["ann", "bob", "eve", "mal"]), min_size=4, max_size=4),
    st.sets(st.integers(0, 3), min_size=1),
)
def test_nobody_honest_is_blamed(sources: list[str], bad: set[int]) -> None:
    ban: SmartBan[str] = SmartBan()
    data = bytearray(RIGHT)
    for block in bad:
        data[block * BLOCK_LENGTH] ^= 255
    guilty = {sources[block] for block in bad}
    found = ban.failed(0, sources, data) + ban.verified(0, RIGHT)
    assert set(found) == guilty


def test_unsolved_cases_do_not_pile_up() -> None:
    ban: SmartBan[str] = SmartBan()
    for index in range(1000):
        ban.failed(index, ["ann", "eve", "ann", "eve"], spoiled(1))
    for _ in range(100):
        ban.failed(999, ["ann", "eve", "ann", "eve"], spoiled(1))
    assert len(ban._cases[999]) == 8
    assert sum(ban.is_suspect(index) for index in range(1000)) == 64
    assert ban.verified(999, RIGHT) == ["eve"]
