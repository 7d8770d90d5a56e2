"""Ways to speak to a tracker that share no code with it: raw HTTP requests and BEP 15 packets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from urllib.parse import quote

import pytest

from engine.core import bencode
from engine.core.compact import Endpoint

HASH = bytes(range(1, 21))


class VirtualClock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def announce_path(**changes: object) -> str:
    """An announce as a request target; bytes are escaped, None leaves a parameter out."""
    parameters: dict[str, object] = {
        "info_hash": HASH,
        "peer_id": b"-SW0100-abcdefghijkl",
        "port": 6881,
        "left": 1,
        **changes,
    }
    return "/announce?" + "&".join(
        f"{name}={quote(value, safe='') if isinstance(value, bytes) else value}"
        for name, value in parameters.items()
        if value is not None
    )


async def http(at: Endpoint, request: str | bytes) -> tuple[int, dict[str, str], bytes]:
    """Send a request target, or raw bytes, on a connection of its own; returns the whole reply."""
    reader, writer = await asyncio.open_connection(*at)
    if isinstance(request, str):
        request = f"GET {request} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n".encode()
    try:
        writer.write(request)
        raw = await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {
        name.lower(): value.strip() for name, _, value in (ln.partition(":") for ln in lines)
    }
    return int(status.split()[1]), headers, body


async def http_dict(at: Endpoint, target: str) -> dict[bytes, bencode.Value]:
    status, _, body = await http(at, target)
    assert status == 200
    return bencode.decode_dict(body)


class UdpAsker:
    """A raw UDP socket that speaks BEP 15."""

    def __init__(self, at: Endpoint) -> None:
        self.socket = socket.socket(
            socket.AF_INET6 if at.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM
        )
        self.socket.setblocking(False)
        self.socket.connect((at.host, at.port))

    async def ask(self, packet: bytes) -> bytes:
        """Send until answered: datagrams get lost, on a busy loopback too."""
        loop = asyncio.get_running_loop()
        for _ in range(10):
            await loop.sock_sendall(self.socket, packet)
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(loop.sock_recv(self.socket, 4096), 1)
        raise TimeoutError("the tracker does not answer")

    async def connect(self) -> bytes:
        reply = await self.ask(struct.pack(">QII", 0x41727101980, 0, 77))
        assert reply[:8] == struct.pack(">II", 0, 77)
        return reply[8:]

    async def announce(self, *, left: int = 1, event: int = 0, port: int = 6881) -> bytes:
        fields = (HASH, b"-SW0100-abcdefghijkl", 0, left, 0, event, 0, 0, -1, port)
        body = struct.pack(">II20s20sQQQIIIiH", 1, 78, *fields)
        return await self.ask(await self.connect() + body)

    def close(self) -> None:
        self.socket.close()


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6_loopback(), reason="no IPv6 loopback ([::1]) here")
