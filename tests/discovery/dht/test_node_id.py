from __future__ import annotations

import ipaddress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.discovery.dht.node_id import (
    NodeId,
    common_prefix,
    distance,
    id_for_address,
    is_bound_to,
    random_id,
)
from engine.errors import InputError

VECTORS = [
    ("124.31.75.21", 1, "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"),
    ("21.75.31.124", 86, "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"),
    ("65.23.51.170", 22, "a5d43220bc8f112a3d426c84764f8c2a1150e616"),
    ("84.124.73.14", 65, "1b0321dd1bb1fe518101ceef99462b947a01ff41"),
    ("43.213.53.83", 90, "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"),
]
"""Of BEP 42."""


@pytest.mark.parametrize(("host", "last", "node_id"), VECTORS)
def test_bep_42_vectors(host: str, last: int, node_id: str) -> None:
    packed = ipaddress.ip_address(host).packed
    expected = bytes.fromhex(node_id)
    assert is_bound_to(expected, packed)
    made = id_for_address(packed, Random(1), last=last)
    assert made[:2] == expected[:2]
    assert made[2] & 0xF8 == expected[2] & 0xF8
    assert made[19] == expected[19]


@pytest.mark.parametrize(("host", "last", "node_id"), VECTORS)
@pytest.mark.parametrize("bit", range(21))
def test_each_of_the_21_bits_counts(host: str, last: int, node_id: str, bit: int) -> None:
    del last
    wrong = int(node_id, 16) ^ 1 << 159 - bit
    assert not is_bound_to(wrong.to_bytes(20, "big"), ipaddress.ip_address(host).packed)


@given(st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16), st.integers())
def test_ids_are_bound_to_their_address(host: bytes, seed: int) -> None:
    node_id = id_for_address(host, Random(seed))
    assert is_bound_to(node_id, host)
    # Only the network half of an IPv6 address counts.
    if len(host) == 16:
        assert is_bound_to(node_id, host[:8] + bytes(8))


def test_ids_of_one_address_are_spread() -> None:
    rng = Random(1)
    assert len({id_for_address(b"\x01\x02\x03\x04", rng)[:3] for _ in range(200)}) > 8


@pytest.mark.parametrize("length", [0, 19, 21])
def test_other_lengths_are_no_ids(length: int) -> None:
    with pytest.raises(InputError):
        NodeId(bytes(length))


@given(*[st.binary(min_size=20, max_size=20)] * 3)
def test_distance_is_a_metric(a: bytes, b: bytes, c: bytes) -> None:
    assert distance(a, a) == 0
    assert distance(a, b) == distance(b, a)
    assert distance(a, c) <= distance(a, b) + distance(b, c)


def test_common_prefixes() -> None:
    one = random_id(Random(1))
    assert common_prefix(one, one) == 160
    for bit in (0, 1, 7, 8, 100, 159):
        other = (int.from_bytes(one, "big") ^ 1 << 159 - bit).to_bytes(20, "big")
        assert common_prefix(one, other) == bit
