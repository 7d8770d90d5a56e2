"""Interfaces by name: what the kernel says of them, and that it says so when that changes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SettingsError
from engine.net import interface
from engine.net.interface import Found, InterfaceBell, check_name, look
from tests.fakes.lan import HAS_IPV6, INTERFACE, address, address6, ip, run_on_lan


def test_loopback_is_there_and_others_are_not() -> None:
    found = look("lo")
    assert found.is_up
    assert found.address(ipv6=False) == "127.0.0.1"
    gone = look("nowhere0")
    assert not gone.is_up
    assert gone.address(ipv6=False) is None


def test_the_address_in_use_is_kept_while_it_is_there() -> None:
    found = Found(1, True, ("10.0.0.1", "10.0.0.2", "fd00::1"))
    assert found.address(ipv6=False) == "10.0.0.1"
    assert found.address(ipv6=False, rather="10.0.0.2") == "10.0.0.2"
    assert found.address(ipv6=False, rather="10.0.0.3") == "10.0.0.1"
    assert found.address(ipv6=True, rather="10.0.0.2") == "fd00::1"
    assert Found(1, False, ("10.0.0.1",)).address(ipv6=False) is None


def test_what_changes_is_told_and_seen() -> None:
    async def looks() -> None:
        rung = asyncio.Event()
        bell = InterfaceBell(rung.set)

        async def changes(*command: str) -> Found:
            rung.clear()
            ip(*command)
            async with asyncio.timeout(20):
                await rung.wait()
            return look(INTERFACE)

        try:
            found = look(INTERFACE)
            assert found.address(ipv6=False) == address(0)
            if HAS_IPV6:
                assert found.address(ipv6=True) == address6(0)
            there = ("dev", INTERFACE)
            more = await changes("address", "add", "10.77.0.9/24", *there)
            assert set(more.addresses) > {address(0), "10.77.0.9"}
            less = await changes("address", "del", f"{address(0)}/24", *there)
            assert address(0) not in less.addresses
            assert not (await changes("link", "set", INTERFACE, "down")).is_up
            index = look(INTERFACE).index
            assert index
            await changes("link", "del", INTERFACE)
            assert look(INTERFACE) == Found()
        finally:
            bell.close()

    async def waits() -> None: ...

    run_on_lan(looks, waits)


@pytest.mark.parametrize("name", ["a name", "x" * 16, "a/b"])
def test_what_can_be_no_interface(name: str) -> None:
    with pytest.raises(SettingsError, match=r"network\.interface"):
        check_name(name)
    check_name("tun0")


def test_elsewhere_than_on_linux_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interface.sys, "platform", "darwin")
    with pytest.raises(SettingsError, match="Linux only"):
        check_name("en0")


@given(st.binary(max_size=200), st.integers(0, 3))
def test_garbage_from_the_kernel_does_no_harm(data: bytes, index: int) -> None:
    assert interface._is_up(data, index) in (True, False)
    assert isinstance(interface._addresses(data, index), list)
