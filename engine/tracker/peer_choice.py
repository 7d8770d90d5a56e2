"""Drawing peers for a reply: some of several pools, each equally likely (BEP 3).

Pure: chance is an argument. A draw takes time in what is drawn, not in the pools: a pool is a list
in no order, in which every member knows its position.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from random import Random


class Member(Protocol):
    """What a pool asks of those in it."""

    position: int


T = TypeVar("T", bound=Member)


def choose(
    rng: Random, pools: Sequence[list[T]], count: int, asker: T, home: list[T] | None
) -> list[T]:
    """Draw `count` of all members but the asker, whose pool is `home`, if one of these."""
    if count <= 0:
        return []
    sizes = [len(pool) for pool in pools]
    if home is not None:
        # Last in its pool, the asker is left out by making the pool one shorter.
        _move_last(home, asker)
        sizes = [len(pool) - (pool is home) for pool in pools]
    sources = [(pool, size) for pool, size in zip(pools, sizes, strict=True) if size]
    total = sum(sizes)
    if total <= count:
        return [member for pool, size in sources for member in pool[:size]]
    return _pick(sources, draw(rng, total, count))


def draw(rng: Random, total: int, count: int) -> Collection[int]:
    """Draw `count` of range(total); the smaller side is drawn, so few draws are repeats."""
    fewer = min(count, total - count)
    drawn: set[int] = set()
    while (lacking := fewer - len(drawn)) > 0:
        # All at once: asking the generator for each would be most of an announce's time.
        words = memoryview(rng.randbytes(4 * lacking)).cast("I")
        drawn.update([word * total >> 32 for word in words])
    return drawn if fewer == count else [at for at in range(total) if at not in drawn]


def _move_last(pool: list[T], member: T) -> None:
    last = pool[-1]
    pool[member.position], pool[-1] = last, member
    last.position, member.position = member.position, len(pool) - 1


def _pick(sources: list[tuple[list[T], int]], drawn: Collection[int]) -> list[T]:
    """Take the drawn positions of the pools laid end to end, each in its given size."""
    if len(sources) == 1:
        pool = sources[0][0]
        return [pool[at] for at in drawn]
    if len(sources) == 2:
        (first, size), (second, _) = sources
        return [first[at] if at < size else second[at - size] for at in drawn]
    chosen = []
    for at in drawn:
        for pool, size in sources:
            if at < size:
                chosen.append(pool[at])
                break
            at -= size  # noqa: PLW2901
    return chosen
