from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.core.geometry import BLOCK_LENGTH, Geometry, Span, cut_into_blocks
from engine.swarm.piece_picker import PiecePicker
from tests.swarm_room.small_swarm import SmallSwarm
from tests.swarm_room.test_piece_masks import bitfield

PIECES = 20
BLOCKS = 4


class Owner:
    """A picker over PIECES pieces of BLOCKS blocks, with as many buffers as it is given."""

    def __init__(self, *, have: set[int] = frozenset(), seed: int = 1, buffers: int = 1000) -> None:
        self.buffers = buffers
        self.begun: list[int] = []
        self.have = bitfield(PIECES, have)
        self.picker: PiecePicker[str] = PiecePicker(
            Geometry(PIECES * BLOCKS * BLOCK_LENGTH - 100, BLOCKS * BLOCK_LENGTH),
            self.have,
            Random(seed),
            can_begin=self.can_begin,
        )
        self.fields: dict[str, Bitfield] = {}

    def can_begin(self, indexes: range) -> int:
        begun = indexes[: max(0, self.buffers - len(self.begun))]
        self.begun += begun
        return len(begun)

    def peer(self, name: str, pieces: set[int] | range = range(PIECES)) -> str:
        self.fields[name] = bitfield(PIECES, set(pieces))
        self.picker.peer_added(name, self.fields[name])
        return name

    def pick(
        self, name: str, count: int, *, allowed: set[int] | None = None, slow: bool = False
    ) -> list[Span]:
        """The blocks that are picked, one by one."""
        fields = self.fields[name]
        return cut_into_blocks(self.picker.pick(name, fields, count, allowed=allowed, slow=slow))

    def pieces_of(self, name: str, count: int, **how: object) -> list[int]:
        return [index for index, _, _ in self.pick(name, count, **how)]  # type: ignore[arg-type]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32))
def test_every_download_ends_and_no_rule_is_broken_on_the_way(seed: int) -> None:
    swarm = SmallSwarm(seed)
    for number in range(250):
        swarm.step()
        if number % 5 == 0:
            swarm.check()
    swarm.finish()
    swarm.check()
    assert swarm.have.is_full
    assert not swarm.buffers


def test_a_piece_is_asked_for_in_order_and_the_last_block_is_shorter() -> None:
    owner = Owner(have=set(range(PIECES - 1)))
    seed = owner.peer("seed")
    last = PIECES - 1
    assert owner.pick(seed, 3) == [(last, n * BLOCK_LENGTH, BLOCK_LENGTH) for n in range(3)]
    assert owner.pick(seed, 3) == [(last, 3 * BLOCK_LENGTH, BLOCK_LENGTH - 100)]
    assert owner.pick(seed, 3) == []


def test_the_first_pieces_are_shared_so_that_they_are_whole_soon() -> None:
    owner = Owner()
    first, second = owner.peer("first", range(6)), owner.peer("second", range(6))
    begun = owner.pieces_of(first, 1)
    assert owner.pieces_of(second, 3) == begun * 3
    assert len(owner.begun) == 1


def test_a_seed_is_asked_for_new_pieces_before_it_helps_with_those_of_others() -> None:
    owner = Owner()
    peer, seed = owner.peer("peer", range(6)), owner.peer("seed")
    (begun,) = owner.pieces_of(peer, 1)
    assert begun not in owner.pieces_of(seed, 2 * BLOCKS)


def test_with_many_begun_pieces_a_seed_helps_first() -> None:
    owner = Owner()
    seed = owner.peer("seed")
    peers = [owner.peer(f"peer {n}", range(n, n + 1)) for n in range(3)]
    for peer in peers:
        owner.pieces_of(peer, 1)
    for peer in peers:
        owner.picker.peer_removed(peer)
    begun = set(owner.begun)
    assert set(owner.pieces_of(seed, 2)) <= begun


