"""Names are asked of the servers that were named, over sockets that were made for it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from engine.errors import NoRouteError
from engine.net import names as names_module
from engine.net.names import Names
from engine.net.route import Route
from tests.fakes.name_server import name_server

BOTH = (socket.AF_INET, socket.AF_INET6)
KNOWN = {"a.example": ["192.0.2.1", "2001:db8::1"], "four.example": ["192.0.2.4"]}


async def _connected(family: int, kind: int, server: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, kind)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, server)
    return sock


async def _refused(family: int, kind: int, server: tuple[Any, ...]) -> socket.socket:
    raise NoRouteError("waiting for tun0")


async def test_addresses_of_the_families_that_are_asked_for() -> None:
    async with name_server(KNOWN) as (server, where):
        names = Names(_connected, (where,))
        assert await names.look_up("a.example", BOTH) == ["192.0.2.1", "2001:db8::1"]
        assert await names.look_up("four.example", BOTH) == ["192.0.2.4"]
        assert await names.look_up("a.example", BOTH[1:]) == ["2001:db8::1"]
        assert [kind for _, kind, _ in server.asked] == ["A", "AAAA", "A", "AAAA", "AAAA"]


async def test_what_is_an_address_is_not_asked_for() -> None:
    names = Names(_refused, ("127.0.0.1",))
    assert await names.look_up("192.0.2.9", BOTH) == ["192.0.2.9"]
    assert await names.look_up("::1", BOTH) == ["::1"]


@pytest.mark.parametrize("name", ["none.example", "four.example"])
async def test_no_such_name(name: str) -> None:
    async with name_server(KNOWN) as (_, where):
        with pytest.raises(socket.gaierror, match="no such name"):
            await Names(_connected, (where,)).look_up(name, BOTH[1:])


async def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_LIFETIME_S", 0.05)
    async with name_server(KNOWN) as (server, where):
        server.is_silent = True
        with pytest.raises(socket.gaierror, match="no name server answers"):
            await Names(_connected, (where,)).look_up("a.example", BOTH)


async def test_without_a_socket_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "_LIFETIME_S", 0.05)
    async with name_server(KNOWN) as (server, where):
        with pytest.raises(OSError, match="no name server answers"):
            await Names(_refused, (where,)).look_up("a.example", BOTH)
        assert not server.asked


@pytest.mark.parametrize("name", ["..", "x" * 70 + ".example"])
async def test_what_can_be_no_name(name: str) -> None:
    with pytest.raises((UnicodeError, OSError)):
        await Names(_refused, ("127.0.0.1",)).look_up(name, BOTH)


async def test_servers_of_the_system_but_not_those_on_loopback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub, behind = tmp_path / "stub", tmp_path / "behind"
    stub.write_text("nameserver 127.0.0.53\n")
    behind.write_text("nameserver 127.0.0.53\nnameserver 192.0.2.53\n")
    asked: list[str] = []

    async def make(family: int, kind: int, server: tuple[Any, ...]) -> socket.socket:
        asked.append(server[0])
        raise NoRouteError("no way")

    monkeypatch.setattr(names_module, "_LIFETIME_S", 0.05)
    monkeypatch.setattr(names_module, "_SYSTEM_FILES", (str(stub), str(behind)))
    with pytest.raises(OSError, match="no name server answers"):
        await Names(make, ()).look_up("a.example", BOTH)
    assert set(asked) == {"192.0.2.53"}
    monkeypatch.setattr(names_module, "_SYSTEM_FILES", (str(stub), str(tmp_path / "none")))
    with pytest.raises(NoRouteError, match=r"set network\.dns"):
        await Names(make, ()).look_up("a.example", BOTH)
    with pytest.raises(OSError, match="no name server answers"):
        await Names(make, (), takes_loopback=True).look_up("a.example", BOTH)
    assert "127.0.0.53" in asked


async def test_a_route_asks_the_servers_that_it_is_told() -> None:
    async with name_server(KNOWN) as (server, where):
        route = Route("127.0.0.3", name_servers=(where,))
        found = await route.look_up("a.example", 7, socket.SOCK_STREAM)
        assert [address.sockaddr for address in found] == [("192.0.2.1", 7)]
        assert server.asked == [("a.example", "A", "127.0.0.3")]
