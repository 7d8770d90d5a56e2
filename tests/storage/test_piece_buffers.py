from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.storage.piece_buffers import MOST, PieceBuffers


def test_the_pool_is_bounded() -> None:
    pool = PieceBuffers(limit_bytes=4096)
    assert [pool.reserve(1024) for _ in range(5)] == [True] * 4 + [False]
    pool.release(1024, None)
    assert pool.reserve(1024)


def test_the_memory_that_came_back_last_is_lent_first() -> None:
    """It is in the CPU's caches; and a promise alone takes no memory."""
    pool = PieceBuffers(limit_bytes=4096)
    for _ in range(4):
        pool.reserve(1024)
    first, second = pool.lend(1024), pool.lend(1024)
    assert (len(first), len(second)) == (1024, 1024)
    pool.release(1024, first)
    pool.release(1024, second)
    assert pool.lend(1024) is second
    assert pool.lend(1024) is first


def test_of_tiny_buffers_there_are_not_more_than_so_many() -> None:
    pool = PieceBuffers(limit_bytes=1 << 20)
    assert sum(pool.reserve(16) for _ in range(MOST + 1)) == MOST
    assert pool.reserve(16, at_least=1)


def test_two_buffers_of_any_size_are_always_granted() -> None:
    pool = PieceBuffers(limit_bytes=100)
    assert [pool.reserve(1000) for _ in range(3)] == [True, True, False]
    assert pool.reserve(1000, at_least=1)


def test_while_pieces_wait_for_the_disk_less_is_promised() -> None:
    mib = 1 << 20
    pool = PieceBuffers(limit_bytes=20 * mib)
    assert promised(pool) == 6
    for _ in range(4):
        pool.handed_over(1, mib)
    for _ in range(4):
        pool.taken(1, mib)
    assert promised(pool) == 10
    pool.handed_over(20, mib)
    for _ in range(20):
        pool.taken(1, mib)
    assert promised(pool) == 10, "as it fell to 6, and rose by the last 4, of which none waited"
    for _ in range(20):
        pool.handed_over(1, mib)
        pool.taken(1, mib)
    assert promised(pool) == 20


def test_of_large_pieces_five_are_promised_however_slow_the_disk_is() -> None:
    """With two, one for each of its threads, peers would have nothing to send."""
    size = 4 << 20
    pool = PieceBuffers(limit_bytes=6 * size)
    assert promised(pool, size) == 5
    pool.handed_over(2, size)
    pool.taken(1, size)
    pool.taken(1, size)
    assert promised(pool, size) == 6, "one in each thread is no sign of a slow disk"
    pool.handed_over(9, size)
    for _ in range(7):
        pool.taken(1, size)
    assert promised(pool, size) == 5


def test_small_pieces_get_room_beside_large_ones() -> None:
    size = 2 << 20
    pool = PieceBuffers(limit_bytes=10 * size)
    for _ in range(4):
        assert pool.reserve(size)
    assert promised(pool, 1 << 20) == 2, "what large ones leave of what was opened for them"


def promised(pool: PieceBuffers, size: int = 1 << 20) -> int:
    """How many pieces it has room for; it is left as it was."""
    count = 0
    while pool.reserve(size):
        count += 1
    for _ in range(count):
        pool.release(size, None)
    return count


@given(
    st.integers(0, 5000),
    st.lists(
        st.tuples(
            st.sampled_from(["reserve", "lend", "release"]), st.sampled_from([16, 100, 1000, 4096])
        ),
        max_size=80,
    ),
)
def test_memory_stays_within_the_limit_and_two_buffers(
    limit: int, steps: list[tuple[str, int]]
) -> None:
    pool = PieceBuffers(limit)
    held: list[tuple[int, memoryview | None]] = []
    for step, size in steps:
        if step == "reserve" and pool.reserve(size):
            held.append((size, None))
        elif step == "lend" and (size, None) in held:
            buffer = pool.lend(size)
            assert len(buffer) == size
            assert all(buffer is not other for _, other in held)
            held[held.index((size, None))] = size, buffer
        elif step == "release" and held:
            pool.release(*held.pop(0))
        assert pool.in_use_bytes == sum(size for size, _ in held)
        assert pool.count == len(held)
        assert pool.in_use_bytes <= limit or pool.count <= 2
        assert pool.memory_bytes >= sum(size for size, buffer in held if buffer is not None)
        assert pool.memory_bytes <= max(limit, sum(size for size, _ in held))
