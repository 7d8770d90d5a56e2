"""SOCKS5: the bytes of RFC 1928 and 1929, and proxies that say anything at all."""

from __future__ import annotations

import contextlib
import socket

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.compact import Endpoint, endpoint
from engine.core.proxy_address import ProxyAddress, Scheme
from engine.errors import ProxyAuthError, ProxyError, ProxyRefusal
from engine.net import socks5
from tests.net.proxy_scripts import Starved, play

NOBODY = ProxyAddress(Scheme.SOCKS5, "p", 1)
SOMEBODY = ProxyAddress(Scheme.SOCKS5, "p", 1, "me", "secret")
BOUND = b"\x01\x7f\x00\x00\x01\x04\x38"


def test_without_a_user_nothing_but_no_login_is_offered() -> None:
    assert play(socks5.greet(NOBODY), b"\x05\x00rest") == (None, b"\x05\x01\x00", b"rest")


def test_a_user_name_and_password_are_said_when_they_are_asked_for() -> None:
    _, said, rest = play(socks5.greet(SOMEBODY), b"\x05\x02\x01\x00rest")
    assert said == b"\x05\x02\x00\x02" + b"\x01\x02me\x06secret"
    assert rest == b"rest"


def test_a_password_is_not_said_to_who_does_not_ask() -> None:
    _, said, _ = play(socks5.greet(SOMEBODY), b"\x05\x00")
    assert said == b"\x05\x02\x00\x02"


@pytest.mark.parametrize(
    ("who", "answer", "error", "why"),
    [
        (NOBODY, b"\x05\xff", ProxyAuthError, "wants a user name and password"),
        (SOMEBODY, b"\x05\xff", ProxyAuthError, "another kind of login"),
        (SOMEBODY, b"\x05\x02\x01\x01", ProxyAuthError, "does not accept"),
        (NOBODY, b"\x05\x02", ProxyError, "not offered"),
        (SOMEBODY, b"\x05\x01", ProxyError, "not offered"),
        (NOBODY, b"\x04\x00", ProxyError, "does not speak SOCKS5"),
        (NOBODY, b"HT", ProxyError, "does not speak SOCKS5"),
    ],
)
def test_who_does_not_take_us(
    who: ProxyAddress, answer: bytes, error: type[ProxyError], why: str
) -> None:
    with pytest.raises(error, match=why) as caught:
        play(socks5.greet(who), answer)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "packed"),
    [
        ("127.0.0.1", b"\x01\x7f\x00\x00\x01"),
        ("2001:db8::1", b"\x04" + socket.inet_pton(socket.AF_INET6, "2001:db8::1")),
        ("tracker.example", b"\x03\x0ftracker.example"),
        ("bücher.example", b"\x03\x15xn--bcher-kva.example"),
    ],
)
def test_a_host_is_given_as_it_is(host: str, packed: bytes) -> None:
    _, said, rest = play(socks5.connect(host, 6881), b"\x05\x00\x00" + BOUND + b"far end")
    assert said == b"\x05\x01\x00" + packed + b"\x1a\xe1"
    assert rest == b"far end"


@pytest.mark.parametrize("wrong", ["", "x" * 256, "a b", "a\r\nb", "ü" * 300, "\0"])
def test_what_is_no_name_is_not_sent(wrong: str) -> None:
    with pytest.raises(ProxyRefusal, match="no name of a host"):
        play(socks5.connect(wrong, 1), b"")


@pytest.mark.parametrize("status", [1, 2, 3, 4, 5, 6, 7, 8, 9, 255])
def test_refusals_are_of_the_target_and_need_no_more_than_their_head(status: int) -> None:
    with pytest.raises(ProxyRefusal) as caught:
        play(socks5.connect("h", 1), bytes((5, status, 0, 1)))
    assert caught.value.status == status
    assert str(caught.value)


@pytest.mark.parametrize(
    ("bound", "where"),
    [
        (BOUND, Endpoint("127.0.0.1", 1080)),
        (b"\x04" + bytes(15) + b"\x01\x04\x38", Endpoint("::1", 1080)),
        (b"\x01\x00\x00\x00\x00\x04\x38", Endpoint("0.0.0.0", 1080)),
        (b"\x03\x05relay\x04\x38", None),
        (b"\x01\x7f\x00\x00\x01\x00\x00", None),
    ],
)
def test_where_the_relay_is(bound: bytes, where: Endpoint | None) -> None:
    found, said, rest = play(socks5.associate(), b"\x05\x00\x00" + bound + b"!")
    assert (found, rest) == (where, b"!")
    assert said == b"\x05\x03\x00\x01\x00\x00\x00\x00\x00\x00"


@given(st.binary(max_size=600))
@example(b"\x05\x00\x05\x00\x00\x03\xff" + bytes(257))
@example(b"\x05\x00\x05\x00\x00\x02")
def test_hostile_answers_end_in_errors_of_ours_or_are_waited_out(answer: bytes) -> None:
    for script in (socks5.greet(SOMEBODY), socks5.connect("h", 1), socks5.associate()):
        with contextlib.suppress(ProxyError, ProxyRefusal, Starved):
            play(script, answer)


ENDPOINTS = st.builds(
    endpoint,
    st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str),
    st.integers(1, 65535),
)


@given(ENDPOINTS, st.binary(max_size=200))
def test_a_datagram_comes_out_of_its_head(whose: Endpoint, payload: bytes) -> None:
    data = memoryview(socks5.datagram_head(whose.host, whose.port) + payload)
    opened = socks5.opened_datagram(data)
    assert opened is not None
    source, begin = opened
    assert source == whose
    assert data[begin:] == payload


@given(st.binary(max_size=64))
@example(b"\0\0\1\1" + bytes(6) + b"a fragment")
@example(b"\0\0\0\3\4name\0\1x")
@example(b"\0\0\0\1\x7f\0\0\1\0\0port 0")
def test_no_datagram_makes_trouble(data: bytes) -> None:
    opened = socks5.opened_datagram(memoryview(data))
    if opened is not None:
        source, begin = opened
        assert data[2] == 0
        assert 0 < source.port < 65536
        assert begin <= len(data)
        # An IPv4 address in IPv6 is the same host.
        width = {1: 4, 4: 16}[data[3]]
        assert begin == 6 + width
