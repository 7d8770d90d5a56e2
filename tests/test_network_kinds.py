"""Kinds of network settings: names of interfaces, and servers with a port or without."""

from __future__ import annotations

import pytest

from engine.network_kinds import InterfaceName, ProxyUrl, Servers
from engine.setting_kinds import parse_setting, tell_setting


@pytest.mark.parametrize("name", ["", "tun0", "wg-home", "eth0.5", "enp0s31f6"])
def test_names_of_interfaces(name: str) -> None:
    assert parse_setting(InterfaceName(), f" {name}\n") == InterfaceName().show(name) == name


@pytest.mark.parametrize("wrong", ["two words", "a/b", "x" * 16, "ü" * 8, 7, None])
def test_what_no_interface_is_called(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected the name of a network interface"):
        parse_setting(InterfaceName(), wrong)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", ()),
        ([], ()),
        ("10.8.0.1", ("10.8.0.1",)),
        ("10.8.0.1, [0::1]:5353 ::2", ("10.8.0.1", "[::1]:5353", "::2")),
        (["10.8.0.1:53", "10.8.0.1:53"], ("10.8.0.1:53",)),
    ],
)
def test_servers(given: object, meant: tuple[str, ...]) -> None:
    assert parse_setting(Servers(), given) == meant
    assert parse_setting(Servers(), Servers().show(meant)) == meant


@pytest.mark.parametrize("wrong", ["dns.example", "10.8.0.1:0", "10.8.0", 7, [7]])
def test_what_is_no_server(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected ADDRESSes"):
        parse_setting(Servers(), wrong)


@pytest.mark.parametrize("given", [None, "", "  ", "http://h:1", "socks5://me:s3cret@[::1]:1080"])
def test_a_proxy_can_be_given_back_and_told(given: object) -> None:
    kind = ProxyUrl()
    meant = parse_setting(kind, given)
    assert parse_setting(kind, kind.show(meant)) == parse_setting(kind, meant) == meant
    assert "s3cret" not in tell_setting(kind, meant)
    assert bool(tell_setting(kind, meant)) == (meant is not None)


@pytest.mark.parametrize("wrong", ["socks4://me:s3cret@h:1", "me:s3cret@h", 7, ["s3cret"]])
def test_what_is_no_proxy_is_not_repeated(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected socks5://") as caught:
        parse_setting(ProxyUrl(), wrong)
    assert "s3cret" not in str(caught.value)
