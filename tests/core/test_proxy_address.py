"""Addresses of proxies: what people write, and passwords that appear nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.proxy_address import ProxyAddress, Scheme, parse_proxy
from engine.errors import InputError

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("socks5://proxy.example:1080", ProxyAddress(Scheme.SOCKS5, "proxy.example", 1080)),
        (" socks5h://10.0.0.1:9/ ", ProxyAddress(Scheme.SOCKS5, "10.0.0.1", 9)),
        ("HTTP://[0::1]:3128", ProxyAddress(Scheme.HTTP, "::1", 3128)),
        ("socks5://me@host:1", ProxyAddress(Scheme.SOCKS5, "host", 1, "me")),
        ("socks5://a%40b:p%3A%2F@host:1", ProxyAddress(Scheme.SOCKS5, "host", 1, "a@b", "p:/")),
    ],
)
def test_what_is_understood(text: str, meant: ProxyAddress) -> None:
    assert parse_proxy(text) == meant
    assert parse_proxy(meant.url) == meant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "socks5:// or http://"),
        ("host:1080", "socks5:// or http://"),
        (f"socks4://u:{SECRET}@host:1", "socks5:// or http://"),
        (f"https://u:{SECRET}@host:1", "socks5:// or http://"),
        (f"socks5://u:{SECRET}@host", "a host and a port"),
        (f"socks5://u:{SECRET}@host:0", "a host and a port"),
        (f"socks5://u:{SECRET}@host:99999", "not the URL"),
        (f"socks5://u:{SECRET}@[::1:5", "not the URL"),
        (f"socks5://u:{SECRET}@:5", "a host and a port"),
        (f"socks5://u:{SECRET}@h h:5", "neither a name nor"),
        (f"socks5://u:{SECRET}/{SECRET}@host:5", "not the URL"),
        (f"socks5://host:5/{SECRET}", "behind the port"),
        (f"socks5://:{SECRET}@host:5", "without a user name"),
        (f"socks5://u:{SECRET}{'x' * 250}@host:5", "more than 255 bytes"),
        (f"socks5://u:{SECRET}%00@host:5", "cannot be printed"),
        (f"socks5://u:{SECRET}%0d%0a@host:5", "cannot be printed"),
        (f"http://a%3Ab:{SECRET}@host:5", "no colon"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why) as caught:
        parse_proxy(text)
    assert SECRET not in str(caught.value)


PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)


@given(user=PRINTABLE, password=PRINTABLE)
def test_whatever_is_printable_can_be_a_password(user: str, password: str) -> None:
    address = ProxyAddress(Scheme.SOCKS5, "h", 1, user, password)
    assert parse_proxy(address.url) == address


def test_no_text_of_an_address_has_the_password() -> None:
    address = parse_proxy(f"socks5://me:{SECRET}@[::1]:1080")
    for text in (str(address), repr(address), address.place, f"{address}", str([address])):
        assert SECRET not in text
    assert str(address) == "socks5://me:***@[::1]:1080"
    assert address.place == "[::1]:1080"