def test_a_slow_peer_takes_a_piece_of_its_own_while_there_are_buffers() -> None:
    owner = Owner(buffers=2)
    fast, slow, slower = owner.peer("fast"), owner.peer("slow"), owner.peer("slower")
    owner.pick(fast, 1)
    assert owner.pieces_of(slow, 1, slow=True) == [owner.begun[1]]
    assert owner.pieces_of(slower, 1, slow=True) == [owner.begun[0]]


def test_an_abandoned_piece_is_nobodys_and_a_slow_peer_takes_it() -> None:
    owner = Owner()
    fast, slow = owner.peer("fast"), owner.peer("slow")
    requests = owner.pick(fast, 2)
    owner.picker.release(fast, requests)
    assert owner.pieces_of(slow, 4, slow=True) == [owner.begun[0]] * 4


@given(st.integers(0, 1000))
def test_the_rarest_piece_of_the_peer_comes_first(seed: int) -> None:
    owner = Owner(have={0, 1, 2, 3}, seed=seed)
    owner.peer("a", range(10))
    owner.peer("b", range(16))
    owner.peer("seed")
    assert owner.pieces_of("seed", 4 * BLOCKS).count(owner.begun[0]) == BLOCKS
    assert set(owner.begun) == {16, 17, 18, 19}
    assert set(owner.pieces_of("b", 6 * BLOCKS)) == set(range(10, 16))
    assert set(owner.pieces_of("b", 6 * BLOCKS)) == set(range(4, 10))


def test_the_first_pieces_are_random_and_ties_are_too() -> None:
    first = set()
    tied = set()
    for seed in range(200):
        owner = Owner(seed=seed)
        owner.peer("a", range(10))
        first.update(owner.pieces_of(owner.peer("seed"), 1))
        owner = Owner(seed=seed, have={0, 1, 2, 3})
        tied.update(owner.pieces_of(owner.peer("seed"), 1))
    assert first == set(range(PIECES))
    assert tied == set(range(4, PIECES))


def test_no_piece_is_begun_without_leave() -> None:
    owner = Owner(buffers=2)
    seed = owner.peer("seed")
    assert len(owner.pick(seed, 100)) == 2 * BLOCKS
    assert owner.pick(seed, 100) == []
    assert not owner.picker.is_end_game
    assert owner.pick(owner.peer("other"), 100) == [], "a lack of buffers is no end game"


def test_the_buffer_of_a_stuck_piece_is_given_up_only_for_another_piece() -> None:
    owner = Owner(have=set(range(3, PIECES)))
    for name, count in (("a", 3), ("b", 1)):
        peer = owner.peer(name, {0 if name == "a" else 1})
        for block in owner.pick(peer, count):
            owner.picker.received(peer, *block)
    assert owner.picker.evictable() == 1, "the one with less received"
    owner.pick("b", 1)
    assert owner.picker.evictable() == 0, "a piece that is asked for is not stuck"
    owner.pick(owner.peer("c", {2}), 1)
    assert owner.picker.evictable() is None


def test_only_allowed_pieces_are_asked_for() -> None:
    owner = Owner()
    peer = owner.peer("peer", range(10))
    assert set(owner.pieces_of(peer, 100, allowed={3, 15, 7})) == {3, 7}
    assert owner.pieces_of(peer, 100, allowed=set()) == []
    owner.picker.release_all(peer)
    assert set(owner.pieces_of(peer, 100, allowed={7})) == {7}


