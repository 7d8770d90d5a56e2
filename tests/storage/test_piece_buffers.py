from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.storage.piece_buffers import MOST, PieceBuffers


def test_the_pool_is_bounded_and_reuses() -> None:
    pool = PieceBuffers(limit_bytes=4096)
    taken = [pool.acquire(1024) for _ in range(4)]
    assert all(buffer is not None and len(buffer) == 1024 for buffer in taken)
    assert pool.acquire(1024) is None
    first = taken[0]
    assert first is not None
    pool.release(first)
    assert pool.acquire(1024) is first


def test_of_tiny_buffers_there_are_not_more_than_so_many() -> None:
    pool = PieceBuffers(limit_bytes=1 << 20)
    taken = [buffer for _ in range(MOST) if (buffer := pool.acquire(16)) is not None]
    assert len(taken) == MOST
    assert pool.acquire(16) is None
    assert pool.acquire(16, at_least=1) is not None


def test_two_buffers_of_any_size_are_always_granted() -> None:
    pool = PieceBuffers(limit_bytes=100)
    assert pool.acquire(1000) is not None
    assert pool.acquire(1000) is not None
    assert pool.acquire(1000) is None
    assert pool.acquire(1000, at_least=1) is not None


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
