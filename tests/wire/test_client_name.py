from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.identifiers import PeerId
from engine.wire.client_name import MAX_NAME_LENGTH, client_name, sanitised


@pytest.mark.parametrize(
    ("peer_id", "name"),
    [
        (b"-LT2110-", "libtorrent 2.1.1"),
        (b"-LT20B0-", "libtorrent 2.0.11"),
        (b"-TR3000-", "Transmission 3.00"),
        (b"-TR2940-", "Transmission 2.94"),
        (b"-TR4050-", "Transmission 4.0.5"),
        (b"-SW0100-", "seedwright 0.1.0"),
        (b"-qB4650-", "qBittorrent 4.6.5"),
        (b"-qB5101-", "qBittorrent 5.1.0.1"),
        (b"-lt0D80-", "rTorrent 0.13.8"),
        (b"-DE211s-", "Deluge 2.1.1"),
        (b"-UT355W-", "µTorrent 3.5.5"),
        (b"-BC0190-", "BitComet 1.90"),
        (b"-FG0180", "FlashGet 0.1.8"),
        (b"AZ2500BT", "unknown"),
        (b"-XY1234-", "XY 1.2.3.4"),
        (b"-XY1234x", "unknown"),
        (b"-TIX0245-", "Tixati 2.45"),
        (b"-ML2.7.2-kgjjfkd", "MLDonkey 2.7.2"),
        (b"-RN7.7.7-", "Rain 7.7.7"),
        (b"A2-1-37-0-", "aria2 1.37.0"),
        (b"M4-3-6--", "BitTorrent 4.3.6"),
        (b"M4-20-8-", "BitTorrent 4.20.8"),
        (b"Q1-10-0-", "Queen Bee 1.10.0"),
        (b"S58B-----", "Shadow 5.8.11"),
        (b"T03I-----", "BitTornado 0.3.18"),
        (b"XBT054d-", "XBT 0.5.4"),
        (b"OP7685", "Opera 7685"),
        (b"exbc\x00\x38", "BitComet 0.56"),
        (b"exbc\x01\x00LORD", "BitLord 1.00"),
        (b"", "unknown"),
        (bytes(20), "unknown"),
        (b"-\x1b[2J\x07-", "unknown"),
    ],
)
def test_known_styles(peer_id: bytes, name: str) -> None:
    assert client_name(peer_id.ljust(20, b"\xe9")) == name


def test_our_own_ids_are_recognised() -> None:
    assert client_name(PeerId.generate(bytes)) == "seedwright 0.1.0"


prefixes = st.sampled_from(
    [
        b"",
        b"-",
        b"-LT",
        b"-TR3",
        b"-BC",
        b"M",
        b"A2-",
        b"S",
        b"exbc",
        b"XBT",
        b"OP",
        b"-ML",
        b"-TIX",
    ]
)


@given(prefixes, st.binary(min_size=20, max_size=20))
def test_any_id_gives_a_short_printable_name(prefix: bytes, rest: bytes) -> None:
    name = client_name((prefix + rest)[:20])
    assert name
    assert name.isprintable()
    assert len(name) <= MAX_NAME_LENGTH


@given(prefixes, st.text("-.0123456789AZaz~", min_size=20, max_size=20))
def test_any_plausible_id_gives_a_short_printable_name(prefix: bytes, rest: str) -> None:
    name = client_name((prefix + rest.encode())[:20])
    assert name == sanitised(name) != ""


@given(st.text(max_size=300))
def test_sanitised_text_is_one_short_printable_line(text: str) -> None:
    clean = sanitised(text)
    assert clean.isprintable()
    assert len(clean) <= MAX_NAME_LENGTH
    assert sanitised(clean) == clean


def test_marks_that_turn_the_reading_direction_go() -> None:
    assert sanitised("a\u202egpj.exe\u2028b") == "a gpj.exe b"
