"""HTTP announces and scrapes, byte for byte, and replies of every kind."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core import bencode, compact
from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash, PeerId
from engine.discovery.announce import (
    DEFAULT_INTERVAL_S,
    MAX_INTERVAL_S,
    MAX_PEERS,
    AnnounceEvent,
    AnnounceRequest,
    SwarmCounts,
)
from engine.discovery.http_tracker import (
    announce_url,
    is_failure,
    parse_announce,
    parse_scrape,
    scrape_url,
)
from engine.errors import TrackerFailure, TrackerReplyError

HASH = InfoHash(bytes(range(0x78, 0x8C)))
REQUEST = AnnounceRequest(
    info_hash=InfoHash(
        b"\x12\x34\x56\x78\x9a\xbc\xde\xf1\x23\x45\x67\x89\xab\xcd\xef\x12\x34\x56\x78\x9a"
    ),
    peer_id=PeerId(b"-SW0100-~._- /?&=+%a"),
    port=6881,
    uploaded=1,
    downloaded=2,
    left=3,
    key=0xABC,
)

endpoints_v4 = st.builds(
    Endpoint, st.ip_addresses(v=4).map(str), st.integers(min_value=1, max_value=65535)
)
endpoints_v6 = st.builds(
    Endpoint,
    st.ip_addresses(v=6).map(str).filter(lambda host: not host.startswith("::ffff:")),
    st.integers(min_value=1, max_value=65535),
)


def _query(url: str) -> dict[str, bytes]:
    pairs = (pair.split("=", 1) for pair in urlsplit(url).query.split("&"))
    return {name: unquote_to_bytes(value) for name, value in pairs}


# ── what is asked ──────────────────────────────────────────────────────────────────────────────


def test_an_announce_is_encoded_exactly() -> None:
    assert announce_url("http://tracker.example/announce", REQUEST) == (
        "http://tracker.example/announce?"
        "info_hash=%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A"
        "&peer_id=-SW0100-~._-%20%2F%3F%26%3D%2B%25a"
        "&port=6881&uploaded=1&downloaded=2&left=3&compact=1&no_peer_id=1&numwant=200&key=00000ABC"
    )


def test_trackers_hear_what_we_want_of_encryption() -> None:
    """As Vuze has it, and who knows the words gives those peers that fit."""
    plain = announce_url("http://t/a", REQUEST)
    assert "crypto" not in plain
    able = dataclasses.replace(REQUEST, supports_encryption=True)
    assert announce_url("http://t/a", able).endswith("&supportcrypto=1")
    strict = dataclasses.replace(able, requires_encryption=True)
    assert announce_url("http://t/a", strict).endswith("&supportcrypto=1&requirecrypto=1")


def test_what_is_not_always_sent() -> None:
    request = dataclasses.replace(
        REQUEST,
        event=AnnounceEvent.STOPPED,
        tracker_id=b"\x00&id",
        ip="192.0.2.7",
        ipv4="192.0.2.8",
        ipv6="2001:db8::1",
    )
    url = announce_url("http://t/a", request)
    assert url.endswith(
        "&numwant=0&key=00000ABC&event=stopped&trackerid=%00%26id"
        "&ip=192.0.2.7&ipv4=192.0.2.8&ipv6=2001%3Adb8%3A%3A1"
    )


@pytest.mark.parametrize(
    ("url", "start"),
    [
        ("http://t:80/a?passkey=s%2Fe+c", "http://t:80/a?passkey=s%2Fe+c&info_hash="),
        ("http://t/a?", "http://t/a?info_hash="),
        ("http://t/a?x=1&", "http://t/a?x=1&info_hash="),
        ("http://t", "http://t/?info_hash="),
        ("https://[::1]:8/a#fragment", "https://[::1]:8/a?info_hash="),
        ("http://user:pass@t/a", "http://user:pass@t/a?info_hash="),
        ("http://t/a b/ü\u2028x", "http://t/a%20b/%C3%BC%E2%80%A8x?info_hash="),
        ("http://bücher.example/a", "http://xn--bcher-kva.example/a?info_hash="),
        ("  HTTP://T/a\n", "http://t/a?info_hash="),
    ],
)
def test_the_url_of_the_torrent_is_kept(url: str, start: str) -> None:
    assert announce_url(url, REQUEST).startswith(start)


@pytest.mark.parametrize(
    "url", ["", "udp://t:80", "http://", "http://:80/a", "http://t:99999/a", "http://[::1/a", "/a"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(TrackerReplyError):
        announce_url(url, REQUEST)
    with pytest.raises(TrackerReplyError):
        scrape_url(url, [HASH])


@given(info_hash=st.binary(min_size=20, max_size=20), peer_id=st.binary(min_size=20, max_size=20))
def test_any_bytes_survive_the_url(info_hash: bytes, peer_id: bytes) -> None:
    request = dataclasses.replace(REQUEST, info_hash=InfoHash(info_hash), peer_id=PeerId(peer_id))
    url = announce_url("http://t/a?x=%41", request)
    assert url.isascii()
    assert url.isprintable()
    query = _query(url)
    assert (query["info_hash"], query["peer_id"], query["x"]) == (info_hash, peer_id, b"A")


@given(st.text(max_size=40))
def test_any_text_makes_a_url_of_one_line_or_an_error(text: str) -> None:
    for url in (text, f"http://t/{text}", f"http://{text}/a", f"http://t/a?{text}"):
        try:
            made = announce_url(url, REQUEST)
        except TrackerReplyError:
            continue
        assert made.isascii()
        assert made.isprintable()
        assert " " not in made


def test_a_v2_hash_is_announced_truncated() -> None:
    request = dataclasses.replace(REQUEST, info_hash=InfoHash(bytes(range(32))))
    assert _query(announce_url("http://t/a", request))["info_hash"] == bytes(range(20))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://t/announce", "http://t/scrape?"),
        ("http://t/x/announce", "http://t/x/scrape?"),
        ("http://t/announce.php", "http://t/scrape.php?"),
        ("http://t/announce?x2%0644", "http://t/scrape?x2%0644&"),
        ("http://t/announce?x=2/4", "http://t/scrape?x=2/4&"),
        ("http://announce.example/announce/announce", "http://announce.example/announce/scrape?"),
        ("http://t/a", None),
        ("http://announce/a?announce", None),
    ],
)
def test_the_scrape_url_replaces_announce_in_the_path(url: str, expected: str | None) -> None:
    made = scrape_url(url, [HASH, REQUEST.info_hash])
    if expected is None:
        assert made is None
    else:
        assert made is not None
        assert made.startswith(expected + "info_hash=xyz%7B%7C%7D~%7F%80%81")
        assert made.count("info_hash=") == 2


# ── what is answered ───────────────────────────────────────────────────────────────────────────


def test_the_example_of_bep_7() -> None:
    reply = parse_announce(b"d8:intervali1800e5:peers6:iiiipp6:peers618:iiiiiiiiiiiiiiiippe")
    port = int.from_bytes(b"pp", "big")
    assert reply.interval_s == 1800
    assert reply.peers == [
        Endpoint("105.105.105.105", port),
        Endpoint(":".join(["6969"] * 8), port),
    ]


def test_a_full_reply() -> None:
    reply = parse_announce(
        bencode.encode(
            {
                "interval": 900,
                "min interval": 300,
                "complete": 5,
                "incomplete": 7,
                "downloaded": 11,
                "tracker id": b"\x00id",
                "warning message": "slow\ndown",
                "external ip": bytes([192, 0, 2, 1]),
                "peers": "",
                "something else": [1, {}],
            }
        )
    )
    assert dataclasses.asdict(reply) == {
        "interval_s": 900,
        "min_interval_s": 300,
        "peers": [],
        "seeders": 5,
        "leechers": 7,
        "downloads": 11,
        "warning": "slow down",
        "tracker_id": b"\x00id",
        "external_ip": "192.0.2.1",
    }


@settings(max_examples=40)
@given(st.lists(endpoints_v4, max_size=8), st.lists(endpoints_v6, max_size=8))
def test_compact_and_listed_peers_are_the_same_peers(
    v4: list[Endpoint], v6: list[Endpoint]
) -> None:
    peers, peers6 = compact.pack(v4 + v6)
    packed = parse_announce(bencode.encode({"interval": 1, "peers": peers, "peers6": peers6}))
    listed = parse_announce(
        bencode.encode(
            {
                "interval": 1,
                "peers": [
                    {"ip": peer.host, "port": peer.port, "peer id": bytes(20)} for peer in v4 + v6
                ],
            }
        )
    )
    assert packed.peers == listed.peers == v4 + v6


def test_listed_peers_that_cannot_be_dialled_are_left_out() -> None:
    entries: list[bencode.Encodable] = [
        {"ip": "peer.example", "port": 1},
        {"ip": "192.0.2.1", "port": 0},
        {"ip": "192.0.2.1", "port": 65536},
        {"ip": "192.0.2.1"},
        {"ip": 7, "port": 7},
        {"ip": b"\xff\xff", "port": 7},
        [],
        "x",
        {"ip": "::ffff:192.0.2.2", "port": 7},
    ]
    reply = parse_announce(bencode.encode({"peers": entries}))
    assert reply.peers == [Endpoint("192.0.2.2", 7)]
    assert reply.interval_s == DEFAULT_INTERVAL_S


def test_a_million_peers_are_cut_short() -> None:
    one = bytes([192, 0, 2, 1, 0, 1])
    assert len(parse_announce(bencode.encode({"peers": one * 100_000})).peers) == MAX_PEERS
    listed: list[bencode.Encodable] = [{"ip": "192.0.2.1", "port": 1}] * 3000
    assert len(parse_announce(bencode.encode({"peers": listed})).peers) == MAX_PEERS


@pytest.mark.parametrize("counted", [-1, "7", [], 1 << 63])
def test_senseless_counts_are_unknown(counted: bencode.Encodable) -> None:
    reply = parse_announce(bencode.encode({"interval": 1, "complete": counted}))
    assert reply.seeders is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>404</html>",
        b"le",
        b"de",
        b"d8:intervali1e",
        b"d8:intervali1eex",
        b"d8:intervali-1ee",
        b"d8:intervali60e12:min intervali-1ee",
        b"d8:interval3:abce",
        b"d5:peersi7ee",
        b"d5:peers5:abcdee",
        b"d6:peers617:aaaaaaaaaaaaaaaaae",
        b"d6:peers6i7ee",
        b"d5:peers" + b"l" * 100 + b"e" * 101,
    ],
)
def test_what_is_no_reply_is_refused(body: bytes) -> None:
    with pytest.raises(TrackerReplyError):
        parse_announce(body)


def test_lenient_where_trackers_are_sloppy() -> None:
    # Unsorted, a number as text, lines around it.
    reply = parse_announce(b"\r\nd5:peers0:8:interval3:900e\n")
    assert reply.interval_s == 900
    assert parse_announce(b"d8:intervali99999999999ee").interval_s == MAX_INTERVAL_S


@given(st.binary(max_size=200))
def test_garbage_is_an_error_of_the_tracker(body: bytes) -> None:
    for parse in (parse_announce, lambda each: parse_scrape(each, [HASH])):
        with pytest.raises((TrackerReplyError, TrackerFailure)):
            parse(body)


_values = st.recursive(
    st.integers(-(1 << 63), (1 << 64) - 1) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=8), inner),
    max_leaves=10,
)
_keys = st.sampled_from(
    [b"interval", b"min interval", b"peers", b"peers6", b"complete", b"tracker id", b"external ip",
     b"warning message", b"failure reason", b"retry in", b"files"]
)  # fmt: skip


@settings(max_examples=60)
@given(st.dictionaries(_keys, _values))
def test_any_dictionary_is_a_reply_or_an_error_of_the_tracker(
    fields: dict[bytes, bencode.Value],
) -> None:
    body = bencode.encode(fields)
    assert is_failure(body) == (b"failure reason" in fields)
    try:
        reply = parse_announce(body)
    except (TrackerReplyError, TrackerFailure):
        pass
    else:
        assert 0 <= reply.interval_s <= MAX_INTERVAL_S
    with contextlib.suppress(TrackerReplyError, TrackerFailure):
        parse_scrape(body, [HASH])


@given(st.data())
def test_a_reply_cut_short_is_refused(data: st.DataObject) -> None:
    body = bencode.encode({"interval": 1800, "peers": bytes(range(1, 13)), "tracker id": "abc"})
    cut = data.draw(st.integers(min_value=0, max_value=len(body) - 1))
    with pytest.raises(TrackerReplyError):
        parse_announce(body[:cut])


@pytest.mark.parametrize(
    ("retry_in", "expected_s"),
    [
        (5, 300.0),
        ("5", 300.0),
        ("never", math.inf),
        ("Never ", math.inf),
        (0, 0.0),
        (-1, None),
        ("soon", None),
        ([], None),
        (10**12, MAX_INTERVAL_S),
        ("9" * 30, None),
    ],
)
def test_a_failure_says_when_to_come_back(
    retry_in: bencode.Encodable, expected_s: float | None
) -> None:
    body = bencode.encode({"failure reason": "Over\x07loaded", "retry in": retry_in})
    assert is_failure(body)
    for parse in (parse_announce, lambda each: parse_scrape(each, [HASH])):
        with pytest.raises(TrackerFailure, match="Over loaded") as caught:
            parse(body)
        assert caught.value.retry_in_s == expected_s


@pytest.mark.parametrize("reason", [b"", 7, [b"x"]])
def test_a_failure_without_a_reason_is_one(reason: bencode.Encodable) -> None:
    with pytest.raises(TrackerFailure, match="without a reason") as caught:
        parse_announce(bencode.encode({"failure reason": reason, "interval": 5}))
    assert caught.value.retry_in_s is None


def test_what_is_no_failure() -> None:
    assert not is_failure(b"<html>")
    assert not is_failure(b"d8:intervali1ee")


def test_the_example_of_bep_48() -> None:
    xs, ys, zs = (InfoHash(letter * 20) for letter in (b"x", b"y", b"z"))
    body = (
        b"d5:filesd20:xxxxxxxxxxxxxxxxxxxxd8:completei11e10:downloadedi13772e10:incompletei19ee"
        b"20:yyyyyyyyyyyyyyyyyyyyd8:completei21e10:downloadedi206e10:incompletei20eeee"
    )
    assert parse_scrape(body, [ys, xs, zs]).swarms == {
        xs: SwarmCounts(seeders=11, leechers=19, downloads=13772),
        ys: SwarmCounts(seeders=21, leechers=20, downloads=206),
    }


def test_a_scrape_reply_without_files_is_refused() -> None:
    with pytest.raises(TrackerReplyError):
        parse_scrape(b"de", [HASH])
    assert parse_scrape(bencode.encode({"files": {bytes(HASH): 7}}), [HASH]).swarms == {}


def test_the_query_is_understood_by_others() -> None:
    url = announce_url("http://t/a", dataclasses.replace(REQUEST, event=AnnounceEvent.STARTED))
    fields = dict(parse_qsl(urlsplit(url).query, encoding="latin-1", strict_parsing=True))
    assert fields["info_hash"].encode("latin-1") == REQUEST.info_hash
    assert fields["event"] == "started"
