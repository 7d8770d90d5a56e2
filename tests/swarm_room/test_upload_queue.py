"""The queue of what a peer asked for, against a dict that says the same and is slower."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.upload_queue import UploadQueue

Request = tuple[int, int, int]

_requests = st.tuples(st.integers(0, 3), st.integers(0, 9), st.just(1))
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.lists(_requests, max_size=12)),
        st.tuples(st.just("serve"), st.integers(0, 6)),
        st.tuples(st.just("cancel"), _requests),
        st.tuples(st.just("keep"), st.integers(0, 3)),
    ),
    max_size=60,
)


@given(_steps)
def test_it_is_a_set_in_the_order_of_asking(steps: list[tuple[str, object]]) -> None:
    queue: UploadQueue[Request] = UploadQueue()
    asked: dict[Request, None] = {}
    unsorted: set[Request] = set()  # asked again after a cancel: may have the old place
    for verb, what in steps:
        if verb == "ask":
            assert isinstance(what, list)
            queue.add(what)
            asked |= dict.fromkeys(what)
        elif verb == "serve":
            assert isinstance(what, int)
            batch = queue.first(what)
            assert len(batch) == min(what, len(asked)) == len(set(batch))
            queue.served(batch)
            for request in batch:
                del asked[request]
        elif verb == "cancel":
            assert isinstance(what, tuple)
            assert queue.cancel(what) == (what in asked)
            asked.pop(what, None)
            unsorted.add(what)
        else:
            dropped = queue.keep(lambda request, index=what: request[0] == index)  # type: ignore[misc]
            assert set(dropped) == {request for request in asked if request[0] != what}
            asked = {request: None for request in asked if request[0] == what}
        assert len(queue) == len(asked)
        assert set(queue) == set(asked)
        assert all(request in queue for request in asked)
        assert not any(request in queue for request in unsorted if request not in asked)
        kept_order = [request for request in queue if request not in unsorted]
        assert kept_order == [request for request in asked if request not in unsorted]


def test_part_of_what_came_first_may_be_served() -> None:
    queue: UploadQueue[Request] = UploadQueue()
    queue.add([(0, number, 1) for number in range(5)])
    queue.served(queue.first(4)[:1])
    assert queue.first(2) == [(0, 1, 1), (0, 2, 1)]
    queue.cancel((0, 2, 1))
    queue.served(queue.first(9)[:2])
    assert list(queue) == [(0, 4, 1)]
    queue.clear()
    assert not queue


def test_what_is_asked_for_and_cancelled_again_leaves_nothing_behind() -> None:
    """Else a peer that does nothing else would fill our memory."""
    queue: UploadQueue[Request] = UploadQueue()
    queue.add([(9, 9, 1)])
    for number in range(5000):
        queue.add([(number, 0, 1)])
        queue.cancel((number, 0, 1))
        assert len(queue._order) < 200
        assert len(queue._cancelled) < 200
    assert list(queue) == [(9, 9, 1)]


def test_what_was_served_leaves_nothing_behind() -> None:
    queue: UploadQueue[Request] = UploadQueue()
    queue.add([(0, 0, 1)])
    for number in range(1, 5000):
        queue.add([(number, 0, 1)])
        queue.served(queue.first(1))
        assert len(queue._order) < 2100
    assert list(queue) == [(4999, 0, 1)]
