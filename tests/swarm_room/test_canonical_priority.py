from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint, endpoint
from engine.core.crc32c import crc32c
from engine.swarm.canonical_priority import canonical_priority


@pytest.mark.parametrize(
    ("a", "b", "hashed"),
    [
        # The two examples of BEP 40, then one for each mask.
        (("123.213.32.10", 1), ("98.76.54.32", 2), "624C14007BD50000"),
        (("123.213.32.10", 1), ("123.213.32.234", 2), "7BD5200A7BD520EA"),
        (("10.20.30.255", 1), ("10.20.40.255", 2), "0A141E550A142855"),
        (("10.0.0.1", 6881), ("10.0.0.1", 6880), "1AE01AE1"),
        (
            ("2001:db8:1:ffff:ffff::1", 1),
            ("2001:db8:2:ffff:ffff::3", 2),
            "20010db8000155555555000000000001" + "20010db8000255555555000000000001",
        ),
        (
            ("2001:db8:1:ffff::ff", 1),
            ("2001:db8:1:00ff::ff", 2),
            "20010db8000100550000000000000055" + "20010db80001ff550000000000000055",
        ),
        (
            ("2001:db8:1:ff01:ffff::", 1),
            ("2001:db8:1:ff02:ffff::", 2),
            "20010db80001ff015555000000000000" + "20010db80001ff025555000000000000",
        ),
    ],
)
def test_what_is_hashed(a: tuple[str, int], b: tuple[str, int], hashed: str) -> None:
    assert canonical_priority(endpoint(*a), endpoint(*b)) == crc32c(bytes.fromhex(hashed))


def test_the_values_of_bep_40() -> None:
    ours = Endpoint("123.213.32.10", 1)
    assert canonical_priority(ours, Endpoint("98.76.54.32", 1)) == 0xEC2D7224
    assert canonical_priority(ours, Endpoint("123.213.32.234", 1)) == 0x99568189


addresses = st.builds(
    endpoint, st.one_of(st.ip_addresses(v=4).map(str)), st.integers(1, 65535)
) | st.builds(endpoint, st.ip_addresses(v=6).map(str), st.integers(1, 65535))


@given(addresses, addresses)
def test_both_ends_agree(a: Endpoint, b: Endpoint) -> None:
    if a.is_ipv6 == b.is_ipv6:
        assert canonical_priority(a, b) == canonical_priority(b, a)
    else:
        with pytest.raises(ValueError, match="families"):
            canonical_priority(a, b)
