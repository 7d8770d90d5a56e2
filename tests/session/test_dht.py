"""The session's nodes over real sockets: joining, asking, names, restarts, hostile datagrams."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import select
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.discovery.dht.flood_guard import BURST, QUERIES_PER_S
from engine.discovery.dht.items import ImmutableItem, encode_value, signed_item
from engine.discovery.dht.purpose import FindItem, FindMutableItem, FindNodes
from engine.errors import InputError
from engine.net.route import Route
from engine.net.udp_endpoint import Kind, UdpEndpoint
from engine.net.utp_multiplexer import UtpMultiplexer
from engine.session.dht import Dht, NoAnswer, Search
from engine.session.options import DhtOptions
from engine.session.signatures import Signer, verify
from engine.session.state_db import StateDb

HOST = "127.0.0.1"


class Nodes:
    """Nodes of this process, each with a UDP port of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.tasks: set[asyncio.Task[None]] = set()
        self.made: list[tuple[Dht, UdpEndpoint]] = []

    def spawn(self, coroutine):  # type: ignore[no-untyped-def]
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def make(
        self,
        *bootstrap: str | Dht,
        host: str = HOST,
        state: StateDb | None = None,
        is_read_only: bool = False,
    ) -> Dht:
        names = tuple(each if isinstance(each, str) else str(at(each)) for each in bootstrap)
        udp = UdpEndpoint(self.loop, Route(host or None))
        udp.open(0)
        options = DhtOptions(is_enabled=True, bootstrap=names, is_read_only=is_read_only)
        dht = Dht(self.loop, udp, options, self.spawn, state)
        await dht.start()
        self.made.append((dht, udp))
        return dht

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)

    async def search(self, dht: Dht, make) -> Search:  # type: ignore[no-untyped-def]
        ended: asyncio.Future[Search] = self.loop.create_future()
        dht.search(make, ended.set_result)
        async with asyncio.timeout(20):
            return await ended

    async def close(self) -> None:
        for dht, udp in self.made:
            await dht.stop()
            udp.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def nodes() -> AsyncIterator[Nodes]:
    made = Nodes()
    try:
        yield made
    finally:
        await made.close()


def at(dht: Dht) -> Endpoint:
    return Endpoint(HOST, dht.port)


async def test_local_nodes_are_taken_as_contacts(nodes: Nodes) -> None:
    first = await nodes.make()
    others = [await nodes.make(first) for _ in range(5)]
    await nodes.until(lambda: all(other.joined for other in others))
    await nodes.until(lambda: first.node_count == 5 and bool(first.joined))


async def test_a_name_is_looked_up_when_nobody_is_known(nodes: Nodes) -> None:
    first = await nodes.make()
    second = await nodes.make(f"localhost:{first.port}")
    await nodes.until(lambda: bool(second.joined))


async def test_ping_says_who_is_there_and_how_far(nodes: Nodes) -> None:
    first, second = await nodes.make(), await nodes.make()
    for _ in range(2):  # unknown, then known
        node_id, took_s = await first.ping(at(second))
        assert node_id == second.nodes[False].node_id
        assert 0 <= took_s < 20


