"""Dispatch: every method reaches its port method with checked arguments, or a coded error."""

from __future__ import annotations

import json
import os

import msgspec
import pytest

from engine.control import schema
from engine.control.dispatch import decode_request, serve
from engine.control.framing import Call
from engine.control.schema import Accepted, Empty, Request
from engine.control.subscriptions import Subscriptions
from engine.core.compact import Endpoint
from engine.errors import BadRequestError, DuplicateTorrentError, UnknownTorrentError
from tests.fakes.fake_engine import FakeEngine


def call(method: str, params: object) -> Call:
    return Call("2.0", method, msgspec.Raw(json.dumps(params).encode()), 1)


async def ask(engine: FakeEngine, request: Request) -> object:
    return await serve(engine, Subscriptions(engine), request)


def example(kind: type[Request], torrent: str) -> Request:
    values = {
        "torrent": torrent,
        "torrents": [torrent],
        "peer": "127.0.0.1:6881",
        "address": "[2001:db8::1]",
        "source": "http://example.org/a.torrent",
        "id": 1,
        "info_hash": torrent,
        "node": "127.0.0.1:6881",
        "target": "ab" * 20,
    }
    if kind is schema.Subscribe:
        return schema.Subscribe()
    return kind(**{key: each for key, each in values.items() if key in kind.__struct_fields__})


@pytest.mark.parametrize("kind", schema.REQUESTS)
async def test_every_request_is_served_with_its_reply_type(kind: type[Request]) -> None:
    engine = FakeEngine(12)
    subscriptions = Subscriptions(engine)
    subscriptions.open(schema.Subscribe())
    request = example(kind, next(iter(engine.torrents)))
    sent = json.loads(msgspec.json.encode(request))
    assert decode_request(call(kind.METHOD, sent)) == request
    reply = await serve(engine, subscriptions, request)
    assert msgspec.convert(msgspec.to_builtins(reply), kind.reply) == reply


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("no.such", {}, -32601),
        ("torrent.get", {}, -32602),
        ("torrent.get", [1], -32602),
        ("torrent.get", None, -32602),
        ("torrent.get", {"torrent": 5}, -32602),
        ("torrent.pause", {"torrents": "all"}, -32602),
        ("torrent.add", {"metainfo": "not base64!"}, -32602),
        ("view.subscribe", {"view": {"sort": "colour"}}, -32602),
        ("view.subscribe", {"view": {"limit": 1e300}}, -32602),
    ],
)
def test_bad_calls_are_refused_with_their_code(method: str, params: object, code: int) -> None:
    with pytest.raises(BadRequestError) as caught:
        decode_request(call(method, params))
    assert caught.value.code == code
    assert method in str(caught.value)


def test_fields_of_a_newer_client_are_ignored() -> None:
    assert decode_request(call("session.status", {"colour": 1})) == schema.Status()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (schema.Pause, "pause"),
        (schema.Resume, "resume"),
        (schema.Recheck, "recheck"),
        (schema.Announce, "announce"),
    ],
)
async def test_commands_reach_whom_they_name(kind: type[schema.Pause], name: str) -> None:
    engine = FakeEngine(12)
    one, two, *_ = engine.torrents
    wanted = kind(torrents=[engine.torrents[two].name, one[:8], two])
    assert await ask(engine, wanted) == Accepted([two, one])
    assert await ask(engine, kind(torrents=None)) == Accepted(list(engine.torrents))
    assert await ask(engine, kind(torrents=[])) == Accepted([])
    assert engine.calls == [(name, [two, one]), (name, list(engine.torrents)), (name, [])]


async def test_nothing_is_done_when_one_of_several_is_unknown() -> None:
    engine = FakeEngine(12)
    before = dict(engine.torrents)
    with pytest.raises(UnknownTorrentError):
        await ask(engine, schema.Remove(torrents=[next(iter(before)), "nobody"]))
    assert engine.calls == []
    assert engine.torrents == before


async def test_remove_add_peer_limits_and_shutdown() -> None:
    engine = FakeEngine(12)
    one, two, *_ = engine.torrents
    await ask(engine, schema.AddPeer(torrents=[one], peer="[0:0::1]:80"))
    await ask(engine, schema.AddPeer(torrents=[one], peer="localhost:81"))
    await ask(engine, schema.Remove(torrents=[two], delete_data=True))
    assert two not in engine.torrents
    assert await ask(engine, schema.SetLimits(torrent=one, down=5)) == schema.SetLimits.Reply(
        down=5, up=0
    )
    assert await ask(engine, schema.SetLimits(up=7)) == schema.SetLimits.Reply(down=0, up=7)
    assert await ask(engine, schema.Shutdown()) == Empty()
    assert engine.calls == [
        ("add_peer", [one], Endpoint("::1", 80)),
        ("add_peer", [one], Endpoint("::1", 81)),
        ("remove", [two], True),
        ("set_limits", one, 5, None),
        ("set_limits", None, None, 7),
        ("shut_down",),
    ]


@pytest.mark.parametrize(
    "request_",
    [
        schema.AddTorrent(),
        schema.AddTorrent(metainfo=b"de", source="http://x"),
        schema.AddTorrent(source="http://x", save_path="relative/path"),
        schema.AddTorrent(source="http://x", save_path="/zero\0byte"),
        schema.AddTorrent(source="http://x", peers=["name.example:1"]),
        schema.AddPeer(torrents=None, peer="1.2.3.4"),
        schema.AddPeer(torrents=None, peer="1.2.3.4:0"),
        schema.AddPeer(torrents=None, peer="nobody.example:1"),
        schema.SetLimits(down=-1),
        schema.SetLimits(up=1 << 60),
        schema.Hello(version=99),
        schema.Unsubscribe(id=3),
    ],
)
async def test_unsound_requests_never_reach_the_engine(request_: Request) -> None:
    engine = FakeEngine(1)
    with pytest.raises(BadRequestError):
        await ask(engine, request_)
    assert engine.calls == []


async def test_adding_answers_with_the_row() -> None:
    engine = FakeEngine(1)
    request = schema.AddTorrent(source="http://example.org/new.torrent", paused=True)
    row = await ask(engine, request)
    assert isinstance(row, schema.TorrentRow)
    assert (row.name, row.state) == ("new", schema.TorrentState.PAUSED)
    with pytest.raises(DuplicateTorrentError):
        await ask(engine, request)


async def test_hello_says_who_answers() -> None:
    assert await ask(FakeEngine(0), schema.Hello(client="test")) == schema.Hello.Reply(
        version=schema.VERSION, engine="seedwright 0.1.0", pid=os.getpid()
    )
