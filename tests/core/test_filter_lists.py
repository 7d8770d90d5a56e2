"""Lists as they are published, and as nobody should publish them."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.filter_lists import P2B_MAGIC, ListReader, read_p2b
from engine.core.ip_filter import IpFilter
from engine.errors import InputError


def _read(text: str) -> tuple[IpFilter, int]:
    reader = ListReader()
    reader.feed(text)
    return reader.build(), reader.nonsense


@pytest.mark.parametrize(
    "line",
    [
        "001.002.003.000 - 001.002.003.255 , 000 , Some network",
        "1.2.3.0-1.2.3.255,127,x",
        "Some network:1.2.3.0-1.2.3.255",
        "A name: with colons, commas - and 9.9.9.9:1.2.3.0-1.2.3.255\r",
        "1.2.3.0/24",
        "1.2.3.9/24 ; SBL1234",
        "  1.2.3.0 - 1.2.3.255  # why",
        "name:1.2.3.0/24",
        "001.002.003.000/24",
        "::ffff:1.2.3.0/120",
    ],
)
def test_one_network_in_many_ways(line: str) -> None:
    built, nonsense = _read(f"# a comment\n{line}\n\n")
    assert not nonsense
    assert len(built) == 1
    assert all(host in built for host in ("1.2.3.0", "1.2.3.128", "1.2.3.255"))
    assert not any(host in built for host in ("1.2.2.255", "1.2.4.0", "9.9.9.9"))


@pytest.mark.parametrize(
    "line",
    [
        "2001:db8::/32",
        "2001:db8:: - 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        "A-B, Inc:2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        "2001:db8:: - 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff , 10 , name",
        "2001:DB8::1/32 # why",
    ],
)
def test_ipv6_in_many_ways(line: str) -> None:
    built, nonsense = _read(line)
    assert (nonsense, len(built)) == (0, 1)
    assert "2001:db8:1::1" in built
    assert "2001:db9::" not in built


def test_single_addresses() -> None:
    built, nonsense = _read("1.2.3.4\n010.000.000.001\n2001:db8::7\nhere:9.9.9.9")
    assert (nonsense, len(built)) == (0, 4)
    assert all(host in built for host in ("1.2.3.4", "10.0.0.1", "2001:db8::7", "9.9.9.9"))


def test_a_high_level_of_a_dat_list_is_allowed() -> None:
    text = "1.0.0.0 - 1.0.0.9 , 128 , fine\n::1 - ::2 , 200 , fine\n2.0.0.0 - 2.0.0.1 , 127 , not"
    built, nonsense = _read(text)
    assert (nonsense, len(built)) == (0, 1)
    assert "2.0.0.1" in built


@pytest.mark.parametrize(
    "line",
    [
        "<!DOCTYPE html>",
        "1.2.3.4-",
        "1.2.3.999-1.2.3.1000",
        "2.0.0.0-1.0.0.0",
        "1.0.0.0-::1",
        "1.2.3.0/33",
        "1.2.3.0/x",
        "name:",
        "1.2.3.256",
        "a" * 5000,
        "1.2.3.4-1.2.3.5" + " " * 3000 + "x",
        ":" * 50,
    ],
)
def test_nonsense_is_counted_and_costs_nothing_else(line: str) -> None:
    reader = ListReader()
    reader.feed(f"5.5.5.5\n{line}\n6.6.6.6\n")
    built = reader.build()
    assert reader.nonsense == 1
    assert line.strip().startswith(reader.first_nonsense)
    assert "5.5.5.5" in built
    assert "6.6.6.6" in built
    assert len(built) == 2


LINES = ["1.2.3.0-1.2.3.9", "junk", "# no", "::1/128", "9.0.0.0/8", "n:4.4.4.4-4.4.4.5", ""]


@given(st.lists(st.sampled_from(LINES)), st.lists(st.integers(0, 200)))
def test_where_the_text_is_cut_does_not_matter(lines: list[str], cuts: list[int]) -> None:
    text = "\r\n".join(lines)
    whole, nonsense = _read(text)
    reader = ListReader()
    at = 0
    for cut in sorted(cuts):
        reader.feed(text[at:cut])
        at = max(at, cut)
    reader.feed(text[at:])
    assert reader.build().to_bytes() == whole.to_bytes()
    assert reader.nonsense == nonsense


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    built, nonsense = _read(text)
    assert len(built) + nonsense <= len(text) + 1


def test_a_line_without_end_takes_no_memory() -> None:
    reader = ListReader()
    for _ in range(1000):
        reader.feed("1.2.3.4-" * 1000)
    assert len(reader._rest) <= 2000
    assert not len(reader.build())
    assert reader.nonsense == 1


NAMED = struct.pack(">II", 0x01020300, 0x010203FF)


@pytest.mark.parametrize(
    "body",
    [
        b"\x01some\0" + NAMED + b"\0" + struct.pack(">II", 5, 4),
        b"\x02n\xc3\xa4me\0" + NAMED,
        b"\x03" + struct.pack(">I", 2) + b"one\0two\0" + struct.pack(">II", 1, 1) + NAMED,
    ],
)
def test_p2b_in_its_versions(body: bytes) -> None:
    built = read_p2b(P2B_MAGIC + body)
    assert len(built) == 1
    assert "1.2.3.255" in built


@pytest.mark.parametrize(
    "body", [b"", b"\x04", b"\x01name", b"\x01n\0abc", b"\x03\0\0", b"\x03\0\0\0\1x"]
)
def test_a_torn_p2b_is_refused(body: bytes) -> None:
    with pytest.raises(InputError):
        read_p2b(P2B_MAGIC + body)


@given(st.binary())
def test_any_p2b_is_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(InputError):
        read_p2b(P2B_MAGIC + body)
