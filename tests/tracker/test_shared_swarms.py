"""Swarms that trackers share: the same answers as from one table, forgotten by Valkey itself."""

from __future__ import annotations

import asyncio
import random
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import SettingsError, TrackerFailure
from engine.tracker import shared_swarms
from engine.tracker.app import TrackerApp, TrackerSettings
from engine.tracker.shared_swarms import SharedSwarms
from engine.tracker.swarm_table import Announce, Event, Families, Limits, SwarmTable
from tests.tracker.asking import HASH, UdpAsker, announce_path, http, http_dict
from tests.tracker.test_app import eventually
from tests.tracker.test_swarm_table import HASH as SAID
from tests.tracker.test_swarm_table import OTHER, compact, compact6, say
from tests.tracker.valkey import Valkey, needs_valkey

pytestmark = needs_valkey


@pytest.fixture(scope="module")
def valkey() -> Iterator[Valkey]:
    with tempfile.TemporaryDirectory(prefix="sw-") as folder:
        made = Valkey(Path(folder))
        made.start()
        yield made
        made.stop()


class Pair:
    """Two trackers' views of the same swarms; each test has a corner of its own in Valkey."""

    def __init__(self, url: str, number: int) -> None:
        self._url, self._prefix = url, f"test-{number}:"
        self.one, self.other = self.more(), self.more()

    def more(self, *, expiry_s: float = 3600, limits: Limits | None = None) -> SharedSwarms:
        return SharedSwarms(
            self._url,
            random.Random(1),
            expiry_s=expiry_s,
            limits=limits or Limits(),
            prefix=self._prefix,
        )

    async def keys(self) -> list[bytes]:
        found: list[bytes] = await self.one._client.keys(f"{self._prefix}*")
        return found


_numbers = iter(range(1_000_000))


@pytest.fixture
async def pair(valkey: Valkey) -> AsyncIterator[Pair]:
    made = Pair(valkey.url, next(_numbers))
    yield made
    await made.one.close()
    await made.other.close()


def _told(chosen: object) -> set[bytes]:
    found = [peer.compact for peer in chosen.peers]  # type: ignore[attr-defined]
    assert len(found) == len(set(found)), "nobody is told twice of one peer"
    return set(found)


async def test_who_announces_to_one_is_told_by_the_other(pair: Pair) -> None:
    assert _told(await pair.one.announce(say(compact(1), left=0), 0)) == set()
    chosen = await pair.other.announce(say(compact(2)), 0)
    assert _told(chosen) == {compact(1)}
    assert chosen.peers[0].peer_id == compact(1).rjust(20, b"-")
    assert (chosen.seeds, chosen.leechers) == (1, 1)
    assert await pair.one.counts([HASH, b"h" * 20], 0) == [
        (HASH, 0, 0, 0),
        (b"h" * 20, 1, 1, 0),
    ]
    gone = await pair.one.announce(say(compact(2), event=Event.STOPPED), 0)
    assert (gone.seeds, gone.leechers, gone.peers) == (1, 0, [])
    await pair.other.announce(say(compact(1), event=Event.STOPPED), 0)
    census = await pair.other.census(50, 0)
    assert (census.torrents, census.peers, census.largest) == (0, 0, [])


_ANNOUNCES = st.lists(
    st.builds(
        Announce,
        st.sampled_from([b"h" * 20, OTHER]),
        st.sampled_from([b"p" * 20, b"q" * 20]),
        st.sampled_from([compact(1), compact(2), compact(3), compact6(1), compact6(2)]),
        st.integers(0, 1),
        st.sampled_from(Event),
        st.sampled_from([0, 1, 50]),
        st.sampled_from(Families),
    ),
    max_size=25,
)


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(announces=_ANNOUNCES)
async def test_it_answers_as_the_table_of_one_tracker_does(
    valkey: Valkey, announces: list[Announce]
) -> None:
    """Counts are the same, and so are the peers where all of them are told."""
    pair = Pair(valkey.url, next(_numbers))
    table = SwarmTable(random.Random(1))
    try:
        for number, announce in enumerate(announces):
            wanted = table.announce(announce, 0)
            found = await (pair.one if number % 2 else pair.other).announce(announce, 0)
            assert found[:3] == wanted[:3]
            assert len(_told(found)) <= announce.numwant
            if announce.numwant == 50 and announce.families != Families.BOTH:
                assert _told(found) == {peer.compact for peer in wanted.peers}
        census = await pair.one.census(50, 0)
        assert census[:6] == (
            *(table.torrents, table.peers, table.seeds, table.leechers),
            *(table.ipv6_peers, table.downloads),
        )
        assert census.largest is not None
        assert [each for each in table.largest(50) if each.seeds + each.leechers] == census.largest
    finally:
        await pair.one.close()
        await pair.other.close()


