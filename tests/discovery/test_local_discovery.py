"""Local service discovery: datagrams there and back, what is no datagram, what is said when."""

from __future__ import annotations

import itertools
import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.discovery.local_discovery import (
    ANSWER_S,
    INTERVAL_S,
    IPV4_GROUP,
    IPV6_GROUP,
    MAX_DATAGRAM_BYTES,
    MAX_HASHES,
    LocalAnnounce,
    LocalDiscovery,
    decode,
    encode,
)
from engine.errors import ProtocolError

HASHES = st.lists(st.binary(min_size=20, max_size=20), min_size=1, max_size=MAX_HASHES, unique=True)
COOKIES = st.text("0123456789abcdef", max_size=8)
ONE, TWO = bytes(range(20)), bytes(20)
HEAD = b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\n"


def number(of: int) -> bytes:
    return of.to_bytes(20, "big")


def discovery(seed: int = 1) -> LocalDiscovery:
    return LocalDiscovery(Random(seed), 0.0)


# ── datagrams ───────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 65535), HASHES, COOKIES, st.sampled_from([IPV4_GROUP, IPV6_GROUP]))
def test_there_and_back(port: int, hashes: list[bytes], cookie: str, group: object) -> None:
    announce = LocalAnnounce(port, tuple(hashes), cookie)
    datagram = encode(announce, group)  # type: ignore[arg-type]
    assert decode(datagram) == announce
    assert len(datagram) <= MAX_DATAGRAM_BYTES


def test_the_bytes_of_the_bep() -> None:
    assert encode(LocalAnnounce(6881, (ONE,), "name=value"), IPV4_GROUP) == (
        b"BT-SEARCH * HTTP/1.1\r\n"
        b"Host: 239.192.152.143:6771\r\n"
        b"Port: 6881\r\n"
        b"Infohash: 000102030405060708090a0b0c0d0e0f10111213\r\n"
        b"cookie: name=value\r\n"
        b"\r\n\r\n"
    )
    assert b"\r\nHost: [ff15::efc0:988f]:6771\r\n" in encode(LocalAnnounce(1, (ONE,)), IPV6_GROUP)


def test_a_datagram_is_as_full_as_it_may_be() -> None:
    full = LocalAnnounce(65535, tuple(map(number, range(MAX_HASHES))), "12345678")
    assert len(encode(full, IPV6_GROUP)) <= MAX_DATAGRAM_BYTES
    assert len(encode(full, IPV6_GROUP)) + 52 > MAX_DATAGRAM_BYTES


def test_headers_in_any_order_and_spelling_and_those_of_others() -> None:
    lines = b"infohash:" + ONE.hex().upper().encode() + b"\r\nX-New: 1\r\nPORT:  77 \r\n\r\n"
    assert decode(HEAD + lines) == LocalAnnounce(77, (ONE,))


@pytest.mark.parametrize(
    "bad", [b"0" * 39, b"0" * 41, b"z" * 40, b"", b" " * 60, b"00 " * 13 + b"0"]
)
def test_a_bad_info_hash_does_not_spoil_the_others(bad: bytes) -> None:
    lines = b"Port: 7\r\nInfohash: " + bad + b"\r\nInfohash: " + ONE.hex().encode() + b"\r\n\r\n"
    assert decode(HEAD + lines).info_hashes == (ONE,)


