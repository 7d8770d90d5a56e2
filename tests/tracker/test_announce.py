"""HTTP announces and scrapes: every query gives a typed value or a failure to send."""

from __future__ import annotations

import math
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import bencode
from engine.errors import TrackerFailure
from engine.tracker.announce import (
    AnnouncePolicy,
    AnnounceQuery,
    encode_failure,
    encode_reply,
    encode_scrape,
    pack_host,
    parse_announce,
    parse_scrape,
)
from engine.tracker.swarm_table import Announce, Chosen, Event, Peer, Swarm, SwarmCount

POLICY = AnnouncePolicy(interval_s=1800, min_interval_s=60, default_numwant=50, max_numwant=200)
HOST = bytes([192, 0, 2, 7])
HASH = bytes(range(20))
PEER_ID = b"-SW0100-abcdefghijkl"
REQUIRED = {"info_hash": quote(HASH, safe=""), "peer_id": PEER_ID.decode(), "port": "6881"}


def query(**changes: str | None) -> str:
    merged = {**REQUIRED, "left": "5", **changes}
    return "&".join(f"{name}={value}" for name, value in merged.items() if value is not None)


def parse(text: str, **options: bool) -> AnnounceQuery:
    return parse_announce(text, HOST, POLICY, **options)


def peer(compact: bytes, peer_id: bytes = PEER_ID) -> Peer:
    made = Peer(Swarm(HASH), compact)
    made.peer_id = peer_id
    return made


def test_a_whole_announce() -> None:
    text = query(left="0", event="completed", numwant="20", uploaded="1", key="FFAB", compact="1")
    assert parse(text) == AnnounceQuery(
        Announce(HASH, PEER_ID, HOST + b"\x1a\xe1", 0, Event.COMPLETED, 20),
        compact=True,
        no_peer_id=False,
    )


@given(st.binary(min_size=20, max_size=20))
def test_any_info_hash_in_any_escaping(info_hash: bytes) -> None:
    every = "".join(f"%{byte:02X}" for byte in info_hash)
    for escaped in (quote(info_hash, safe=""), quote_plus(info_hash), every, every.lower()):
        assert parse(query(info_hash=escaped)).announce.info_hash == info_hash


@pytest.mark.parametrize("name", ["info_hash", "peer_id"])
@pytest.mark.parametrize("length", [0, 1, 19, 21, 32, 40, 5000])
def test_wrong_lengths_are_refused_for_good(name: str, length: int) -> None:
    with pytest.raises(TrackerFailure, match=name) as failure:
        parse(query(**{name: "a" * length}))
    assert failure.value.retry_in_s == math.inf


@pytest.mark.parametrize("name", ["info_hash", "peer_id", "port"])
def test_required_parameters(name: str) -> None:
    with pytest.raises(TrackerFailure, match=f"{name} is missing"):
        parse(query(**{name: None}))


@pytest.mark.parametrize("port", ["0", "65536", "-1", "x", "", "6881.0", "9" * 500, "٣", "1_0"])
def test_ports_that_are_none(port: str) -> None:
    with pytest.raises(TrackerFailure, match="port is not"):
        parse(query(port=port))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, 50),
        ("", 50),
        ("0", 0),
        ("1", 1),
        ("200", 200),
        ("201", 200),
        ("-1", 50),
        ("abc", 50),
        ("9" * 4000, 200),
        ("-" + "9" * 4000, 50),
        ("4294967296", 200),
        ("--5", 50),
    ],
)
def test_numwant(said: str | None, meant: int) -> None:
    assert parse(query(numwant=said)).announce.numwant == meant


def test_left_decides_who_is_a_seed() -> None:
    assert parse(query(left="0")).announce.left == 0
    assert parse(query(left=None)).announce.left > 0
    assert parse(query(left="")).announce.left > 0
    assert parse(query(left="9" * 3000)).announce.left > 0
    with pytest.raises(TrackerFailure, match="left"):
        parse(query(left="many"))


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (None, Event.NONE),
        ("", Event.NONE),
        ("started", Event.STARTED),
        ("stopped", Event.STOPPED),
        ("completed", Event.COMPLETED),
        ("paused", Event.NONE),
        ("STARTED", Event.NONE),
    ],
)
def test_events(said: str | None, meant: Event) -> None:
    assert parse(query(event=said)).announce.event == meant


def test_an_address_counts_only_from_the_trusted() -> None:
    text = query(ip="203.0.113.9")
    assert parse(text).announce.compact[:4] == HOST
    assert parse(text, may_name_ip=True).announce.compact[:4] == bytes([203, 0, 113, 9])
    ipv6 = parse(query(ip="2001%3Adb8%3A%3A1"), may_name_ip=True).announce.compact
    assert ipv6 == b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01" + b"\x1a\xe1"
    for wrong in ("example.org", "%ff", "1.2.3", "1.2.3.4.5"):
        with pytest.raises(TrackerFailure, match="ip is no address"):
            parse(query(ip=wrong), may_name_ip=True)


