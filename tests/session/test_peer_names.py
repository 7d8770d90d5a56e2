"""Peers that people name: numeric ones ask nobody, names go by the way out."""

from __future__ import annotations

import socket

import pytest

from engine.core.compact import Endpoint
from engine.errors import InputError
from engine.net.route import Address, Route
from engine.session.peer_names import as_address, find_peers


class _Route(Route):
    """Knows one name."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def look_up(self, host: str, port: int, kind: socket.SocketKind) -> list[Address]:
        self.asked.append(host)
        if host != "friend.example":
            raise OSError(-2, "Name or service not known")
        return [
            Address(socket.AF_INET6, ("2001:db8::1", port, 0, 0)),
            Address(socket.AF_INET, ("192.0.2.7", port)),
        ]


async def test_numeric_peers_ask_nobody() -> None:
    route = _Route()
    assert await find_peers("192.0.2.7:6881", route) == [Endpoint("192.0.2.7", 6881)]
    assert await find_peers("[0:0::1]:1", route) == [Endpoint("::1", 1)]
    assert route.asked == []


async def test_every_address_of_a_name_is_a_peer() -> None:
    found = await find_peers("friend.example:7", _Route())
    assert found == [Endpoint("2001:db8::1", 7), Endpoint("192.0.2.7", 7)]


@pytest.mark.parametrize("text", ["friend.example", "friend.example:0", "1.2.3.4:99999", "::1:5"])
async def test_what_is_no_peer_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        as_address(text)


async def test_a_name_that_nobody_knows_is_told() -> None:
    with pytest.raises(InputError, match="cannot look up 'nobody': Name or service"):
        await find_peers("nobody:5", _Route())