HASH_LINE = b"Infohash: " + ONE.hex().encode() + b"\r\n"


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\r\n\r\n",
        b"M-SEARCH * HTTP/1.1\r\nPort: 7\r\n" + HASH_LINE,
        HEAD + HASH_LINE,
        HEAD + b"Port: 7\r\n",
        HEAD + b"Port: 0\r\n" + HASH_LINE,
        HEAD + b"Port: 65536\r\n" + HASH_LINE,
        HEAD + b"Port: -7\r\n" + HASH_LINE,
        HEAD + b"Port: " + b"7" * 500 + b"\r\n" + HASH_LINE,
        HEAD + "Port: ٧\r\n".encode() + HASH_LINE,
        HEAD + b"Port: 7\r\n" + b"X: y\r\n" * 100 + HASH_LINE,
        HEAD + b"Port: 7\r\n" + HASH_LINE * 40,
        bytes(2000),
    ],
)
def test_what_is_no_datagram(datagram: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(datagram)


@given(st.binary(max_size=300), st.booleans())
def test_anything_is_read_or_refused(data: bytes, has_head: bool) -> None:
    try:
        announce = decode(HEAD + b"Port: 7\r\n" + HASH_LINE + data if has_head else data)
    except ProtocolError:
        return
    assert all(len(each) == 20 for each in announce.info_hashes)


# ── what is said when ───────────────────────────────────────────────────────────────────────────


def run(ours: LocalDiscovery, until: float) -> list[tuple[float, int]]:
    """When datagrams leave, and how many torrents are in each."""
    said = []
    while (at := max(ours.next_at, 0.0)) <= until:
        announce = ours.batch(at, 7)
        assert announce is not None
        said.append((at, len(announce.info_hashes)))
    return said


def test_nothing_is_said_of_nothing() -> None:
    ours = discovery()
    assert ours.next_at == math.inf
    assert ours.batch(1e9, 7) is None


def test_a_torrent_is_announced_at_once_then_every_five_minutes() -> None:
    ours = discovery()
    ours.want(ONE)
    ours.want(ONE)
    assert run(ours, 900.0) == [(0.0, 1), (INTERVAL_S, 1), (600.0, 1), (900.0, 1)]
    ours.forget(ONE)
    assert ours.next_at == math.inf
    assert ONE not in ours


def test_thousands_are_spread_and_none_is_forgotten() -> None:
    ours = discovery()
    for each in range(10_000):
        ours.want(number(each))
    seen: dict[bytes, int] = {}
    said = []
    while (at := max(ours.next_at, 0.0)) < 1000.0:
        announce = ours.batch(at, 7)
        assert announce is not None
        said.append(at)
        for each in announce.info_hashes:
            seen[each] = seen.get(each, 0) + 1
    assert len(seen) == 10_000
    assert set(seen.values()) == {2, 3}
    assert all(later - sooner >= 1.0 for sooner, later in itertools.pairwise(said))


def test_a_new_torrent_goes_before_all_that_wait() -> None:
    ours = discovery()
    for each in range(100):
        ours.want(number(each))
    run(ours, 200.0)
    ours.want(ONE)
    announce = ours.batch(200.0, 7)
    assert announce is not None
    assert announce.info_hashes == (ONE,)


def test_what_was_begun_apart_travels_together() -> None:
    ours = discovery()
    for each in range(20):
        ours.want(number(each))
        assert ours.batch(each * 2.0, 7) is not None
    assert run(ours, 500.0) == [(INTERVAL_S, 20)]


def test_who_is_new_gets_an_answer_but_not_at_any_rate() -> None:
    ours = discovery()
    ours.want(ONE)
    ours.answer(ONE, 0.0)
    assert run(ours, 1.0) == [(0.0, 1)]
    ours.answer(ONE, 1.0)
    ours.answer(ONE, 2.0)
    assert run(ours, 100.0) == [(ANSWER_S, 1)]
    ours.answer(ONE, 200.0)
    assert run(ours, 501.0) == [(200.0, 1), (500.0, 1)]
    ours.answer(TWO, 200.0)
    ours.answer(ONE, 502.0)
    ours.forget(ONE)
    assert ours.next_at == math.inf


def test_in_another_network_all_are_announced_anew() -> None:
    ours = discovery()
    for each in range(3):
        ours.want(number(each))
    assert run(ours, 10.0) == [(0.0, 3)]
    ours.begin_again()
    assert len(ours) == 3
    assert run(ours, 10.0) == [(1.0, 3)]


# ── what is heard ───────────────────────────────────────────────────────────────────────────────


def test_our_own_voice_is_no_news() -> None:
    ours, other = discovery(1), discovery(2)
    for each in (ours, other):
        each.want(ONE)
    mine, theirs = ours.batch(0.0, 7), other.batch(0.0, 8)
    assert mine is not None
    assert theirs is not None
    assert ours.heard(encode(mine, IPV4_GROUP), 0.0) is None
    assert ours.heard(encode(theirs, IPV4_GROUP), 0.0) == theirs


def test_a_flood_is_not_even_read() -> None:
    ours = discovery()
    datagram = encode(LocalAnnounce(7, (ONE,)), IPV4_GROUP)
    heard = [ours.heard(datagram, 0.0) for _ in range(10_000)]
    assert 100 <= sum(each is not None for each in heard) <= 300
    assert ours.heard(b"garbage", 0.0) is None
    assert ours.heard(datagram, 1.0) is not None
