"""The tracker over a real UDP socket: exchanges, garbage, floods, IPv6."""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import Callable

import pytest

from engine.core.compact import Endpoint
from tests.tracker.asking import HASH, UdpAsker, http_dict, needs_ipv6
from tests.tracker.conftest import Starter

LOCALHOST = bytes([127, 0, 0, 1])
Asker = Callable[[Endpoint], UdpAsker]


async def test_two_peers_meet(start: Starter, udp_asker: Asker) -> None:
    app = await start()
    assert app.addresses.udp is not None
    first, second = udp_asker(app.addresses.udp), udp_asker(app.addresses.udp)
    assert await first.announce(port=1111, left=0) == struct.pack(">IIIII", 1, 78, 1800, 0, 1)
    reply = await second.announce(port=2222)
    assert reply == struct.pack(">IIIII", 1, 78, 1800, 1, 1) + LOCALHOST + b"\x04\x57"


@needs_ipv6
async def test_ipv6(start: Starter, udp_asker: Asker) -> None:
    app = await start(udp="[::1]:0")
    assert app.addresses.udp is not None
    asker = udp_asker(app.addresses.udp)
    await asker.announce(port=1111)
    assert (await asker.announce(port=2222))[20:] == bytes(15) + b"\1" + b"\x04\x57"


@needs_ipv6
async def test_any_address_serves_both_families(start: Starter, udp_asker: Asker) -> None:
    app = await start(udp="[::]:0")
    assert app.addresses.udp is not None
    ipv4 = udp_asker(app.addresses.udp._replace(host="127.0.0.1"))
    ipv6 = udp_asker(app.addresses.udp._replace(host="::1"))
    await ipv4.announce(port=1111)
    assert (await ipv4.announce(port=2222))[20:] == LOCALHOST + b"\x04\x57"
    assert (await ipv6.announce(port=3333))[20:] == b""


async def test_both_servers_share_the_swarms(start: Starter, udp_asker: Asker) -> None:
    app = await start()
    assert app.addresses.udp is not None
    assert app.addresses.http is not None
    await udp_asker(app.addresses.udp).announce(left=0)
    scraped = await http_dict(app.addresses.http, "/scrape")
    assert scraped == {b"files": {HASH: {b"complete": 1, b"downloaded": 0, b"incomplete": 0}}}


async def test_garbage_gets_silence_and_the_tracker_lives(start: Starter, udp_asker: Asker) -> None:
    app = await start()
    assert app.addresses.udp is not None
    asker = udp_asker(app.addresses.udp)
    rng = random.Random(5)
    for length in (0, 1, 7, 15, 16, 17, 35, 97, 98, 99, 1400, 9000):
        asker.socket.send(rng.randbytes(length))
    assert (await asker.announce())[:4] == b"\0\0\0\1"
    assert app.statistics.ignored == 12


async def test_a_flood_is_answered_or_dropped_but_never_queued(
    start: Starter, udp_asker: Asker
) -> None:
    app = await start()
    assert app.addresses.udp is not None
    flooder, asker = udp_asker(app.addresses.udp), udp_asker(app.addresses.udp)
    connect = struct.pack(">QII", 0x41727101980, 0, 1)
    sent = 0
    for _ in range(3000):
        # Nobody reads the replies: the flooder's own buffer overflows, which costs us nothing.
        try:
            flooder.socket.send(connect if sent % 2 else os.urandom(16))
        except BlockingIOError:
            await asyncio.sleep(0)
            continue
        sent += 1
    assert (await asker.announce())[:4] == b"\0\0\0\1"
    assert app.statistics.connects + app.statistics.ignored <= sent + 1


@pytest.mark.parametrize("closed", [True, False])
async def test_a_reply_to_nobody_does_not_stop_the_server(
    start: Starter, udp_asker: Asker, closed: bool
) -> None:
    app = await start()
    assert app.addresses.udp is not None
    gone = udp_asker(app.addresses.udp)
    for _ in range(5):
        gone.socket.send(struct.pack(">QII", 0x41727101980, 0, 1))
        if closed:
            gone.close()
            gone = udp_asker(app.addresses.udp)
    assert (await udp_asker(app.addresses.udp).announce())[:4] == b"\0\0\0\1"
