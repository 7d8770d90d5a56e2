from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import bencode
from engine.errors import ProtocolError
from engine.wire.extensions import (
    MAX_EXTENSIONS,
    MAX_HANDSHAKE_BYTES,
    MAX_METADATA_BYTES,
    ExtensionHandshake,
)

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)
handshakes = st.builds(
    ExtensionHandshake,
    ids=st.dictionaries(names, st.integers(0, 255), max_size=8),
    client=st.sampled_from(["", "seedwright 0.1.0", "µTorrent 1.2"]),
    listen_port=st.none() | st.integers(1, 65535),
    reqq=st.none() | st.integers(1, 5000),
    upload_only=st.none() | st.booleans(),
    your_ip=st.none() | st.ip_addresses(v=4).map(str),
    metadata_size=st.none() | st.integers(1, MAX_METADATA_BYTES),
    ipv4=st.none() | st.ip_addresses(v=4).map(str),
    ipv6=st.none() | st.just("2001:db8::5"),
)
values: st.SearchStrategy[bencode.Value] = st.recursive(
    st.integers(-(2**40), 2**40) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.binary(max_size=5), inner),
    max_leaves=6,
)
known_keys = st.sampled_from(
    [b"m", b"p", b"v", b"reqq", b"upload_only", b"metadata_size", b"yourip", b"ipv4", b"ipv6", b"e"]
)


@given(handshakes)
def test_round_trip(handshake: ExtensionHandshake) -> None:
    assert ExtensionHandshake.decode(handshake.encode()) == handshake


@given(handshakes, st.binary(min_size=1, max_size=5))
def test_truncated_or_with_trailing_garbage_is_refused(
    handshake: ExtensionHandshake, rubbish: bytes
) -> None:
    raw = handshake.encode()
    for wrong in (*(raw[:size] for size in range(len(raw))), raw + rubbish):
        with pytest.raises(ProtocolError):
            ExtensionHandshake.decode(wrong)


@given(st.binary(max_size=60))
def test_garbage_is_refused_with_a_protocol_error(data: bytes) -> None:
    try:
        ExtensionHandshake.decode(data)
    except ProtocolError:
        return
    assert data[:1] == b"d"


@given(st.dictionaries(known_keys, values))
def test_values_of_any_kind_are_taken_as_unsaid_or_refused(
    said: dict[bytes, bencode.Value],
) -> None:
    try:
        read = ExtensionHandshake.decode(bencode.encode(said))
    except ProtocolError:
        assert not isinstance(said[b"m"], dict)
        return
    assert read.listen_port is None or 0 < read.listen_port < 65536
    assert read.metadata_size is None or 0 < read.metadata_size <= MAX_METADATA_BYTES
    assert read.reqq is None or read.reqq > 0
    assert read.client.isprintable()
    assert all(0 <= ext_id <= 255 for ext_id in read.ids.values())
    ExtensionHandshake.decode(read.encode())


def test_the_example_of_the_specification() -> None:
    raw = b"d1:md11:LT_metadatai1e6:ut_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e"
    assert ExtensionHandshake.decode(raw) == ExtensionHandshake(
        ids={"LT_metadata": 1, "ut_PEX": 2}, client="µTorrent 1.2", listen_port=6881
    )


def test_a_real_handshake_with_unsorted_and_unknown_keys() -> None:
    raw = (
        b"d1:v12:client 1.2.34:reqqi2000e1:md11:ut_metadatai2e6:ut_pexi1ee"
        b"12:complete_agoi1e6:yourip4\x3a\x7f\0\0\x0111:upload_onlyi1e1:ei0ee"
    )
    read = ExtensionHandshake.decode(raw)
    assert read.ids == {"ut_metadata": 2, "ut_pex": 1}
    assert read.client == "client 1.2.3"
    assert read.reqq == 2000
    assert read.your_ip == "127.0.0.1"
    assert read.upload_only is True


def test_an_empty_handshake_says_nothing() -> None:
    assert ExtensionHandshake.decode(b"de") == ExtensionHandshake()
    assert ExtensionHandshake().encode() == b"d1:mdee"


@pytest.mark.parametrize("raw", [b"le", b"i1e", b"4:spam", b"d1:m2:noe", b"d1:ai1e1:ai2ee", b""])
def test_what_is_no_dictionary_is_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError):
        ExtensionHandshake.decode(raw)


def test_limits() -> None:
    with pytest.raises(ProtocolError, match="bytes"):
        ExtensionHandshake.decode(b"d1:v%d:%be" % (MAX_HANDSHAKE_BYTES, bytes(MAX_HANDSHAKE_BYTES)))
    many = {f"x{number}": 1 for number in range(MAX_EXTENSIONS + 1)}
    with pytest.raises(ProtocolError, match="extensions"):
        ExtensionHandshake.decode(ExtensionHandshake(ids=many).encode())
    deep = b"d1:e" + b"l" * 5000 + b"e" * 5000 + b"e"
    with pytest.raises(ProtocolError, match="nested"):
        ExtensionHandshake.decode(deep)


def test_absurd_values_are_unsaid() -> None:
    read = ExtensionHandshake.decode(
        bencode.encode(
            {
                "m": {"ut_pex": 256, "neg": -1, "text": "1", "n" * 65: 1, "fine": 255},
                "p": 65536,
                "reqq": 0,
                "metadata_size": MAX_METADATA_BYTES + 1,
                "yourip": b"12345",
                "ipv4": bytes(16),
                "ipv6": bytes(4),
                "v": ["seedwright"],
            }
        )
    )
    assert read == ExtensionHandshake(ids={"fine": 255})


def test_a_mapped_address_is_ipv4() -> None:
    raw = bencode.encode({"yourip": bytes(10) + b"\xff\xff\x0a\0\0\x01"})
    assert ExtensionHandshake.decode(raw).your_ip == "10.0.0.1"


def test_a_clients_name_is_made_fit_to_be_shown() -> None:
    raw = bencode.encode({"v": b"evil\x1b[2J\n\xff" + b"a" * 500})
    name = ExtensionHandshake.decode(raw).client
    assert name.startswith("evil [2J")
    assert len(name) == 64
    assert name.isprintable()


def test_a_later_handshake_tells_changes_only() -> None:
    first = ExtensionHandshake(
        ids={"ut_pex": 1, "ut_metadata": 2}, client="one", reqq=250, upload_only=False
    )
    later = ExtensionHandshake(ids={"ut_pex": 0, "lt_donthave": 7}, upload_only=True)
    assert first.updated(later) == ExtensionHandshake(
        ids={"ut_metadata": 2, "lt_donthave": 7}, client="one", reqq=250, upload_only=True
    )
    assert first.updated(ExtensionHandshake()) == first


def test_many_handshakes_name_no_more_extensions_than_one() -> None:
    said = ExtensionHandshake(ids={f"a{n}": n for n in range(1, MAX_EXTENSIONS + 1)})
    assert len(said.updated(said).ids) == MAX_EXTENSIONS
    with pytest.raises(ProtocolError, match="extensions"):
        said.updated(ExtensionHandshake(ids={"one_more": 1}))
    freed = said.updated(ExtensionHandshake(ids={"a1": 0}))
    assert "one_more" in freed.updated(ExtensionHandshake(ids={"one_more": 1})).ids