async def test_numwant_is_drawn_evenly_and_not_read_whole(pair: Pair) -> None:
    for number in range(300):
        await pair.one.announce(say(compact(number), left=number % 2, numwant=0), 0)
    asker = say(compact(999), numwant=10)
    seen = [_told(await pair.other.announce(asker, 0)) for _ in range(200)]
    assert {len(each) for each in seen} == {10}
    times = [sum(compact(number) in each for each in seen) for number in range(300)]
    assert times.count(0) < 15
    assert max(times) < 40  # 6.7 on average; Valkey's own draw is only nearly even
    commands = await pair.one._client.info("commandstats")
    assert "cmdstat_hgetall" not in commands
    assert "cmdstat_hkeys" not in commands


async def test_valkey_forgets_who_is_silent_and_keeps_nothing(pair: Pair) -> None:
    brief = pair.more(expiry_s=2)  # spans of a second
    try:
        await brief.announce(say(compact(1), left=0), 0)
        told: set[bytes] = set()

        async def is_gone() -> bool:
            nonlocal told
            told = _told(await brief.announce(say(compact(2)), 0))
            return not told

        assert not await is_gone()
        assert told == {compact(1)}
        await eventually(is_gone)
        assert (await brief.counts([b"h" * 20], 0))[0][1:] == (0, 1, 0)
        census = await brief.census(50, 0)
        assert (census.torrents, census.peers) == (1, 1)

        async def is_empty() -> bool:
            return not await pair.keys()

        await eventually(is_empty)
    finally:
        await brief.close()


async def test_every_key_expires(pair: Pair) -> None:
    await pair.one.announce(say(compact(1)), 0)
    await pair.one.announce(say(compact(1), left=0, event=Event.COMPLETED), 0)
    await pair.one.announce(say(compact6(1)), 0)
    total = f"{pair._prefix}d".encode()
    for key in await pair.keys():
        assert (await pair.one._client.ttl(key) > 0) == (key != total), key


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        ({"max_torrents": 1}, "this tracker is full"),
        ({"max_torrents": 3, "max_torrents_per_host": 1}, "too many torrents from your address"),
        ({"max_peers": 1}, "this tracker is full"),
    ],
)
async def test_limits_refuse_further_torrents(pair: Pair, limits: dict[str, int], why: str) -> None:
    bounded = pair.more(limits=replace(Limits(), **limits))
    try:
        await bounded.announce(say(compact(1)), 0)
        for number in (2, 1):
            with pytest.raises(TrackerFailure, match=why):
                await bounded.announce(say(compact(1), info_hash=bytes([number]) * 20), 0)
                await bounded.announce(say(compact(1), info_hash=bytes([9]) * 20), 0)
        assert (await bounded.counts([b"h" * 20], 0))[0][1:] == (0, 1, 0)
    finally:
        await bounded.close()


async def test_limits_of_one_swarm(pair: Pair) -> None:
    bounded = pair.more(limits=Limits(max_peers_per_torrent=3, max_peers_per_host=2))
    try:
        for port in (1, 2):
            await bounded.announce(say(compact(1, port)), 0)
        with pytest.raises(TrackerFailure, match="too many peers from your address"):
            await bounded.announce(say(compact(1, 3)), 0)
        await bounded.announce(say(compact(1, 2)), 0)
        for number in range(2, 9):
            chosen = await bounded.announce(say(compact(number), left=0), 0)
            assert chosen.seeds + chosen.leechers <= 3
        assert (await bounded.census(50, 0)).peers == 3
    finally:
        await bounded.close()


# ── whole trackers ──────────────────────────────────────────────────────────────────────────────


def _settings(url: str) -> TrackerSettings:
    return TrackerSettings(http="127.0.0.1:0", udp="127.0.0.1:0", shared=url)


async def test_two_trackers_over_http_and_udp_give_each_others_peers(valkey: Valkey) -> None:
    await _flush(valkey)
    async with TrackerApp(_settings(valkey.url)) as one, TrackerApp(_settings(valkey.url)) as other:
        assert one.addresses.http is not None
        assert other.addresses.http is not None
        assert other.addresses.udp is not None
        reply = await http_dict(one.addresses.http, announce_path(port=1001, left=0))
        assert reply[b"peers"] == b""
        asker = UdpAsker(other.addresses.udp)
        try:
            answer = await asker.announce(port=1002)
            assert answer[8:] == struct.pack(">III4sH", 1800, 1, 1, bytes([127, 0, 0, 1]), 1001)
            # An id that one gave out is good at the other: they stand behind one address.
            assert one.addresses.udp is not None
            second = UdpAsker(one.addresses.udp)
            try:
                scrape = await second.ask(
                    await asker.connect() + struct.pack(">I4s", 2, b"txn3") + HASH
                )
            finally:
                second.close()
            assert scrape == struct.pack(">I4sIII", 2, b"txn3", 1, 0, 1)
        finally:
            asker.close()
        named = f"/scrape?info_hash={quote(HASH, safe='')}"
        for target in (named, "/scrape"):
            found = await http_dict(other.addresses.http, target)
            wanted = {b"complete": 1, b"downloaded": 0, b"incomplete": 1}
            assert found == {b"files": {HASH: wanted}}
        status, _, body = await http(other.addresses.http, "/stats.json")
        assert status == 200
        assert b'"peers":2' in body.replace(b" ", b"")


