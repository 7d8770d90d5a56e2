from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.wire.fast_extension import allowed_fast_set

HASH = b"\xaa" * 20
VECTOR = [1059, 431, 808, 1217, 287, 376, 1188, 353, 508]
"""From BEP 6."""

addresses = st.ip_addresses(v=4).map(str)
hashes = st.binary(min_size=20, max_size=20)


def test_the_vectors_of_the_specification() -> None:
    assert allowed_fast_set("80.4.4.200", HASH, 1313, 7) == VECTOR[:7]
    assert allowed_fast_set("80.4.4.200", HASH, 1313, 9) == VECTOR


def test_one_network_has_one_set() -> None:
    assert allowed_fast_set("80.4.4.7", HASH, 1313) == allowed_fast_set("80.4.4.200", HASH, 1313)
    assert allowed_fast_set("80.4.5.200", HASH, 1313) != allowed_fast_set("80.4.4.200", HASH, 1313)


@given(addresses, hashes, st.integers(0, 300), st.integers(0, 30))
def test_as_many_distinct_pieces_as_asked_for_or_as_there_are(
    ip: str, info_hash: bytes, piece_count: int, k: int
) -> None:
    allowed = allowed_fast_set(ip, info_hash, piece_count, k)
    assert len(set(allowed)) == len(allowed) == min(k, piece_count)
    assert all(0 <= index < piece_count for index in allowed)


@given(addresses, hashes, st.integers(32, 5000), st.integers(0, 30))
def test_a_larger_set_begins_with_the_smaller_one(
    ip: str, info_hash: bytes, piece_count: int, k: int
) -> None:
    larger = allowed_fast_set(ip, info_hash, piece_count, k + 1)
    assert larger[:k] == allowed_fast_set(ip, info_hash, piece_count, k)


def test_ipv6_has_none_and_a_name_is_refused() -> None:
    assert allowed_fast_set("2001:db8::1", HASH, 1313) == []
    with pytest.raises(InputError):
        allowed_fast_set("localhost", HASH, 1313)