def test_unwanted_pieces_are_neither_asked_for_nor_missed() -> None:
    wanted = bitfield(PIECES, {1, 2})
    picker: PiecePicker[str] = PiecePicker(
        Geometry(PIECES * BLOCK_LENGTH, BLOCK_LENGTH), Bitfield(PIECES), Random(1), wanted=wanted
    )
    seed = Bitfield.full(PIECES)
    picker.peer_added("seed", seed)
    assert picker.missing_count == 2
    assert {index for index, _, _ in picker.pick("seed", seed, 100)} == {1, 2}
    assert not picker.interested_in(3)
    assert not picker.is_interesting(bitfield(PIECES, {3, 4}))
    picker.set_wanted(bitfield(PIECES, {2, 3}))
    picker.release_all("seed")
    assert {index for index, _, _ in picker.pick("seed", seed, 100)} == {2, 3}
    assert picker.evictable() == 1
    assert picker.pieces_verified([2]) == []
    assert picker.pieces_verified([3, 2]) == ["seed"]
    assert picker.is_finished
    assert not picker.is_interesting(seed)
    picker.set_wanted(None)
    assert picker.missing_count == PIECES - 2
    assert picker.is_interesting(seed)


def test_the_end_game_asks_a_second_peer_from_the_last_block_on() -> None:
    owner = Owner(have=set(range(PIECES - 2)))
    first, second, third = owner.peer("first"), owner.peer("second"), owner.peer("third")
    asked = owner.pick(first, 100)
    assert owner.picker.is_end_game
    assert owner.pick(first, 100) == []
    again = owner.pick(second, 3)
    assert again == asked[:-4:-1]
    assert set(owner.pick(third, 100)) == set(asked) - set(again)

    receipt = owner.picker.received(second, *again[0])
    assert receipt.cancel == (first,)
    assert owner.picker.received(first, *again[0]) is owner.picker.UNWANTED
    assert owner.picker.duplicate_bytes == again[0][2]


def test_with_a_second_asked_the_first_can_go() -> None:
    owner = Owner(have=set(range(1, PIECES)))
    first, second = owner.peer("first"), owner.peer("second")
    asked = owner.pick(first, 100)
    assert len(owner.pick(second, 100)) == BLOCKS
    owner.picker.peer_removed(first)
    assert owner.picker.is_end_game, "all blocks are still asked for"
    results = [owner.picker.received(second, *block) for block in asked]
    assert [result.cancel for result in results] == [()] * BLOCKS
    assert results[-1].completed


def test_a_late_block_is_of_use_and_spares_the_other_peer_the_work() -> None:
    owner = Owner(have=set(range(1, PIECES)))
    slow, fast = owner.peer("slow"), owner.peer("fast")
    asked = owner.pick(slow, 100)
    owner.picker.release(slow, asked)
    assert set(owner.pick(fast, 1)) <= set(asked)
    outstanding = next(iter(owner.picker.partials())).outstanding()
    assert [peer for peer, _ in outstanding] == [fast]
    receipts = [owner.picker.received(slow, *block) for block in asked]
    assert all(receipt.accepted for receipt in receipts)
    assert sum(receipt.cancel == (fast,) for receipt in receipts) == 1
    assert receipts[-1].completed


def test_a_late_block_can_be_what_the_end_game_waits_for() -> None:
    owner = Owner(have=set(range(1, PIECES)))
    slow = owner.peer("slow")
    asked = owner.pick(slow, 100)
    owner.picker.release(slow, asked[:1])
    assert not owner.picker.is_end_game
    assert owner.picker.received(slow, *asked[0]) is owner.picker.ACCEPTED
    assert owner.picker.is_end_game


def test_blocks_that_do_not_exist_are_unwanted() -> None:
    owner = Owner()
    seed = owner.peer("seed")
    (index, *_), *_ = owner.pick(seed, 2)
    unwanted = owner.picker.UNWANTED
    for begin, length in (
        (1, BLOCK_LENGTH),
        (-BLOCK_LENGTH, BLOCK_LENGTH),
        (0, BLOCK_LENGTH - 1),
        (0, 2 * BLOCK_LENGTH),
        (BLOCKS * BLOCK_LENGTH, BLOCK_LENGTH),
        (2 * BLOCK_LENGTH, BLOCK_LENGTH),  # nobody was asked for this one
    ):
        assert owner.picker.received(seed, index, begin, length) is unwanted
    assert owner.picker.received(seed, PIECES + 5, 0, BLOCK_LENGTH) is unwanted
    assert next(owner.picker.partials()).received_count == 0


