"""The messages of ut_pex: there and back, the bytes of the BEP, and what is no message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core import bencode
from engine.core.compact import Endpoint, endpoint
from engine.errors import ProtocolError
from engine.wire.ut_pex import MAX_BYTES, PexFlags, PexMessage, PexPeer, decode, encode

HOSTS = st.ip_addresses().map(str)
ENDPOINTS = st.builds(endpoint, HOSTS, st.integers(1, 65535))
FLAGS = st.integers(0, 0x1F).map(PexFlags)
LISTS = st.lists(ENDPOINTS, max_size=60, unique=True)
FOUR, SIX = Endpoint("1.2.3.4", 0x1234), Endpoint("2001:db8::1", 0x1234)
FOUR_BYTES = bytes.fromhex("010203041234")
SIX_BYTES = bytes.fromhex("20010db8" + "00" * 11 + "01" + "1234")


@given(LISTS, LISTS, st.data())
def test_there_and_back(
    added: list[Endpoint], dropped: list[Endpoint], data: st.DataObject
) -> None:
    peers = [PexPeer(each, data.draw(FLAGS)) for each in added]
    message = decode(encode(PexMessage(tuple(peers), tuple(dropped))))
    assert sorted(message.added) == sorted(peers)
    assert sorted(message.dropped) == sorted(dropped)


def test_the_fields_of_the_bep() -> None:
    peers = (
        PexPeer(SIX, PexFlags.UTP | PexFlags.HOLEPUNCH),
        PexPeer(FOUR, PexFlags.SEED | PexFlags.REACHABLE | PexFlags.PREFERS_ENCRYPTION),
    )
    said = bencode.decode_dict(encode(PexMessage(peers, (FOUR, SIX))))
    assert said == {
        b"added": FOUR_BYTES,
        b"added.f": b"\x13",
        b"added6": SIX_BYTES,
        b"added6.f": b"\x0c",
        b"dropped": FOUR_BYTES,
        b"dropped6": SIX_BYTES,
    }
    assert encode(PexMessage()) == b"d5:added0:7:dropped0:e"


def read(**said: bencode.Encodable) -> PexMessage:
    return decode(bencode.encode({key.replace("_", "."): value for key, value in said.items()}))


def test_any_field_may_be_missing() -> None:
    assert decode(b"de") == PexMessage()
    assert read(added=FOUR_BYTES) == PexMessage((PexPeer(FOUR),))
    assert read(dropped6=SIX_BYTES) == PexMessage((), (SIX,))


@pytest.mark.parametrize("flags", [b"", b"\x02\x02\x02"])
def test_flags_of_another_number_count_as_unsaid(flags: bytes) -> None:
    told = read(added=FOUR_BYTES + b"\1\2\3\5\0\1", added_f=flags)
    assert [peer.flags for peer in told.added] == [0, 0]


def test_flags_stay_with_their_addresses() -> None:
    """An entry without a port is left out, and its flags with it; unknown bits are dropped."""
    told = read(added=b"\1\1\1\1\0\0" + FOUR_BYTES, added_f=b"\x01\xf2")
    assert told.added == (PexPeer(FOUR, PexFlags.SEED | PexFlags.REACHABLE),)


def test_an_address_counts_once() -> None:
    mapped = bytes(10) + b"\xff\xff" + FOUR_BYTES
    told = read(added=FOUR_BYTES * 3, added6=mapped, dropped=FOUR_BYTES * 2)
    assert told == PexMessage((PexPeer(FOUR),), (FOUR,))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"i0e",
        b"le",
        b"d",
        b"d5:addedi1ee",
        b"d5:addedlee",
        b"d5:added5:12345e",
        b"d5:added6:1.2.3.7:added.fi3ee",
        b"d6:added66:123456e",
        b"d7:dropped7:1234567e",
        b"d8:dropped61:1e",
        bencode.encode({"added": bytes(MAX_BYTES)}),
    ],
)
def test_what_is_no_message(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(payload)


@given(
    st.binary(max_size=300)
    | st.dictionaries(
        st.sampled_from([b"added", b"added.f", b"added6", b"added6.f", b"dropped", b"dropped6"]),
        st.binary(max_size=80),
    ).map(bencode.encode)
)
def test_anything_is_read_or_refused(payload: bytes) -> None:
    try:
        message = decode(payload)
    except ProtocolError:
        return
    again = decode(encode(message))
    assert sorted(again.added) == sorted(message.added)
    assert sorted(again.dropped) == sorted(message.dropped)