def test_the_first_of_repeated_parameters_counts() -> None:
    assert parse(query() + "&port=1&left=0").announce == parse(query()).announce


@given(st.text(max_size=300))
def test_garbage_is_refused_or_understood(text: str) -> None:
    for garbage in (text, query() + "&" + text, query(info_hash=text)):
        try:
            parsed = parse(garbage, may_name_ip=True)
        except TrackerFailure:
            continue
        assert len(parsed.announce.info_hash) == len(parsed.announce.peer_id) == 20
        assert len(parsed.announce.compact) in (6, 18)
        assert 0 <= parsed.announce.numwant <= 200


def test_undecodable_bytes_of_a_request_line_do_not_escape() -> None:
    with pytest.raises(TrackerFailure):
        parse(query(info_hash="\udcff" * 19))
    assert parse(query(info_hash="\udcff" * 20)).announce.info_hash == b"\xff" * 20


def test_compact_reply_holds_both_families() -> None:
    ipv6 = bytes(range(16)) + b"\0\x51"
    chosen = Chosen(3, 4, 9, [peer(b"\1\2\3\4\0\x50"), peer(ipv6), peer(b"\5\6\7\x08\0\x50")])
    reply = encode_reply(chosen, parse(query()), POLICY)
    assert bencode.decode(reply) == {
        b"complete": 3,
        b"downloaded": 9,
        b"incomplete": 4,
        b"interval": 1800,
        b"min interval": 60,
        b"peers": b"\1\2\3\4\0\x50\5\6\7\x08\0\x50",
        b"peers6": ipv6,
    }


def test_an_empty_compact_reply_still_has_peers() -> None:
    reply = bencode.decode_dict(encode_reply(Chosen(0, 1, 0, []), parse(query()), POLICY))
    assert reply[b"peers"] == b""
    assert b"peers6" not in reply


def test_plain_reply_names_peers() -> None:
    chosen = Chosen(0, 3, 0, [peer(b"\1\2\3\4\0\x50"), peer(bytes(15) + b"\1\0\x51")])
    reply = bencode.decode_dict(encode_reply(chosen, parse(query(compact="0")), POLICY))
    assert reply[b"peers"] == [
        {b"ip": b"1.2.3.4", b"peer id": PEER_ID, b"port": 80},
        {b"ip": b"::1", b"peer id": PEER_ID, b"port": 81},
    ]
    text = query(compact="0", no_peer_id="1")
    reply = bencode.decode_dict(encode_reply(chosen, parse(text), POLICY))
    assert reply[b"peers"] == [
        {b"ip": b"1.2.3.4", b"port": 80},
        {b"ip": b"::1", b"port": 81},
    ]


def test_failures_say_when_to_come_back() -> None:
    assert encode_failure(TrackerFailure("no")) == b"d14:failure reason2:noe"
    for seconds, minutes in ((0.0, 1), (60.0, 1), (61.0, 2), (1800.0, 30)):
        failure = bencode.decode_dict(encode_failure(TrackerFailure("no", seconds)))
        assert failure[b"retry in"] == minutes
    never = bencode.decode_dict(encode_failure(TrackerFailure("no", math.inf)))
    assert never == {b"failure reason": b"no", b"retry in": b"never"}


def test_scrapes_of_several_and_none() -> None:
    other = b"%" * 20
    text = "&".join(f"info_hash={quote(h, safe='')}" for h in (HASH, other))
    assert parse_scrape(text, 2) == [HASH, other]
    assert parse_scrape("", 2) == []
    assert parse_scrape("x=1", 2) == []
    with pytest.raises(TrackerFailure, match="at most 1"):
        parse_scrape(text, 1)
    with pytest.raises(TrackerFailure, match="19 bytes"):
        parse_scrape("info_hash=" + "a" * 19, 2)


def test_scrape_reply() -> None:
    reply = encode_scrape([SwarmCount(b"b" * 20, 1, 2, 3), SwarmCount(b"a" * 20, 0, 0, 0)])
    assert reply == (
        b"d5:filesd20:" + b"a" * 20 + b"d8:completei0e10:downloadedi0e10:incompletei0ee"
        b"20:" + b"b" * 20 + b"d8:completei1e10:downloadedi3e10:incompletei2eeee"
    )


def test_hosts_are_packed_as_the_family_they_are() -> None:
    assert pack_host("192.0.2.7") == HOST
    assert pack_host("::ffff:192.0.2.7") == HOST
    assert pack_host("::1") == bytes(15) + b"\1"
    assert pack_host("fe80::1%eth0") == b"\xfe\x80" + bytes(13) + b"\1"