def test_a_piece_that_failed_is_left_to_one_peer() -> None:
    owner = Owner(have=set(range(2, PIECES)))
    first, second = owner.peer("first", {0}), owner.peer("second", {0})
    for peer in (first, second):
        for block in owner.pick(peer, 2):
            owner.picker.received(peer, *block)
    assert owner.picker.piece_failed(0) == [first, first, second, second]
    assert owner.picker.failed_bytes == BLOCKS * BLOCK_LENGTH
    assert owner.pieces_of(first, 2) == [0, 0]
    assert owner.pick(second, 2) == []
    owner.picker.release_all(first)
    assert owner.pieces_of(second, 4) == [0] * 4


def test_the_end_game_leaves_a_piece_that_failed_to_one_peer_too() -> None:
    """Else a corrupter would have a share in it each time, and would never be found out."""
    owner = Owner(have=set(range(1, PIECES)))
    honest, corrupter = owner.peer("honest", {0}), owner.peer("corrupter", {0})
    for peer in (honest, corrupter):
        for block in owner.pick(peer, 2):
            owner.picker.received(peer, *block)
    owner.picker.piece_failed(0)
    asked = owner.pick(corrupter, 9)
    assert len(asked) == BLOCKS
    assert owner.picker.is_end_game
    assert owner.pick(honest, 9) == []
    owner.picker.received(corrupter, *asked[0])
    owner.picker.release(corrupter, asked[1:])  # it stopped sending
    assert owner.pieces_of(honest, 9) == [0] * 3


def test_a_piece_is_taken_up_again_with_the_blocks_of_an_earlier_life() -> None:
    owner = Owner(have={5}, buffers=1)
    seed = owner.peer("seed")
    assert not owner.picker.restore(5, {0}, "before"), "we have it"
    assert not owner.picker.restore(6, set(), "before")
    assert not owner.picker.restore(6, set(range(BLOCKS)), "before"), "that would be complete"
    assert owner.picker.restore(6, {0, 2}, "before")
    assert not owner.picker.restore(6, {1}, "before"), "it is begun"
    assert not owner.picker.restore(7, {1}, "before"), "no buffer"
    asked = owner.pick(seed, 9)
    assert asked == [(6, 1 * BLOCK_LENGTH, BLOCK_LENGTH), (6, 3 * BLOCK_LENGTH, BLOCK_LENGTH)]
    assert [owner.picker.received(seed, *block).completed for block in asked] == [False, True]
    assert owner.picker.sources(6) == ["before", seed, "before", seed]


def test_a_piece_lost_on_disk_is_fetched_again() -> None:
    owner = Owner(have=set(range(PIECES)))
    seed = owner.peer("seed")
    assert owner.picker.is_finished
    owner.picker.piece_lost(5)
    assert not owner.have[5]
    assert owner.picker.missing_count == 1
    assert set(owner.pieces_of(seed, 100)) == {5}


def test_a_torrent_without_pieces_is_finished() -> None:
    picker: PiecePicker[str] = PiecePicker(Geometry(0, BLOCK_LENGTH), Bitfield(0), Random(1))
    picker.peer_added("peer", Bitfield(0))
    assert picker.is_finished
    assert picker.pick("peer", Bitfield(0), 5) == []
    assert not picker.is_interesting(Bitfield(0))
    picker.peer_removed("peer")


def test_urgent_pieces_are_begun_before_rarer_ones() -> None:
    owner = Owner(have=set(range(4)))
    seed = owner.peer("seed")
    urgent = Bitfield(PIECES)
    for index in (7, 9):
        urgent.add(index)
    owner.picker.set_wanted(None, urgent)
    asked = list(dict.fromkeys(owner.pieces_of(seed, 3 * BLOCKS)))
    assert set(asked[:2]) == {7, 9}
    assert len(asked) == 3, "then the others"
