"""Announces per second of the bundled tracker: the table alone, and both servers over loopback.

Run as a plain script. The asking side is a process of its own, so a machine with two cores measures
the tracker, not the asker.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import os
import random
import socket
import struct
import time
from collections.abc import Callable

import uvloop

from engine.core.compact import Endpoint
from engine.tracker.announce import AnnouncePolicy, encode_reply, parse_announce
from engine.tracker.app import TrackerApp, TrackerSettings
from engine.tracker.swarm_table import Announce, Event, SwarmTable

_SECONDS = 3.0
_SWARM = 2_000
_HASH = hashlib.sha1(b"bench").digest()


def _percent(data: bytes) -> str:
    return "".join(f"%{byte:02x}" for byte in data)


def bench_table() -> None:
    table = SwarmTable(random.Random(1))
    announces = [
        Announce(
            _HASH,
            os.urandom(20),
            struct.pack(">IH", 0x0A000000 + at, 6881),
            at % 3,
            Event.NONE,
            50,
        )
        for at in range(_SWARM)
    ]
    for announce in announces:
        table.announce(announce, 0)
    started = time.perf_counter()
    for at in range(100_000):
        table.announce(announces[at % _SWARM], 1)
    _say("swarm table, 50 of 2,000 peers", 100_000, time.perf_counter() - started)
    policy = AnnouncePolicy()
    query = (
        f"info_hash={_percent(_HASH)}&peer_id={_percent(bytes(20))}&port=6881&uploaded=0"
        "&downloaded=0&left=0&compact=1&event=started&key=1A2B3C4D&numwant=50"
    )
    started = time.perf_counter()
    for _ in range(50_000):
        parsed = parse_announce(query, b"\x0a\0\0\1", policy)
        encode_reply(table.announce(parsed.announce, 1), parsed, policy)
    _say("the same from query to reply", 50_000, time.perf_counter() - started)


def _ask_http(at: Endpoint, keep_alive: bool) -> int:
    count, end = 0, time.perf_counter() + _SECONDS
    connection = None
    closing = "" if keep_alive else "Connection: close\r\n"
    request = (
        f"GET /announce?info_hash={_percent(_HASH)}&peer_id={_percent(bytes(20))}&port=6881"
        f"&uploaded=0&downloaded=0&left=1&compact=1&numwant=50 HTTP/1.1\r\nHost: x\r\n{closing}\r\n"
    ).encode()
    while time.perf_counter() < end:
        if connection is None:
            connection = socket.create_connection(at)
        if keep_alive:
            connection.sendall(request * 16)
            replies = 0
            while replies < 16:
                replies += connection.recv(1 << 20).count(b"HTTP/1.1 200")
            count += 16
        else:
            connection.sendall(request)
            while connection.recv(1 << 16):
                pass
            connection.close()
            connection = None
            count += 1
    return count


def _ask_udp(at: Endpoint, _keep_alive: bool) -> int:
    asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asker.connect(at)
    asker.settimeout(0.2)
    asker.send(struct.pack(">QII", 0x41727101980, 0, 1))
    connection_id = asker.recv(100)[8:]
    request = connection_id + struct.pack(
        ">II20s20sQQQIIIiH", 1, 7, _HASH, bytes(20), 0, 1, 0, 0, 0, 0, 50, 6881
    )
    count, end = 0, time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        for _ in range(32):
            asker.send(request)
        try:
            for _ in range(32):
                asker.recv(2048)
                count += 1
        except TimeoutError:
            pass
    return count


async def bench_servers() -> None:
    settings = TrackerSettings(http="127.0.0.1:0", udp="127.0.0.1:0")
    async with TrackerApp(settings) as app:
        for at in range(_SWARM):
            compact = struct.pack(">IH", 0x0A000000 + at, 6881)
            app.table.announce(
                Announce(_HASH, os.urandom(20), compact, at % 3, Event.NONE, 0), time.monotonic()
            )
        http, udp = app.addresses
        assert http is not None
        assert udp is not None
        await _measure("HTTP, kept connection", _ask_http, http, keep_alive=True)
        await _measure("HTTP, connection each", _ask_http, http, keep_alive=False)
        await _measure("UDP", _ask_udp, udp, keep_alive=True)


async def _measure(
    name: str, ask: Callable[[Endpoint, bool], int], at: Endpoint, *, keep_alive: bool
) -> None:
    cpu = time.process_time()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        asked = pool.apply_async(ask, (at, keep_alive))
        count = await asyncio.to_thread(asked.get)
    cpu = time.process_time() - cpu
    _say(f"{name} ({count / cpu:,.0f} per CPU second)", count, _SECONDS)


def _say(name: str, count: int, seconds: float) -> None:
    print(f"{name:52} {count / seconds:10,.0f} announces/s")


def main() -> None:
    bench_table()
    print("asyncio:")
    asyncio.run(bench_servers())
    print("uvloop:")
    uvloop.run(bench_servers())


if __name__ == "__main__":
    main()
