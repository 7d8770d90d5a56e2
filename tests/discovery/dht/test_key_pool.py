from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.discovery.dht.key_pool import KeyPool


@given(st.lists(st.binary(max_size=1)), st.integers(0, 300))
def test_it_is_a_set(keys: list[bytes], count: int) -> None:
    pool = KeyPool(Random(1))
    model: set[bytes] = set()
    for key in keys:
        if key in model:
            pool.remove(key)
        else:
            pool.add(key)
        model ^= {key}
        assert len(pool) == len(model)
    assert set(pool) == model
    some = pool.some(count)
    assert len(some) == len(set(some)) == min(count, len(model))
    assert set(some) <= model