async def test_ping_of_nobody_says_so(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.session.dht.TIMEOUT_S", 0.2)
    node = await nodes.make()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((HOST, 0))
        with pytest.raises(NoAnswer, match="does not answer"):
            await node.ping(Endpoint(HOST, silent.getsockname()[1]))
    with pytest.raises(InputError, match="IPv6"):
        await node.ping(Endpoint("::1", 1))


async def test_who_is_filtered_is_neither_heard_nor_spoken_with(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.session.dht.TIMEOUT_S", 0.2)
    filtering = await nodes.make()
    filtering.is_shut_to = lambda host: host == HOST
    other = await nodes.make(filtering)
    for asker, asked in ((other, filtering), (filtering, other)):
        with pytest.raises(NoAnswer):
            await asker.ping(at(asked))
    assert not filtering.node_count
    assert not other.node_count
    filtering.is_shut_to = lambda host: False
    await other.ping(at(filtering))


async def test_both_families_have_a_node_and_help_each_other(nodes: Nodes) -> None:
    both = await nodes.make(host="")
    if len(both.nodes) < 2:
        pytest.skip("this machine has no IPv6")
    assert both.nodes[False].sibling is both.nodes[True]
    other = await nodes.make(host="::1")
    node_id, _ = await other.ping(Endpoint("::1", both.port))
    assert node_id == both.nodes[True].node_id


async def test_items_are_kept_by_others(nodes: Nodes) -> None:
    first = await nodes.make()
    second, third = await nodes.make(first), await nodes.make(first)
    await nodes.until(lambda: bool(second.joined and third.joined))
    item = ImmutableItem(encode_value(b"hello"))
    await nodes.search(second, lambda: FindItem(item.target, item))
    found = await nodes.search(third, lambda: FindItem(item.target))
    (part,) = found.finished
    assert isinstance(part.purpose, FindItem)
    assert part.purpose.item == item

    signer = Signer(b"k" * 32)
    signed = signed_item(signer.key, 1, b"news", signer.sign)
    await nodes.search(
        second, lambda: FindMutableItem(signer.key, verify, publish=lambda _newest: signed)
    )
    found = await nodes.search(third, lambda: FindMutableItem(signer.key, verify))
    assert isinstance(found.finished[0].purpose, FindMutableItem)
    assert found.finished[0].purpose.item == signed


async def test_a_cancelled_search_is_silent(nodes: Nodes) -> None:
    first = await nodes.make()
    second = await nodes.make(first)
    await nodes.until(lambda: bool(second.joined))
    ended: list[Search] = []
    search = second.search(lambda: FindNodes(bytes(20)), ended.append)
    second.cancel(search)
    await nodes.search(second, lambda: FindNodes(bytes(20)))
    assert not ended


async def test_a_search_without_any_node_ends(nodes: Nodes) -> None:
    udp = UdpEndpoint(nodes.loop, Route())  # its port was taken
    dht = Dht(nodes.loop, udp, DhtOptions(is_enabled=True), nodes.spawn)
    await dht.start()
    assert not dht.is_running
    assert dht.port == 0
    assert not (await nodes.search(dht, lambda: FindNodes(bytes(20)))).finished


async def test_a_read_only_node_asks_and_does_not_answer(nodes: Nodes) -> None:
    first = await nodes.make()
    reader = await nodes.make(first, is_read_only=True)
    await nodes.until(lambda: bool(reader.joined))
    assert not first.node_count
    assert not reader.nodes[False].counters.answered


async def test_what_was_kept_is_where_the_next_run_begins(nodes: Nodes, tmp_path: Path) -> None:
    first = await nodes.make()
    state = StateDb(tmp_path / "state.db")
    try:
        second = await nodes.make(first, state=state)
        await nodes.until(lambda: bool(second.joined))
        node_id = second.nodes[False].node_id
        await second.stop()
        again = await nodes.make(state=state)
        assert again.nodes[False].node_id == node_id
        await nodes.until(lambda: bool(again.joined))
        await again.stop()
        await state.run(state.keep, {"dht_ipv4": b"rubbish"})
        fresh = await nodes.make(state=state)
        assert fresh.nodes[False].node_id != node_id
        await fresh.stop()
    finally:
        state.close()


async def test_state_is_kept_without_a_proper_end(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.session.dht.KEEP_SOON_S", 0.1)
    state = StateDb(tmp_path / "state.db")
    try:
        first = await nodes.make()
        second = await nodes.make(first, state=state)
        await nodes.until(lambda: bool(second.joined))
        async with asyncio.timeout(20):
            kept = b""
            while first.nodes[False].node_id not in kept:
                await asyncio.sleep(0.02)
                kept = b"".join((await state.run(state.kept)).values())
        await second.stop()
    finally:
        state.close()


# ── what strangers send ─────────────────────────────────────────────────────────────────────────


def hostile_datagrams(rng: random.Random) -> list[bytes]:
    ping = b"d1:ad2:id20:" + b"i" * 20 + b"e1:q4:ping1:t2:aa1:y1:qe"
    reply = b"d1:rd2:id20:" + b"i" * 20 + b"e1:t2:aa1:y1:re"
    return [
        b"d",
        b"d" * 1400,
        b"d1:" + b"l" * 60_000,
        b"d1:ad" + b"d1:a" * 300,
        ping[:-1],
        ping + b"x",
        reply,
        b"d1:eli201e1:xe1:t2:aa1:y1:ee",
        b"d1:ad2:id3:abce1:q4:ping1:t2:aa1:y1:qe",
        b"d1:q400:" + b"q" * 400 + b"1:t2:aa1:y1:qe",
        *(b"d" + rng.randbytes(rng.randrange(1400)) for _ in range(50)),
    ]


async def test_hostile_datagrams_are_counted_and_nothing_more(
    nodes: Nodes, caplog: pytest.LogCaptureFixture
) -> None:
    victim, friend = await nodes.make(), await nodes.make()
    with caplog.at_level(logging.DEBUG), contextlib.ExitStack() as stack:
        senders = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(20)
        ]
        sent = 0
        for sender in senders:
            sender.bind((HOST, 0))
            for datagram in hostile_datagrams(random.Random(os.urandom(8))):
                sender.sendto(datagram, at(victim))
                sent += 1
            await asyncio.sleep(0)
        counters = victim.nodes[False].counters
        await nodes.until(lambda: counters.received >= sent)
        assert counters.malformed
        assert counters.malformed + counters.flooding > sent // 2
    assert [record for record in caplog.records if record.name.startswith("engine")] == []
    assert await friend.ping(at(victim))  # it lives


async def test_a_flood_costs_no_memory_and_is_not_answered_for_long(nodes: Nodes) -> None:
    victim = await nodes.make()
    node = victim.nodes[False]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flooder:
        flooder.bind((HOST, 0))

        async def flood(count: int) -> None:
            before = node.counters.received
            for number in range(count):
                info_hash = number.to_bytes(20, "big")
                flooder.sendto(
                    b"d1:ad2:id20:"
                    + info_hash
                    + b"9:info_hash20:"
                    + info_hash
                    + b"e1:q9:get_peers1:t2:aa1:y1:qe",
                    at(victim),
                )
                if number % 50 == 0:
                    await asyncio.sleep(0)
            await nodes.until(lambda: node.counters.received >= before + count * 9 // 10)

        await flood(1000)
        gc.collect()
        before = sys.getallocatedblocks()
        counted, began = replace(node.counters), time.monotonic()
        await flood(10_000)
        gc.collect()
        assert sys.getallocatedblocks() - before < 2000
        read = node.counters.received - counted.received - node.counters.flooding + counted.flooding
        may_be_read = 1 + BURST + QUERIES_PER_S * (time.monotonic() - began)
        assert node.counters.answered - counted.answered <= read <= may_be_read


async def test_only_krpc_reaches_the_nodes(nodes: Nodes) -> None:
    dht = await nodes.make()
    udp = nodes.made[0][1]
    heard: list[bytes] = []
    udp.receivers[Kind.UTP] = lambda datagram, _source: heard.append(bytes(datagram))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"\x41utp", at(dht))
        await nodes.until(lambda: bool(heard))
    assert not dht.nodes[False].counters.received


async def test_others_are_told_of_our_port_as_they_see_it_if_peers_get_in_there(
    nodes: Nodes,
) -> None:
    dht = await nodes.make()
    assert not dht.takes_utp
    UtpMultiplexer(nodes.loop, nodes.made[0][1], memoryview(bytearray(99)), random.Random())
    assert dht.takes_utp


async def test_nodes_of_peers_are_met_a_few_at_a_time(nodes: Nodes) -> None:
    dht = await nodes.make()
    with contextlib.ExitStack() as open_until:
        others = [
            open_until.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            for _ in range(8)
        ]
        for other in others:
            other.bind((HOST, 0))
            dht.met(Endpoint(HOST, other.getsockname()[1]))

        def asked() -> int:
            return len(select.select(others, (), (), 0)[0])

        await nodes.until(lambda: asked() > 0)
        assert asked() <= 5
        await nodes.until(lambda: asked() == len(others))


async def test_peers_that_tell_of_many_nodes_are_not_followed(nodes: Nodes) -> None:
    dht = await nodes.make()
    for port in range(1, 1000):
        dht.met(Endpoint(HOST, 10_000 + port))
    node = dht.nodes[False]
    await nodes.until(lambda: node.counters.sent > 0)
    assert node.counters.sent <= 5
    assert len(dht._met) <= 50
