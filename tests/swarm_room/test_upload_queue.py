"""The queue of what a peer asked for, against a dict that says the same and is slower."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH, Geometry, Span
from engine.swarm.upload_queue import _PAGE, Run, UploadQueue

PIECE = 4 * BLOCK_LENGTH
EVEN = Geometry(3 * _PAGE * BLOCK_LENGTH + 5, PIECE)
EDGE = _PAGE // 4
"""The piece that begins with the first block of the second page."""

_pieces = st.integers(EDGE - 1, EDGE + 1)
_requests = st.one_of(
    st.tuples(_pieces, st.integers(0, 3).map(BLOCK_LENGTH.__mul__), st.just(BLOCK_LENGTH)),
    st.tuples(_pieces, st.integers(0, 3), st.sampled_from([1, BLOCK_LENGTH])),
)
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), _requests),
        st.tuples(st.just("ask run"), st.tuples(_pieces, st.integers(0, 3), st.integers(1, 9))),
        st.tuples(st.just("serve"), st.integers(1, 6)),
        st.tuples(st.just("serve some"), st.integers(1, 9)),
        st.tuples(st.just("cancel"), _requests),
        st.tuples(st.just("keep"), _pieces),
    ),
    max_size=60,
)


def served(queue: UploadQueue, count: int, geometry: Geometry = EVEN) -> list[Span]:
    """Take a batch out, and tell its requests one by one."""
    return singly(queue.take(count), geometry)


def singly(batch: Sequence[Run | Span], geometry: Geometry) -> list[Span]:
    requests: list[Span] = []
    for entry in batch:
        if len(entry) == 3:
            requests.append(entry)
            continue
        for number in range(*entry):
            place = divmod(number * BLOCK_LENGTH, geometry.piece_length)
            requests.append((*place, BLOCK_LENGTH))
    return requests


@given(_steps, st.sampled_from([EVEN, Geometry(EVEN.total_length, PIECE + 1)]))
def test_it_is_a_set_in_the_order_of_asking(
    steps: list[tuple[str, object]], geometry: Geometry
) -> None:
    queue = UploadQueue(geometry)
    asked: dict[Span, None] = {}
    unsorted: set[Span] = set()  # asked again after a cancel: may have the old place
    for verb, what in steps:
        if verb == "ask":
            assert isinstance(what, tuple)
            queue.add(*what)
            asked[what] = None
        elif verb == "ask run" and geometry.is_even:
            assert isinstance(what, tuple)
            index, block, count = what
            queue.add_run(index, block * BLOCK_LENGTH, count)
            for number in range(index * 4 + block, index * 4 + block + count):
                asked.setdefault((number // 4, number % 4 * BLOCK_LENGTH, BLOCK_LENGTH))
        elif verb == "serve" and asked:
            assert isinstance(what, int)
            batch = served(queue, what, geometry)
            assert 0 < len(batch) <= what
            assert len(set(batch)) == len(batch)
            if not unsorted:
                assert batch == list(asked)[: len(batch)]
            for request in batch:
                del asked[request]
        elif verb == "serve some" and asked:
            assert isinstance(what, int)
            taken = queue.take(what)
            queue.put_back(taken[len(taken) // 2 :])
            for request in singly(taken[: len(taken) // 2], geometry):
                del asked[request]
        elif verb == "cancel":
            assert isinstance(what, tuple)
            assert queue.cancel(what) == (what in asked)
            asked.pop(what, None)
            unsorted.add(what)
        elif verb == "keep":
            dropped = queue.keep(lambda request, index=what: request[0] == index)  # type: ignore[misc]
            assert set(dropped) == {request for request in asked if request[0] != what}
            asked = {request: None for request in asked if request[0] == what}
        assert len(queue) == len(asked)
        assert len(list(queue)) == len(asked)
        assert set(queue) == set(asked)
        assert all(request in queue for request in asked)
        assert not any(request in queue for request in unsorted if request not in asked)
        kept_order = [request for request in queue if request not in unsorted]
        assert kept_order == [request for request in asked if request not in unsorted]


def test_blocks_that_follow_each_other_are_one_run_through_the_ends_of_pieces() -> None:
    queue = UploadQueue(EVEN)
    queue.add_run(0, 2 * BLOCK_LENGTH, 2)
    queue.add_run(1, 0, 5)
    queue.add(2, BLOCK_LENGTH, BLOCK_LENGTH)
    queue.add(9, 0, BLOCK_LENGTH)
    assert queue.take(6) == [(2, 8)]
    assert queue.take(6) == [(8, 10), (36, 37)]
    assert not queue


def test_an_odd_request_is_served_in_its_turn_and_counts_by_its_size() -> None:
    queue = UploadQueue(EVEN)
    queue.add_run(0, 0, 2)
    queue.add(5, 1, 7)
    queue.add_run(1, 0, 1)
    queue.add(6, 0, 3 * BLOCK_LENGTH)
    queue.add(7, 1, 1)
    assert queue.take(6) == [(0, 2), (5, 1, 7), (4, 5)]
    assert queue.take(1) == [(6, 0, 3 * BLOCK_LENGTH)]
    assert queue.take(1) == [(7, 1, 1)]


def test_many_cancels_cost_a_sweep_now_and_then() -> None:
    queue = UploadQueue(EVEN)
    for number in range(1000):
        queue.add(number, 0, BLOCK_LENGTH)
    sweeps = 0
    for number in range(1000):
        length = len(queue._order)
        queue.cancel((number, 0, BLOCK_LENGTH))
        sweeps += len(queue._order) < length
    assert sweeps < 10


@pytest.mark.parametrize("length", [BLOCK_LENGTH, 1])
def test_what_is_asked_for_and_cancelled_again_leaves_nothing_behind(length: int) -> None:
    """Else a peer that does nothing else would fill our memory."""
    queue = UploadQueue(EVEN)
    queue.add(9, 9, 1)
    for _ in range(2):
        for number in range(2500):
            queue.add(number, 0, length)
            assert queue.cancel((number, 0, length))
            assert len(queue._order) < 200
            assert len(queue._waiting) + len(queue._odd) < 200
    assert list(queue) == [(9, 9, 1)]


def test_what_was_served_leaves_nothing_behind() -> None:
    queue = UploadQueue(EVEN)
    queue.add(0, 0, BLOCK_LENGTH)
    for number in range(1, 2500):
        queue.add(number, 0, BLOCK_LENGTH)
        assert len(served(queue, 1)) == 1
        assert len(queue._order) + len(queue._waiting) < 10
    assert list(queue) == [(2499, 0, BLOCK_LENGTH)]
