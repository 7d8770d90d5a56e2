"""Requests about the DHT, by two real sessions: what is served, refused, and how many lookups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from engine.control import dht_requests, schema
from engine.control.dht_requests import MAX_LOOKUPS, DhtRequests, dht_row
from engine.core.identifiers import InfoHash
from engine.core.magnet import Magnet
from engine.discovery.dht.items import encode_value, signed_item
from engine.errors import BadRequestError, ControlError
from engine.session.session import Session
from engine.session.signatures import Signer
from tests.end_to_end.dht_rig import dht_options
from tests.end_to_end.rig import running, until

HASH = "ab" * 20


@pytest.fixture
async def sessions() -> AsyncIterator[tuple[Session, Session]]:
    async with running(dht_options()) as first, running(dht_options(first)) as second:
        await until(second, lambda: bool(second.dht.joined))
        yield first, second


async def test_a_lookup_is_asked_again_until_it_is_finished(
    sessions: tuple[Session, Session],
) -> None:
    requests = DhtRequests(sessions[1].dht)
    told = await requests.serve(schema.DhtLookup(info_hash=HASH))
    assert isinstance(told, schema.DhtLookup.Reply)
    assert told.is_finished
    assert (told.peers, told.asked, told.answered, told.hops) == ([], 1, 1, 1)
    assert told.nearest == [f"127.0.0.1:{sessions[0].udp.port}"]
    with pytest.raises(BadRequestError, match="no lookup"):
        await requests.serve(schema.DhtLookup(info_hash=HASH, lookup=told.lookup))


async def test_lookups_of_clients_that_went_away_are_few(
    sessions: tuple[Session, Session],
) -> None:
    requests = DhtRequests(sessions[1].dht)
    for number in range(3 * MAX_LOOKUPS):
        asking = asyncio.ensure_future(requests.serve(schema.DhtLookup(info_hash=f"{number:040x}")))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert len(requests._lookups) == MAX_LOOKUPS


async def test_an_answer_comes_also_without_news(
    sessions: tuple[Session, Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dht_requests, "NEWS_WITHIN_S", 0.0)
    requests = DhtRequests(sessions[1].dht)
    told = await requests.serve(schema.DhtLookup(info_hash=HASH))
    assert isinstance(told, schema.DhtLookup.Reply)
    monkeypatch.undo()
    while not told.is_finished:
        told = await requests.serve(schema.DhtLookup(info_hash=HASH, lookup=told.lookup))
        assert isinstance(told, schema.DhtLookup.Reply)


@pytest.mark.parametrize(
    "request_",
    [
        schema.DhtLookup(info_hash="zz"),
        schema.DhtPing(node="nowhere"),
        schema.DhtAdd(node="127.0.0.1:0"),
        schema.DhtGet(target="12"),
        schema.DhtGet(target="zz"),
        schema.DhtGet(target="ab" * 32, salt=b"s" * 65),
        schema.DhtPut(value=b"not bencoded"),
        schema.DhtPut(value=encode_value(b"x"), key=b"k" * 32, signature=b"s" * 64),
        schema.DhtPut(value=encode_value(b"x"), key=b"k", seq=-1),
    ],
)
async def test_nonsense_is_refused(
    sessions: tuple[Session, Session], request_: schema.DhtRequest
) -> None:
    with pytest.raises(BadRequestError):
        await DhtRequests(sessions[1].dht).serve(request_)


async def test_an_older_item_does_not_replace_a_newer_one(
    sessions: tuple[Session, Session],
) -> None:
    requests, signer = DhtRequests(sessions[1].dht), Signer(b"k" * 32)
    for seq, stored in ((5, 1), (4, 0), (6, 1)):
        item = signed_item(signer.key, seq, seq, signer.sign)
        told = await requests.serve(
            schema.DhtPut(value=item.value, key=item.key, seq=seq, signature=item.signature)
        )
        assert isinstance(told, schema.DhtPut.Reply)
        assert told.stored == stored
    found = await requests.serve(schema.DhtGet(target=signer.key.hex()))
    assert isinstance(found, schema.DhtGet.Reply)
    assert (found.seq, found.value) == (6, b"i6e")


async def test_status_goes_over_the_wire(sessions: tuple[Session, Session]) -> None:
    told = await DhtRequests(sessions[0].dht).serve(schema.DhtStatus())
    assert isinstance(told, schema.DhtInfo)
    assert msgspec.json.decode(msgspec.json.encode(told), type=schema.DhtInfo) == told
    assert told.port == sessions[0].udp.port


async def test_off_says_so(tmp_path: Path) -> None:
    async with running() as session:
        requests = DhtRequests(session.dht)
        told = await requests.serve(schema.DhtStatus())
        assert isinstance(told, schema.DhtInfo)
        assert (told.port, told.nodes) == (0, [])
        with pytest.raises(ControlError, match="off"):
            await requests.serve(schema.DhtPing(node="127.0.0.1:1"))


async def test_the_row_of_a_torrent_follows_its_searches(
    sessions: tuple[Session, Session], tmp_path: Path
) -> None:
    session = sessions[1]
    link = Magnet(InfoHash(bytes.fromhex(HASH)))
    torrent = await session.add(link, save_path=tmp_path, paused=True)
    assert dht_row(session, torrent).state is schema.TrackerState.IDLE
    torrent.start()
    await until(session, lambda: dht_row(session, torrent).state is schema.TrackerState.WORKING)
    row = dht_row(session, torrent)
    assert (row.message, row.tier, row.url) == ("0 peers", -1, "DHT")
    assert row.next_announce_in_s
    assert row.last_announce_at
