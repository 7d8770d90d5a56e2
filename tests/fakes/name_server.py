"""A name server over UDP that knows what a test tells it, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, names: dict[str, list[str]]) -> None:
        self._names = names
        self.asked: list[tuple[str, str, str]] = []
        """(name, type, address that asked)."""
        self.is_silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        asked = dns.message.from_wire(data)
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        (question,) = asked.question
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind, address[0]))
        if self.is_silent:
            return
        known = self._names.get(name)
        if known is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            fitting = [each for each in known if (":" in each) == (kind == "AAAA")]
            if fitting:
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *fitting))
        self._transport.sendto(answer.to_wire(), address)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def name_server(
    names: dict[str, list[str]], host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[NameServer, str]]:
    """Run one; yields it and its ADDRESS:PORT."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(names), local_addr=(host, port)
    )
    try:
        where = transport.get_extra_info("sockname")
        yield server, f"{where[0]}:{where[1]}"
    finally:
        transport.close()
