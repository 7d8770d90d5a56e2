"""HTTP CONNECT: what is said, which answers are taken, and whose fault the others are."""

from __future__ import annotations

import base64
import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.core.proxy_address import ProxyAddress, Scheme
from engine.errors import ProxyAuthError, ProxyError, ProxyRefusal
from engine.net import http_tunnel
from tests.net.proxy_scripts import Starved, play

NOBODY = ProxyAddress(Scheme.HTTP, "p", 1)
SOMEBODY = ProxyAddress(Scheme.HTTP, "p", 1, "me", "sécret")
OK = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("10.0.0.1", "10.0.0.1:6881"),
        ("::1", "[::1]:6881"),
        ("tracker.example", "tracker.example:6881"),
        ("bücher.example", "xn--bcher-kva.example:6881"),
    ],
)
def test_a_tunnel_is_asked_for(host: str, where: str) -> None:
    _, said, rest = play(http_tunnel.connect(NOBODY, host, 6881), OK + b"far end")
    assert said.decode() == f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n\r\n"
    assert rest == b"far end"


def test_who_we_are_is_said_where_there_is_a_user() -> None:
    _, said, _ = play(http_tunnel.connect(SOMEBODY, "h", 1), OK)
    who = base64.b64encode("me:sécret".encode()).decode()
    assert f"\r\nProxy-Authorization: Basic {who}\r\n" in said.decode()


@pytest.mark.parametrize("wrong", ["", "a b", "a\r\nX: y", "x" * 256, "ü" * 300])
def test_what_is_no_name_is_not_sent(wrong: str) -> None:
    with pytest.raises(ProxyRefusal, match="no name of a host"):
        play(http_tunnel.connect(NOBODY, wrong, 1), b"")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n",
        b"HTTP/1.1 204\r\n\r\n",
        b"HTTP/1.1 299 \r\nA: b\r\nC: d\r\n\r\n",
    ],
)
def test_answers_that_are_taken(answer: bytes) -> None:
    assert play(http_tunnel.connect(NOBODY, "h", 1), answer + b"\r\n")[2] == b"\r\n"


@pytest.mark.parametrize(
    ("who", "answer", "error", "why"),
    [
        (NOBODY, b"HTTP/1.1 407 No\r\n\r\n", ProxyAuthError, "wants a user name and password"),
        (SOMEBODY, b"HTTP/1.1 407 No\r\n\r\n", ProxyAuthError, "does not accept"),
        (NOBODY, b"HTTP/1.1 403 No\r\n\r\n", ProxyRefusal, "HTTP 403"),
        (NOBODY, b"HTTP/1.1 502 No\r\n\r\n", ProxyRefusal, "HTTP 502"),
        (NOBODY, b"HTTP/2 200 OK\r\n\r\n", ProxyError, "does not speak HTTP"),
        (NOBODY, b"\x05\x00\r\n\r\n", ProxyError, "does not speak HTTP"),
    ],
)
def test_answers_that_are_not(
    who: ProxyAddress, answer: bytes, error: type[ProxyError], why: str
) -> None:
    with pytest.raises(error, match=why) as caught:
        play(http_tunnel.connect(who, "h", 1), answer)
    assert type(caught.value) is error
    assert "sécret" not in str(caught.value)


@given(st.binary(max_size=200))
@example(b"HTTP/1.1 200")
@example(b"HTTP/1.1 99999 x")
def test_whatever_it_answers_is_an_error_of_ours_or_a_tunnel(line: bytes) -> None:
    with contextlib.suppress(ProxyError, ProxyRefusal, Starved):
        play(http_tunnel.connect(NOBODY, "h", 1), line + b"\r\n\r\n")
