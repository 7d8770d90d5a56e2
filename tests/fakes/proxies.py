"""Proxies over real sockets on loopback: SOCKS5 with user names and UDP (RFC 1928, 1929), and HTTP
CONNECT. What they send on leaves from EXIT, so that others can tell who came through them.

Written from the RFCs, not from the engine's own code, which they are there to test.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator
from typing import TypeVar

EXIT = "127.0.0.9"
"""Nobody else on this machine uses this address of loopback."""
P = TypeVar("P", bound="FakeProxy")
_CHUNK_BYTES = 256 * 1024


class FakeProxy:
    """What both have. Lives until `stop`, and can be started again on its port."""

    scheme = ""

    def __init__(
        self, names: dict[str, str] | None = None, *, user: str = "", password: str = ""
    ) -> None:
        self.names = names or {}
        """The only ones that it knows."""
        self.user, self.password = user, password
        self.asked: list[str] = []
        """Names that it looked up."""
        self.connected: list[tuple[str, int]] = []
        """Whom it was asked to connect to, as the client said it."""
        self.came: list[str] = []
        """The addresses that its clients came from."""
        self.host, self.port = "127.0.0.1", 0
        """Where it listens, and relays."""
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(
            self._on_client, self.host, self.port, limit=_CHUNK_BYTES
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut everything off."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.came.append(writer.get_extra_info("peername")[0])
        try:
            with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError):
                await self.serve(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            self._serving.discard(task)
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    def resolve(self, host: str) -> str | None:
        """An address for what the client named, or None."""
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(host))
        self.asked.append(host)
        return self.names.get(host)

    async def reach(
        self, host: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect on. Raises OSError."""
        self.connected.append((host, port))
        found = self.resolve(host)
        if found is None:
            raise OSError("no such name")
        return await asyncio.open_connection(found, port, local_addr=(EXIT, 0))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
        writer.write_eof()


async def _join(
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(near[0], far[1]))
            both.create_task(_pump(far[0], near[1]))
    finally:
        far[1].transport.abort()


class SocksProxy(FakeProxy):
    """SOCKS5."""

    scheme = "socks5"

    def __init__(
        self,
        names: dict[str, str] | None = None,
        *,
        user: str = "",
        password: str = "",
        relays: bool = True,
    ) -> None:
        super().__init__(names, user=user, password=password)
        self.relays = relays
        """Grants UDP ASSOCIATE."""
        self.datagrams: list[tuple[str, int]] = []
        """To whom it was told to send them."""
        self.relay_ports: list[int] = []
        """Where its clients send them, one for each association."""
        self.relay_exits: list[int] = []
        """The ports that datagrams leave from, one for each association."""
        self.associations: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        assert version == 5
        offered = await reader.readexactly(count)
        method = 2 if self.user else 0
        if method not in offered:
            writer.write(b"\x05\xff")
            await writer.drain()
            return
        writer.write(bytes((5, method)))
        if method and not await self._is_known(reader, writer):
            return
        _, command, _, kind = await reader.readexactly(4)
        host = await self._host(reader, kind)
        port = int.from_bytes(await reader.readexactly(2), "big")
        if command == 1:
            await self._connect(reader, writer, host, port)
        elif command == 3 and self.relays:
            await self._relay(reader, writer)
        else:
            await self._say(writer, 7)

    async def _is_known(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        assert await reader.readexactly(1) == b"\x01"
        user = await reader.readexactly((await reader.readexactly(1))[0])
        password = await reader.readexactly((await reader.readexactly(1))[0])
        is_right = (user, password) == (self.user.encode(), self.password.encode())
        writer.write(bytes((1, 0 if is_right else 1)))
        await writer.drain()
        return is_right

    async def _host(self, reader: asyncio.StreamReader, kind: int) -> str:
        if kind == 3:
            return (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        family, width = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
        return socket.inet_ntop(family, await reader.readexactly(width))

    async def _say(
        self, writer: asyncio.StreamWriter, status: int, where: tuple[str, int] = ("0.0.0.0", 0)
    ) -> None:
        address = socket.inet_aton(where[0]) + where[1].to_bytes(2, "big")
        writer.write(bytes((5, status, 0, 1)) + address)
        await writer.drain()

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        try:
            far = await self.reach(host, port)
        except ConnectionRefusedError:
            await self._say(writer, 5)
        except OSError:
            await self._say(writer, 4)
        else:
            await self._say(writer, 0, far[1].get_extra_info("sockname")[:2])
            await _join((reader, writer), far)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = _Relay(self)
        await relay.open()
        self.associations.append(writer)
        try:
            await self._say(writer, 0, relay.where)
            await reader.read()
        finally:
            self.associations.remove(writer)
            relay.close()


class _Relay:
    """The two sockets of an association."""

    def __init__(self, proxy: SocksProxy) -> None:
        self._proxy = proxy
        self._client: tuple[str, int] | None = None
        self._sockets: list[socket.socket] = []

    async def open(self) -> None:
        self._loop = asyncio.get_running_loop()
        for host in (self._proxy.host, EXIT):
            sock = socket.socket(type=socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            sock.bind((host, 0))
            self._sockets.append(sock)
        self._inner, self._outer = self._sockets
        self._loop.add_reader(self._inner.fileno(), self._on_inner)
        self._loop.add_reader(self._outer.fileno(), self._on_outer)
        self.where: tuple[str, int] = self._inner.getsockname()
        self._proxy.relay_ports.append(self.where[1])
        self._proxy.relay_exits.append(self._outer.getsockname()[1])

    def close(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def _on_inner(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, self._client = self._inner.recvfrom(65536)
                assert data[:3] == b"\0\0\0"
                if data[3] == 3:
                    end = 5 + data[4]
                    host = data[5:end].decode()
                else:
                    end = 8 if data[3] == 1 else 20
                    family = socket.AF_INET if data[3] == 1 else socket.AF_INET6
                    host = socket.inet_ntop(family, data[4:end])
                port = int.from_bytes(data[end : end + 2], "big")
                self._proxy.datagrams.append((host, port))
                found = self._proxy.resolve(host)
                if found is not None and ":" not in found:
                    with contextlib.suppress(OSError):
                        self._outer.sendto(data[end + 2 :], (found, port))

    def _on_outer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, source = self._outer.recvfrom(65536)
                head = b"\0\0\0\1" + socket.inet_aton(source[0]) + source[1].to_bytes(2, "big")
                if self._client is not None:
                    with contextlib.suppress(OSError):
                        self._inner.sendto(head + data, self._client)


class HttpProxy(FakeProxy):
    """HTTP CONNECT."""

    scheme = "http"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.split("\r\n")
        method, where, version = first.split(" ")
        assert method == "CONNECT"
        fields = dict(line.split(": ", 1) for line in rest if line)
        assert version == "HTTP/1.0" or fields["Host"] == where
        who = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if self.user and fields.get("Proxy-Authorization") != f"Basic {who}":
            writer.write(b"HTTP/1.1 407 Who are you?\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        host, _, port = where.rpartition(":")
        try:
            far = await self.reach(host.strip("[]"), int(port))
        except OSError:
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 fake\r\n\r\n")
            await _join((reader, writer), far)


@contextlib.asynccontextmanager
async def running_proxy(proxy: P) -> AsyncIterator[P]:
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
