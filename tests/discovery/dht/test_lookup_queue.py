from __future__ import annotations

from engine.discovery.dht.lookup import Lookup
from engine.discovery.dht.lookup_queue import MAX_RUNNING, MAX_WAITING, LookupQueue, Running
from engine.discovery.dht.node_id import NodeId
from engine.discovery.dht.purpose import FindNodes

ID = NodeId(bytes(20))
PURPOSE = FindNodes(bytes(20))


def _running(number: int) -> Running:
    return Running(number, Lookup(PURPOSE, ID, 0.0), None, is_join=False)


def test_places_are_given_in_order() -> None:
    queue = LookupQueue()
    running = [_running(number) for number in range(1, MAX_RUNNING + 1)]
    for each in running:
        assert queue.has_place
        queue.run(each)
    assert not queue.has_place
    assert queue.wait(100, PURPOSE)
    assert queue.wait(101, PURPOSE)
    assert queue.next_waiting() is None
    queue.end(running[3])
    assert running[3] not in queue
    assert queue.next_waiting() == (100, PURPOSE)
    assert queue.waiting_count == 1


def test_whatever_its_state_a_lookup_can_be_cancelled() -> None:
    queue = LookupQueue()
    running = [_running(1), _running(2)]
    for each in running:
        queue.run(each)
    queue.wait(3, PURPOSE)
    queue.wait(4, PURPOSE)
    queue.cancel(1)
    queue.cancel(3)
    queue.cancel(99)
    assert list(queue) == [running[1]]
    assert queue.next_waiting() == (4, PURPOSE)
    assert queue.next_waiting() is None


def test_the_queue_has_an_end() -> None:
    queue = LookupQueue()
    assert all(queue.wait(number, PURPOSE) for number in range(MAX_WAITING))
    assert not queue.wait(MAX_WAITING, PURPOSE)


def test_the_next_moment_is_that_of_the_first() -> None:
    queue = LookupQueue()
    assert queue.next_at() == float("inf")
    queue.run(Running(1, Lookup(PURPOSE, ID, 50.0), None, is_join=False))
    queue.run(Running(2, Lookup(PURPOSE, ID, 20.0), None, is_join=False))
    assert queue.next_at() == Lookup(PURPOSE, ID, 20.0).next_at()
