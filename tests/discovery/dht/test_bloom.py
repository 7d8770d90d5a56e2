from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.discovery.dht.bloom import FILTER_BYTES, BloomFilter

BEP_33_FILTER = bytes.fromhex(
    """
    F6C3F5EA A07FFD91 BDE89F77 7F26FB2B FF37BDB8 FB2BBAA2 FD3DDDE7 BACFFF75 EE7CCBAE
    FE5EEDB1 FBFAFF67 F6ABFF5E 43DDBCA3 FD9B9FFD F4FFD3E9 DFF12D1B DF59DB53 DBE9FA5B
    7FF3B8FD FCDE1AFB 8BEDD7BE 2F3EE71E BBBFE93B CDEEFE14 8246C2BC 5DBFF7E7 EFDCF24F
    D8DC7ADF FD8FFFDF DDFFF7A4 BBEEDF5C B95CE81F C7FCFF1F F4FFFFDF E5F7FDCB B7FD79B3
    FA1FC77B FE07FFF9 05B7B7FF C7FEFEFF E0B8370B B0CD3F5B 7F2BD93F EB4386CF DD6F7FD5
    BFAF2E9E BFFFFEEC D67ADBF7 C67F17EF D5D75EBA 6FFEBA7F FF47A91E B1BFBB53 E8ABFB57
    62ABE8FF 237279BF EFBFEEF5 FFC5FEBF DFE5ADFF ADFEE1FB 737FFFFB FD9F6AEF FEEE76B6
    FD8F72EF
    """
)


def _hosts() -> list[bytes]:
    v4 = [bytes([192, 0, 2, last]) for last in range(256)]
    first = int(ipaddress.ip_address("2001:db8::"))
    return v4 + [(first + n).to_bytes(16, "big") for n in range(0x3E8)]


def test_bep_33_vector() -> None:
    found = BloomFilter.of(_hosts())
    assert bytes(found) == BEP_33_FILTER
    assert found.estimate() == pytest.approx(1224.9308, abs=1e-4)
    assert all(host in found for host in _hosts())


def test_unions_are_exact() -> None:
    hosts = _hosts()
    union = BloomFilter.of(hosts[::2])
    union.unite(BloomFilter.of(hosts[1::2]))
    assert bytes(union) == BEP_33_FILTER


def test_empty_and_full() -> None:
    assert BloomFilter().estimate() == pytest.approx(1 / 2, abs=0.6)
    assert round(BloomFilter().estimate()) == 0
    assert 7000 < BloomFilter(b"\xff" * FILTER_BYTES).estimate() < 9000


@pytest.mark.parametrize("length", [0, 255, 257])
def test_other_lengths_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="256 bytes"):
        BloomFilter(bytes(length))


@given(st.sets(st.binary(min_size=4, max_size=4), max_size=300))
def test_what_was_added_is_in(hosts: set[bytes]) -> None:
    found = BloomFilter.of(hosts)
    assert all(host in found for host in hosts)
    assert abs(found.estimate() - len(hosts)) <= 5 + len(hosts) * 0.2
