from __future__ import annotations

import ipaddress
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import ip_filter
from engine.core.ip_filter import IpFilter, RangeBuilder, parse_network
from engine.errors import InputError


def _built(ranges: list[tuple[int, int]], *, is_ipv6: bool) -> IpFilter:
    builder = RangeBuilder()
    for first, last in ranges:
        builder.add(first, last, is_ipv6=is_ipv6)
    return builder.build()


def _ranges(bits: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    """Ranges that like to meet each other and the ends of the space."""
    most = (1 << bits) - 1
    near = st.integers(0, 40).map(lambda n: most // 3 + n)
    edges = st.sampled_from([0, 1, most - 1, most])
    number = st.one_of(near, edges, st.integers(0, most))
    return st.lists(st.tuples(number, number).map(lambda pair: (min(pair), max(pair))), max_size=30)


@given(_ranges(32), st.data())
def test_ipv4_ranges_hold_what_was_put_in(ranges: list[tuple[int, int]], data: Any) -> None:
    built = _built(ranges, is_ipv6=False)
    edges = [n + d for pair in ranges for n in pair for d in (-1, 0, 1) if 0 <= n + d < 1 << 32]
    for value in [*edges, data.draw(st.integers(0, (1 << 32) - 1))]:
        host = str(ipaddress.IPv4Address(value))
        wanted = any(first <= value <= last for first, last in ranges)
        assert (host in built) is wanted
        assert (f"::ffff:{host}" in built) is wanted
    assert built.ipv6_ranges == 0


@given(_ranges(128), st.data())
def test_ipv6_ranges_hold_what_was_put_in(ranges: list[tuple[int, int]], data: Any) -> None:
    built = _built(ranges, is_ipv6=True)
    edges = [n + d for pair in ranges for n in pair for d in (-1, 0, 1) if 0 <= n + d < 1 << 128]
    for value in [*edges, data.draw(st.integers(0, (1 << 128) - 1))]:
        address = ipaddress.IPv6Address(value)
        if address.ipv4_mapped is None:
            assert (str(address) in built) is any(first <= value <= last for first, last in ranges)


@given(_ranges(32))
def test_ranges_are_merged(ranges: list[tuple[int, int]]) -> None:
    built = _built(ranges, is_ipv6=False)
    pairs = list(zip(built._ipv4_firsts, built._ipv4_lasts, strict=True))
    for (_, last), (first, _) in itertools.pairwise(pairs):
        assert last + 1 < first
    assert built.memory_bytes <= 8 * len(ranges)


@given(_ranges(32), _ranges(128))
def test_what_is_kept_comes_back(four: list[tuple[int, int]], six: list[tuple[int, int]]) -> None:
    builder = RangeBuilder()
    for ranges, is_ipv6 in ((four, False), (six, True)):
        for first, last in ranges:
            builder.add(first, last, is_ipv6=is_ipv6)
    built = builder.build()
    kept = built.to_bytes()
    again = IpFilter.from_bytes(kept)
    assert again.to_bytes() == kept
    assert len(again) == len(built)


@given(st.data())
def test_what_is_damaged_does_not_come_back(data: Any) -> None:
    kept = IpFilter.of(["10.0.0.0/8", "12.0.0.0/8", "2001:db8::/32"]).to_bytes()
    at = data.draw(st.integers(0, len(kept) - 1))
    broken = data.draw(
        st.sampled_from(
            [kept[:at], kept + b"\0", kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :]]
        )
    )
    with pytest.raises(InputError):
        IpFilter.from_bytes(broken)


def test_networks_are_read_with_and_without_prefix() -> None:
    built = IpFilter.of(["192.168.7.9/16", "fe80::/10", "127.0.0.1", "::ffff:9.0.0.0/104"])
    inside = ("192.168.255.255", "fe80::1%eth0", "127.0.0.1", "9.255.0.1")
    assert all(host in built for host in inside)
    assert not any(host in built for host in ("192.169.0.0", "fec0::", "127.0.0.2", "10.0.0.0"))


@pytest.mark.parametrize("text", ["", "somewhere", "10.0.0.0/33", "1.2.3", "10.0.0.0-10.0.0.9"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_network(text)


def test_ranges_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ip_filter, "MAX_RANGES", 2)
    builder = RangeBuilder()
    builder.add(1, 2)
    builder.add_packed(bytes(4), bytes(4))
    with pytest.raises(InputError, match="more than 2"):
        builder.add(5, 6, is_ipv6=True)
    with pytest.raises(InputError, match="more than 2"):
        builder.add_packed(bytes(4), bytes(4))