async def _flush(valkey: Valkey) -> None:
    swarms = SharedSwarms(valkey.url, random.Random(1), expiry_s=60, limits=Limits())
    await swarms._client.flushall()
    await swarms.close()


async def test_a_dead_valkey_is_told_to_clients_and_its_return_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared_swarms, "TIMEOUT_S", 0.2)
    caplog.set_level("INFO")
    with tempfile.TemporaryDirectory(prefix="sw-") as folder:
        own = Valkey(Path(folder))
        own.start()
        try:
            async with TrackerApp(_settings(own.url)) as app:
                at, udp = app.addresses
                assert at is not None
                assert udp is not None
                await http_dict(at, announce_path())
                own.stop()
                for _ in range(3):
                    reply = await http_dict(at, announce_path())
                    assert reply == {
                        b"failure reason": b"this tracker cannot reach what it knows: "
                        b"try again soon",
                        b"retry in": 1,
                    }
                asker = UdpAsker(udp)
                try:
                    answer = await asker.announce()
                    assert answer[:4] == struct.pack(">I", 3)
                    assert answer[8:].startswith(b"this tracker cannot reach")
                finally:
                    asker.close()
                assert (await http(at, "/"))[0] == (await http(at, "/stats.json"))[0] == 503
                own.start()

                async def serves() -> bool:
                    return b"peers" in await http_dict(at, announce_path())

                await eventually(serves)
        finally:
            own.stop()
    assert caplog.text.count("Valkey does not answer") == 1
    assert caplog.text.count("Valkey answers again") == 1


async def test_what_others_wrote_costs_its_swarm_and_no_other(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    await pair.one.announce(say(compact(1)), 0)
    (peers,) = [each for each in await pair.keys() if each.endswith(b":0")]
    await pair.one._client.set(peers.replace(SAID.hex().encode(), OTHER.hex().encode()), "x")
    for _ in range(3):
        with pytest.raises(TrackerFailure, match="cannot reach what it knows"):
            await pair.one.announce(say(compact(2), info_hash=OTHER), 0)
        assert _told(await pair.one.announce(say(compact(2)), 0)) == {compact(1)}
    assert caplog.text.count("WRONGTYPE") == 1


async def test_peers_and_names_that_are_none_are_left_out(pair: Pair) -> None:
    await pair.one.announce(say(compact(1)), 0)
    keys = await pair.keys()
    (peers,) = [each for each in keys if each.endswith(b":0")]
    (names,) = [each for each in keys if b":t:" in each]
    client = pair.one._client
    value = bytes(21)
    await client.hset(peers, mapping={b"": value, bytes(7): value, bytes(6): b"short"})
    await client.sadd(names, "no hash", "abcd")
    await client.set(peers.rpartition(b":")[0].rpartition(b":")[0] + b":d", "many")
    await client.set(f"{pair._prefix}d", "many")
    chosen = await pair.one.announce(say(compact(2)), 0)
    assert _told(chosen) == {compact(1)}
    assert chosen.downloads == 0
    census = await pair.one.census(10, 0)
    assert census.largest is not None
    assert [each.info_hash for each in census.largest] == [SAID]
    assert census.downloads == 0


async def test_a_start_without_valkey_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Valkey does not answer"):
        await TrackerApp(_settings(f"unix://{tmp_path}/none")).start()
    for wrong in ("http://here", "redis://host:no"):
        with pytest.raises(SettingsError):
            TrackerApp(_settings(wrong))


async def test_requests_under_way_are_bounded(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_swarms, "_UNDER_WAY", 5)
    asked = [pair.one.announce(say(compact(number)), 0) for number in range(20)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    busy = [each for each in found if isinstance(each, TrackerFailure)]
    assert 0 < len(busy) < 20
    assert {str(each) for each in busy} == {"this tracker is busy"}


def test_the_client_library_is_not_loaded_unless_asked_for() -> None:
    code = "import sys, engine.tracker.app; print('redis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
