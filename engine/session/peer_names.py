"""Peers that people name: HOST:PORT, where HOST may be a name that is looked up by the way out."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from engine.core.compact import Endpoint, endpoint, split_host_port
from engine.errors import InputError

if TYPE_CHECKING:
    from engine.net.route import Route


def as_address(text: str) -> Endpoint | None:
    """The peer of a HOST:PORT that is numeric; None where HOST is a name. Raises InputError."""
    host, port = split_host_port(text)
    if not port:
        raise InputError(f"{text!r}: 0 is no port")
    try:
        return endpoint(host, port)
    except InputError:
        return None


async def find_peers(text: str, route: Route) -> list[Endpoint]:
    """The peers of a HOST:PORT, numeric or not. Raises InputError."""
    address = as_address(text)
    return [address] if address is not None else await look_up(text, route)


async def look_up(text: str, route: Route) -> list[Endpoint]:
    """The peers of a HOST:PORT that as_address has found to be a name: one with several addresses
    gives each. Raises InputError."""
    host, port = split_host_port(text)
    try:
        answers = await route.look_up(host, port, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot look up {host!r}: {reason}") from error
    return [endpoint(str(answer.sockaddr[0]), port) for answer in answers]
