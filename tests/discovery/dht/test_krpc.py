"""KRPC: the packets of the BEPs, round trips of every message, and whatever else may come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import bencode
from engine.core.compact import Endpoint
from engine.discovery.dht import krpc
from engine.discovery.dht.contact import Contact
from engine.discovery.dht.items import ImmutableItem, MutableItem
from engine.discovery.dht.messages import (
    AnnouncePeer,
    BadQuery,
    Body,
    ErrorCode,
    ErrorReply,
    FindNode,
    GetItem,
    GetPeers,
    Ping,
    PutItem,
    Query,
    Reply,
    SampleInfohashes,
    Want,
)
from engine.discovery.dht.node_id import NodeId
from engine.errors import ProtocolError

ASKER = NodeId(b"abcdefghij0123456789")
TARGET = b"mnopqrstuvwxyz123456"


def _query(method: str, **arguments: bencode.Encodable) -> bytes:
    fields: dict[str, bencode.Encodable] = {"id": ASKER, **arguments}
    return bencode.encode({"t": b"aa", "y": "q", "q": method, "a": fields})


def _reply(**fields: bencode.Encodable) -> bytes:
    return bencode.encode({"t": b"aa", "y": "r", "r": {"id": ASKER, **fields}})


BEP_5_PACKETS = [
    (b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe", Query(b"aa", ASKER, Ping())),
    (
        (
            b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e"
            b"1:q9:find_node1:t2:aa1:y1:qe"
        ),
        Query(b"aa", ASKER, FindNode(TARGET)),
    ),
    (
        (
            b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e"
            b"1:q9:get_peers1:t2:aa1:y1:qe"
        ),
        Query(b"aa", ASKER, GetPeers(TARGET)),
    ),
    (
        (
            b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz123456"
            b"4:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe"
        ),
        Query(b"aa", ASKER, AnnouncePeer(TARGET, b"aoeusnth", 6881, implied_port=True)),
    ),
    (
        b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
        Reply(b"aa", NodeId(TARGET)),
    ),
    (
        (
            b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee"
            b"1:t2:aa1:y1:re"
        ),
        Reply(
            b"aa",
            ASKER,
            token=b"aoeusnth",
            values=(Endpoint("97.120.106.101", 11893), Endpoint("105.100.104.116", 28269)),
        ),
    ),
    (
        b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
        ErrorReply(b"aa", 201, "A Generic Error Ocurred"),
    ),
]


@pytest.mark.parametrize(("packet", "message"), BEP_5_PACKETS)
def test_packets_of_bep_5(packet: bytes, message: Query | Reply | ErrorReply) -> None:
    assert krpc.decode(packet) == message
    ours = bencode.decode_dict(krpc.encode(message))
    assert ours.pop(b"v") == krpc.CLIENT_VERSION
    assert bencode.encode(ours) == packet


_KEYS = st.binary(min_size=20, max_size=20)
_IDS = _KEYS.map(NodeId)
_TOKENS = st.binary(min_size=1, max_size=20)
_PORTS = st.integers(1, 65535)
_V4 = st.builds(Endpoint, st.sampled_from(["1.2.3.4", "200.0.0.1", "10.0.0.1"]), _PORTS)
_V6 = st.builds(Endpoint, st.sampled_from(["2001:db8::1", "::1", "fe80::2"]), _PORTS)
_VALUES = st.recursive(
    st.integers(-(2**63), 2**63) | st.binary(max_size=20), lambda inner: st.lists(inner, max_size=4)
).map(bencode.encode)
_ITEMS = st.builds(ImmutableItem, _VALUES) | st.builds(
    MutableItem,
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**63 - 1),
    _VALUES,
    st.binary(min_size=64, max_size=64),
    st.binary(max_size=64),
)


def _body(draw: st.DrawFn) -> Body:
    item = draw(_ITEMS)
    cas = draw(st.none() | st.integers(0, 99)) if isinstance(item, MutableItem) else None
    return draw(
        st.sampled_from(
            [
                Ping(),
                FindNode(draw(_KEYS)),
                GetPeers(draw(_KEYS), draw(st.booleans()), draw(st.booleans())),
                AnnouncePeer(
                    *(draw(_KEYS), draw(_TOKENS), draw(_PORTS)),
                    *(draw(st.booleans()), draw(st.booleans())),
                ),
                GetItem(draw(_KEYS), draw(st.none() | st.integers(0, 99))),
                PutItem(item, draw(_TOKENS), cas),
                SampleInfohashes(draw(_KEYS)),
            ]
        )
    )


@st.composite
def _queries(draw: st.DrawFn) -> Query:
    want = draw(st.sampled_from([None, Want.IPV4, Want.IPV6, Want.IPV4 | Want.IPV6]))
    transaction = draw(st.binary(min_size=1, max_size=32))
    return Query(transaction, draw(_IDS), _body(draw), want, draw(st.booleans()))


@st.composite
def _replies(draw: st.DrawFn) -> Reply:
    filters = draw(st.sampled_from([b"", bytes(256)]))
    has_key = draw(st.booleans())
    samples = draw(st.none() | st.lists(_KEYS, max_size=4).map(tuple))
    return Reply(
        draw(st.binary(min_size=1, max_size=32)),
        draw(_IDS),
        draw(st.none() | st.lists(st.builds(Contact, _IDS, _V4), max_size=9).map(tuple)),
        draw(st.none() | st.lists(st.builds(Contact, _IDS, _V6), max_size=9).map(tuple)),
        draw(st.just(b"") | _TOKENS),
        draw(st.lists(_V4 | _V6, max_size=9).map(tuple)),
        filters,
        filters,
        draw(st.none() | _VALUES),
        b"k" * 32 if has_key else b"",
        draw(st.none() | st.integers(0, 2**63 - 1)),
        b"s" * 64 if has_key else b"",
        samples,
        draw(st.integers(0, 21600)) if samples is not None else 0,
        draw(st.integers(0, 10**6)) if samples is not None else 0,
        draw(st.none() | _V4 | _V6),
    )


@given(_queries() | _replies() | st.builds(ErrorReply, _TOKENS, st.integers(1, 999), st.just("no")))
def test_what_is_encoded_decodes_to_the_same(message: Query | Reply | ErrorReply) -> None:
    assert krpc.decode(krpc.encode(message)) == message


@given(st.integers(0, 100), st.integers(0, 8), st.booleans())
def test_replies_are_made_to_fit(value_count: int, node_count: int, ipv6: bool) -> None:
    host = "2001:db8::1" if ipv6 else "1.2.3.4"
    contact = Contact(ASKER, Endpoint(host, 1))
    nodes = (contact,) * node_count
    reply = Reply(
        b"aa",
        ASKER,
        None if ipv6 else nodes,
        nodes if ipv6 else None,
        b"token678",
        tuple(Endpoint(host, port) for port in range(1, value_count + 1)),
        bytes(256),
        bytes(256),
    )
    encoded = krpc.encode_reply_within(reply, 1024)
    assert len(encoded) <= 1024
    found = krpc.decode(encoded)
    assert isinstance(found, Reply)
    assert found.values == reply.values[: len(found.values)]
    assert len(found.nodes6 if ipv6 else found.nodes or ()) == node_count or not found.values
    if len(krpc.encode(reply)) <= 1024:
        assert found == reply
    elif found.values:
        assert len(encoded) > 1024 - 2 * 24


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (_query("vote"), ErrorCode.METHOD_UNKNOWN),
        (_query("find_node"), ErrorCode.PROTOCOL),
        (_query("find_node", target=b"short"), ErrorCode.PROTOCOL),
        (_query("find_node", target=7), ErrorCode.PROTOCOL),
        (_query("get_peers", info_hash=bytes(32)), ErrorCode.PROTOCOL),
        (_query("announce_peer", info_hash=TARGET, port=1), ErrorCode.PROTOCOL),
        (_query("announce_peer", info_hash=TARGET, token=b"t"), ErrorCode.PROTOCOL),
        (_query("announce_peer", info_hash=TARGET, token=b"t", port=0), ErrorCode.PROTOCOL),
        (_query("announce_peer", info_hash=TARGET, token=b"t", port=65536), ErrorCode.PROTOCOL),
        (_query("announce_peer", info_hash=TARGET, token=b"t", port=-1), ErrorCode.PROTOCOL),
        (_query("announce_peer", info_hash=TARGET, token=b"", port=1), ErrorCode.PROTOCOL),
        (_query("announce_peer", info_hash=TARGET, token=bytes(999), port=1), ErrorCode.PROTOCOL),
        (_query("put", token=b"t"), ErrorCode.PROTOCOL),
        (_query("put", v=1), ErrorCode.PROTOCOL),
        (_query("put", token=b"t", v=bytes(997)), ErrorCode.VALUE_TOO_BIG),
        (_query("put", token=b"t", v=1, k=b"k"), ErrorCode.PROTOCOL),
        (_query("put", token=b"t", v=1, k=bytes(32), seq=1), ErrorCode.INVALID_SIGNATURE),
        (_query("put", token=b"t", v=1, k=bytes(32), sig=bytes(64)), ErrorCode.PROTOCOL),
        (_query("put", token=b"t", v=1, k=bytes(32), sig=bytes(64), seq=-1), ErrorCode.PROTOCOL),
        (_query("put", token=b"t", v=1, k=bytes(32), sig=bytes(64), seq=2**63), ErrorCode.PROTOCOL),
        (
            _query("put", token=b"t", v=1, k=bytes(32), sig=bytes(64), seq=1, salt=bytes(65)),
            ErrorCode.SALT_TOO_BIG,
        ),
        (
            _query("put", token=b"t", v=b"1234").replace(b"4:1234", b"d1:bi1e1:ai1ee"),
            ErrorCode.PROTOCOL,
        ),
    ],
)
def test_bad_queries_are_told_why(packet: bytes, code: ErrorCode) -> None:
    found = krpc.decode(packet)
    assert isinstance(found, BadQuery)
    assert found.code == code
    answer = krpc.encode(ErrorReply(found.transaction, found.code, found.text))
    assert len(answer) <= len(packet) + 40


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"d",
        b"de",
        b"le",
        b"i1e",
        b"d1:y1:qe",
        b"d1:t0:1:y1:qe",
        b"d1:ti1e1:y1:qe",
        b"d1:t2:aa1:y1:xe",
        b"d1:t2:aa1:y1:qe",
        b"d1:t2:aa1:q4:ping1:y1:qe",
        b"d1:ade1:q4:ping1:t2:aa1:y1:qe",
        b"d1:ad2:id3:abce1:q4:ping1:t2:aa1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:qi4e1:t2:aa1:y1:qe",
        b"d1:rde1:t2:aa1:y1:re",
        b"d1:rd2:id19:bcdefghij0123456789e1:t2:aa1:y1:re",
        b"d1:rle1:t2:aa1:y1:re",
        b"d1:t33:" + b"t" * 33 + b"1:y1:qe",
        b"d1:rd2:id20:abcdefghij01234567895:nodes3:abce1:t2:aa1:y1:re",
        BEP_5_PACKETS[0][0] + b"x",
        b"l" * 4000,
        b"d1:a" + b"l" * 2000 + b"e" * 2000 + b"e",
        b"d1:a" + b"d1:a" * 1000,
        b"i" * 65_000,
        b"d4:junk65000:" + bytes(65_000) + b"e",
        b"999999999999999999:",
        _query("ping", junk=bytes(5000)),
    ],
)
def test_what_is_no_message_is_refused(packet: bytes) -> None:
    with pytest.raises(ProtocolError):
        krpc.decode(packet)


def test_queries_of_the_future_are_answered_like_find_node() -> None:
    for arguments in ({"target": TARGET}, {"info_hash": TARGET}):
        found = krpc.decode(_query("new_thing", **arguments))
        assert found == Query(b"aa", ASKER, FindNode(TARGET))


def test_fields_that_make_no_sense_are_left_out() -> None:
    found = krpc.decode(
        _reply(
            token=5,
            values=[b"short", 7, b"\x01\x02\x03\x04\x00\x00", b"\x01\x02\x03\x04\x00\x01", [b"x"]],
            BFsd=bytes(255),
            BFpe=bytes(256),
            k=b"k",
            sig=b"s",
            seq=-1,
            samples=b"torn",
            interval=-5,
            num=-5,
            nodes=4,
        )
    )
    values = (Endpoint("1.2.3.4", 1),)
    assert found == Reply(b"aa", ASKER, values=values, peers_filter=bytes(256))


def test_values_that_are_not_canonical_are_left_out() -> None:
    packet = _reply(v=b"1234").replace(b"4:1234", b"d1:bi1e1:ai1ee")
    assert krpc.decode(packet) == Reply(b"aa", ASKER)
    assert krpc.decode(_reply(v=b"1234")) == Reply(b"aa", ASKER, value=b"4:1234")


def test_wants_of_the_future_are_ignored() -> None:
    find: dict[str, bencode.Encodable] = {"target": TARGET}
    for want, expected in (
        ([b"n4", b"n9"], Want.IPV4),
        ([b"n6"], Want.IPV6),
        ([b"x", 4], None),
        (7, None),
    ):
        found = krpc.decode(_query("find_node", **find, want=want))
        assert isinstance(found, Query)
        assert found.want == expected


def test_errors_are_read_whatever_their_shape() -> None:
    for said, expected in (
        ([203, b"bad\ntoken\xff"], ErrorReply(b"aa", 203, "bad token\ufffd")),
        ([], ErrorReply(b"aa", 0, "")),
        ([b"x"], ErrorReply(b"aa", 0, "")),
        (b"text", ErrorReply(b"aa", 0, "")),
        ([201, bytes(3000)], ErrorReply(b"aa", 201, " " * 200)),
    ):
        packet: dict[str, bencode.Encodable] = {"t": b"aa", "y": "e", "e": said}
        assert krpc.decode(bencode.encode(packet)) == expected


_TREES = st.recursive(
    st.integers() | st.binary(max_size=30) | st.just(ASKER),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([b"id", b"target", b"v", b"k", b"token", b"nodes", b"values", b"x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(
    st.binary(max_size=120)
    | st.fixed_dictionaries(
        {
            b"t": st.just(b"aa") | _TREES,
            b"y": st.sampled_from([b"q", b"r", b"e", b""]),
            b"q": st.sampled_from([b"ping", b"put", b"get", b"get_peers", b"announce_peer", b"?"]),
            b"a": _TREES,
            b"r": _TREES,
            b"e": _TREES,
            b"ip": _TREES,
        }
    ).map(bencode.encode)
)
def test_whatever_comes_is_a_message_or_a_protocol_error(packet: bytes) -> None:
    try:
        found = krpc.decode(packet)
    except ProtocolError:
        return
    if not isinstance(found, BadQuery):
        assert krpc.decode(krpc.encode(found)) == found


@given(st.sampled_from([packet for packet, _ in BEP_5_PACKETS]), st.data())
def test_damaged_packets(packet: bytes, data: st.DataObject) -> None:
    damaged = bytearray(packet)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    try:
        krpc.decode(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))
    except ProtocolError:
        return
