from __future__ import annotations

from engine.core.compact import Endpoint
from engine.discovery.dht.flood_guard import (
    ALL_QUERIES_PER_S,
    BURST,
    MAX_SOURCES,
    QUERIES_PER_S,
    FloodGuard,
)

ONE = Endpoint("20.0.0.1", 6881)


def test_a_network_may_burst_then_gets_its_rate() -> None:
    guard = FloodGuard(0.0)
    assert sum(guard.may_read(ONE, 0.0) for _ in range(500)) == BURST
    neighbour = Endpoint("20.0.0.200", 1)
    assert not guard.may_read(neighbour, 0.0)
    assert guard.may_read(Endpoint("20.0.1.1", 1), 0.0)
    assert sum(guard.may_read(neighbour, 1.0) for _ in range(500)) == QUERIES_PER_S
    assert sum(guard.may_read(ONE, 1000.0) for _ in range(500)) == BURST


def test_local_nodes_are_counted_one_by_one() -> None:
    guard = FloodGuard(0.0)
    for port in (1, 2, 3):
        source = Endpoint("127.0.0.1", port)
        assert sum(guard.may_read(source, 0.0) for _ in range(500)) == BURST


def test_spoofed_sources_are_bounded_in_memory_and_altogether() -> None:
    guard = FloodGuard(0.0)
    read = sum(
        guard.may_read(Endpoint(f"20.{n >> 8}.{n & 255}.1", 1), 0.0) for n in range(3 * MAX_SOURCES)
    )
    assert read == 2 * ALL_QUERIES_PER_S
    assert len(guard) == MAX_SOURCES


def test_a_clock_that_stands_or_steps_back_gives_nothing() -> None:
    guard = FloodGuard(10.0)
    for _ in range(500):
        guard.may_read(ONE, 10.0)
    assert not guard.may_read(ONE, 5.0)
    assert not guard.may_read(ONE, 10.0)


def test_answers_have_a_budget() -> None:
    guard = FloodGuard(0.0, reply_bytes_per_s=1000)
    assert sum(guard.may_answer(400, 0.0) for _ in range(100)) == 10
    assert not guard.may_answer(400, 0.1)
    assert guard.may_answer(400, 0.5)
    assert FloodGuard(0.0, reply_bytes_per_s=0).may_answer(10**9, 0.0)
