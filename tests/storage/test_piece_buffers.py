from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.storage.piece_buffers import PieceBuffers


def test_the_pool_is_bounded_and_reuses() -> None:
    pool = PieceBuffers(limit_bytes=4096)
    taken = [pool.acquire(1024) for _ in range(4)]
    assert all(buffer is not None and len(buffer) == 1024 for buffer in taken)
    assert pool.acquire(1024) is None
    assert pool.is_above_high
    first = taken[0]
    assert first is not None
    pool.release(first)
    assert pool.acquire(1024) is first


def test_two_buffers_of_any_size_are_always_granted() -> None:
    pool = PieceBuffers(limit_bytes=100)
    assert pool.acquire(1000) is not None
    assert pool.acquire(1000) is not None
    assert pool.acquire(1000) is None
    assert pool.acquire(1000, at_least=1) is not None


def test_those_who_wait_are_called_once_below_the_low_mark() -> None:
    pool = PieceBuffers(limit_bytes=4000)
    taken = [pool.acquire(1000) for _ in range(4)]
    calls: list[int] = []
    pool.when_low(lambda: calls.append(pool.in_use_bytes))
    for buffer in taken:
        assert buffer is not None
        pool.release(buffer)
    assert calls == [3000]


@given(
    st.integers(0, 5000),
    st.lists(st.tuples(st.booleans(), st.sampled_from([16, 100, 1000, 4096])), max_size=60),
)
def test_memory_stays_within_the_limit_and_two_buffers(
    limit: int, steps: list[tuple[bool, int]]
) -> None:
    pool = PieceBuffers(limit)
    held: list[bytearray] = []
    for takes, size in steps:
        if takes:
            buffer = pool.acquire(size)
            if buffer is not None:
                assert len(buffer) == size
                assert all(buffer is not other for other in held)
                held.append(buffer)
        elif held:
            pool.release(held.pop(0))
        assert pool.in_use_bytes == sum(map(len, held))
        assert pool.count == len(held)
        assert pool.in_use_bytes <= limit or pool.count <= 2
